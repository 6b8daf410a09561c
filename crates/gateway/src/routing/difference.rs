//! How far two answers are apart.

use domain::{Tensor, TensorData};

/// The largest distance between an element of the answer and the shadow's: 0 where they are the same,
/// infinite where there is nothing to measure: an output that is missing, of another type or shape, a text
/// or a truth that is another, a number where there is none.
pub(super) fn difference(answer: &[Tensor], shadow: &[Tensor]) -> f64 {
    let of = |ours: &Tensor| {
        let theirs = shadow.iter().find(|output| output.name == ours.name);
        theirs
            .filter(|it| it.shape == ours.shape)
            .map_or(f64::INFINITY, |theirs| between(&ours.data, &theirs.data))
    };
    answer.iter().map(of).fold(0.0, f64::max)
}

fn between(ours: &TensorData, theirs: &TensorData) -> f64 {
    use TensorData as D;
    match (ours, theirs) {
        (D::Bool(ours), D::Bool(theirs)) => same(ours, theirs),
        (D::Bytes(ours), D::Bytes(theirs)) => same(ours, theirs),
        (D::U8(ours), D::U8(theirs)) => largest(ours, theirs, whole),
        (D::U16(ours), D::U16(theirs)) => largest(ours, theirs, whole),
        (D::U32(ours), D::U32(theirs)) => largest(ours, theirs, whole),
        (D::U64(ours), D::U64(theirs)) => largest(ours, theirs, whole),
        (D::I8(ours), D::I8(theirs)) => largest(ours, theirs, whole),
        (D::I16(ours), D::I16(theirs)) => largest(ours, theirs, whole),
        (D::I32(ours), D::I32(theirs)) => largest(ours, theirs, whole),
        (D::I64(ours), D::I64(theirs)) => largest(ours, theirs, whole),
        (D::F16(ours), D::F16(theirs)) => {
            largest(ours, theirs, |a, b| real(a.to_f64(), b.to_f64()))
        }
        (D::BF16(ours), D::BF16(theirs)) => {
            largest(ours, theirs, |a, b| real(a.to_f64(), b.to_f64()))
        }
        (D::F32(ours), D::F32(theirs)) => largest(ours, theirs, real),
        (D::F64(ours), D::F64(theirs)) => largest(ours, theirs, real),
        _ => f64::INFINITY,
    }
}

fn same<T: PartialEq>(ours: &[T], theirs: &[T]) -> f64 {
    if ours == theirs { 0.0 } else { f64::INFINITY }
}

fn largest<T: Copy>(ours: &[T], theirs: &[T], distance: impl Fn(T, T) -> f64) -> f64 {
    ours.iter().zip(theirs).map(|(ours, theirs)| distance(*ours, *theirs)).fold(0.0, f64::max)
}

fn whole<T: Into<i128>>(ours: T, theirs: T) -> f64 {
    ours.into().abs_diff(theirs.into()) as f64
}

fn real<T: Into<f64>>(ours: T, theirs: T) -> f64 {
    let (ours, theirs) = (ours.into(), theirs.into());
    if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
        return 0.0;
    }
    let apart = (ours - theirs).abs();
    if apart.is_nan() { f64::INFINITY } else { apart }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(data: TensorData) -> Vec<Tensor> {
        vec![Tensor::new("y", vec![data.len()], data).unwrap()]
    }

    #[test]
    fn the_largest_distance_counts() {
        let floats = |values: &[f32]| one(TensorData::F32(values.to_vec()));
        let wholes = |values: &[u64]| one(TensorData::U64(values.to_vec()));
        let texts = |text: &str| one(TensorData::Bytes(vec![text.into()]));
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for (ours, theirs, expected) in [
            (floats(&[1.0, 2.0]), floats(&[1.0, 2.0]), 0.0),
            (floats(&[1.0, 2.0]), floats(&[1.5, 1.75]), 0.5),
            (floats(&[nan, inf]), floats(&[nan, inf]), 0.0),
            (floats(&[nan]), floats(&[0.0]), f64::INFINITY),
            (floats(&[inf]), floats(&[-inf]), f64::INFINITY),
            (floats(&[1.0]), floats(&[1.0, 2.0]), f64::INFINITY),
            (wholes(&[0, u64::MAX]), wholes(&[2, u64::MAX - 1]), 2.0),
            (wholes(&[1]), floats(&[1.0]), f64::INFINITY),
            (texts("a"), texts("a"), 0.0),
            (texts("a"), texts("b"), f64::INFINITY),
            (texts("a"), vec![], f64::INFINITY),
            // What only the shadow has is nothing that the caller missed.
            (vec![], texts("a"), 0.0),
        ] {
            assert_eq!(difference(&ours, &theirs), expected, "{ours:?} {theirs:?}");
        }
    }
}
