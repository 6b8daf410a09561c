//! Inputs to look at a model by.

use domain::{DataType, Dim, Tensor, TensorData, TensorSpec};
use half::{bf16, f16};

use crate::batch;

/// No larger inputs are made up.
const MAX_MADE_UP: usize = 1 << 24;

/// Two requests of one row each that differ: the example's first two rows, else its only row and
/// a variation of it.
pub(crate) fn two_rows(inputs: &[Tensor]) -> Option<[Vec<Tensor>; 2]> {
    let count = batch::rows(inputs)?;
    let row = |at: usize| inputs.iter().map(|tensor| batch::slice(tensor, at, 1)).collect();
    let first: Vec<Tensor> = row(0);
    if let Some(other) = (1..count).map(row).find(|other: &Vec<Tensor>| *other != first) {
        return Some([first, other]);
    }
    let turned: Vec<Tensor> = first.iter().map(turn).collect();
    if turned != first {
        return Some([first, turned]);
    }
    let shifted: Vec<Tensor> = first.iter().map(shift).collect();
    (shifted != first).then_some([first, shifted])
}

/// The same elements, one place on: other values, but none that the model has not seen.
fn turn(tensor: &Tensor) -> Tensor {
    let mut turned = tensor.clone();
    domain::with_elements!(&mut turned.data, elements => {
        if !elements.is_empty() {
            elements.rotate_left(1);
        }
    });
    turned
}

/// Slightly other numbers; what cannot be shifted safely stays.
fn shift(tensor: &Tensor) -> Tensor {
    let mut shifted = tensor.clone();
    match &mut shifted.data {
        TensorData::Bool(elements) => elements.iter_mut().for_each(|e| *e = !*e),
        TensorData::U8(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::I32(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::I64(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::F16(elements) => elements.iter_mut().for_each(|e| *e += f16::ONE),
        TensorData::BF16(elements) => elements.iter_mut().for_each(|e| *e += bf16::ONE),
        TensorData::F32(elements) => elements.iter_mut().for_each(|e| *e += 1.0),
        TensorData::F64(elements) => elements.iter_mut().for_each(|e| *e += 1.0),
        TensorData::U16(_)
        | TensorData::U32(_)
        | TensorData::U64(_)
        | TensorData::I8(_)
        | TensorData::I16(_)
        | TensorData::Bytes(_) => {}
    }
    shifted
}

/// A tensor that fits the spec: one row, small values.
pub(super) fn make_up(spec: &TensorSpec) -> Option<Tensor> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => usize::try_from(*size).ok(),
        Dim::Symbolic(_) | Dim::Any => Some(1),
    };
    let shape: Vec<usize> = spec.shape.iter().map(size).collect::<Option<_>>()?;
    let count = Tensor::elements(&shape).filter(|&count| count <= MAX_MADE_UP)?;
    let bits = (0..count).map(|at| u8::from(at % 2 == 0));
    let data = match spec.datatype {
        DataType::Bool => TensorData::Bool(bits.map(|bit| bit == 1).collect()),
        DataType::U8 => TensorData::U8(bits.collect()),
        DataType::U16 => TensorData::U16(bits.map(u16::from).collect()),
        DataType::U32 => TensorData::U32(bits.map(u32::from).collect()),
        DataType::U64 => TensorData::U64(bits.map(u64::from).collect()),
        DataType::I8 => TensorData::I8(bits.map(|bit| i8::from(bit == 1)).collect()),
        DataType::I16 => TensorData::I16(bits.map(i16::from).collect()),
        DataType::I32 => TensorData::I32(bits.map(i32::from).collect()),
        DataType::I64 => TensorData::I64(bits.map(i64::from).collect()),
        DataType::F16 => TensorData::F16(bits.map(f16::from).collect()),
        DataType::BF16 => TensorData::BF16(bits.map(bf16::from).collect()),
        DataType::F32 => TensorData::F32(bits.map(f32::from).collect()),
        DataType::F64 => TensorData::F64(bits.map(f64::from).collect()),
        DataType::Bytes => TensorData::Bytes(bits.map(|bit| vec![b'a' + bit]).collect()),
    };
    Tensor::new(&spec.name, shape, data).ok()
}
