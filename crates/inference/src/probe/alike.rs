//! Whether two answers are the same.

use domain::{Tensor, TensorData};

/// Equal names of outputs are taken for granted; shapes and elements are compared.
pub(crate) fn alike(some: &[Tensor], others: &[Tensor]) -> bool {
    some.len() == others.len()
        && some
            .iter()
            .zip(others)
            .all(|(one, other)| one.shape == other.shape && data_alike(&one.data, &other.data))
}

/// Equal, but for what another order of the same sums does to floats.
fn data_alike(one: &TensorData, other: &TensorData) -> bool {
    let near = |one: f64, other: f64, tolerance: f64| {
        one == other
            || (one.is_nan() && other.is_nan())
            || (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1.0)
    };
    match (floats(one), floats(other)) {
        (Some((ones, tolerance)), Some((others, _))) => {
            ones.len() == others.len()
                && ones.iter().zip(&others).all(|(&one, &other)| near(one, other, tolerance))
        }
        _ => one == other,
    }
}

/// A float tensor's elements, and by how much they may differ.
fn floats(data: &TensorData) -> Option<(Vec<f64>, f64)> {
    if let TensorData::F16(elements) = data {
        return Some((elements.iter().map(|e| e.to_f64()).collect(), 1e-2));
    }
    if let TensorData::BF16(elements) = data {
        return Some((elements.iter().map(|e| e.to_f64()).collect(), 1e-2));
    }
    if let TensorData::F32(elements) = data {
        return Some((elements.iter().map(|&e| f64::from(e)).collect(), 1e-4));
    }
    if let TensorData::F64(elements) = data {
        return Some((elements.clone(), 1e-4));
    }
    None
}
