//! Tensors as raw bytes: little-endian, row-major, no padding. A BYTES element has its length
//! before it, in 4 bytes. This is the form of the Open Inference Protocol's binary tensors, and of
//! tensors on their way to a worker.

use std::fmt::Display;

use half::{bf16, f16};

use crate::{DataType, ErrorCode, Problem, TensorData};

/// The bytes that stand before a BYTES element.
const LENGTH: usize = size_of::<u32>();

/// Reads exactly `elements` elements out of `bytes`; `field` names where they stand.
///
/// # Errors
/// Another number of bytes, or a BOOL that is neither 0 nor 1.
pub fn read(
    datatype: DataType,
    elements: usize,
    bytes: &[u8],
    field: impl Display + Copy,
) -> Result<TensorData, Problem> {
    if let Some(size) = datatype.size() {
        let (got, expected) = (bytes.len(), elements.checked_mul(size));
        if expected != Some(got) {
            return Err(Problem::invalid(
                field.to_string(),
                format!(
                    "`{field}` has {got} bytes, but {elements} elements of {datatype} take {size} bytes each"
                ),
            ));
        }
    }
    Ok(match datatype {
        DataType::Bool => TensorData::Bool(read_bools(bytes, field)?),
        DataType::U8 => TensorData::U8(bytes.to_vec()),
        DataType::U16 => TensorData::U16(read_fixed(bytes, u16::from_le_bytes)),
        DataType::U32 => TensorData::U32(read_fixed(bytes, u32::from_le_bytes)),
        DataType::U64 => TensorData::U64(read_fixed(bytes, u64::from_le_bytes)),
        DataType::I8 => TensorData::I8(read_fixed(bytes, i8::from_le_bytes)),
        DataType::I16 => TensorData::I16(read_fixed(bytes, i16::from_le_bytes)),
        DataType::I32 => TensorData::I32(read_fixed(bytes, i32::from_le_bytes)),
        DataType::I64 => TensorData::I64(read_fixed(bytes, i64::from_le_bytes)),
        DataType::F16 => TensorData::F16(read_fixed(bytes, f16::from_le_bytes)),
        DataType::BF16 => TensorData::BF16(read_fixed(bytes, bf16::from_le_bytes)),
        DataType::F32 => TensorData::F32(read_fixed(bytes, f32::from_le_bytes)),
        DataType::F64 => TensorData::F64(read_fixed(bytes, f64::from_le_bytes)),
        DataType::Bytes => TensorData::Bytes(read_strings(elements, bytes, field)?),
    })
}

fn read_fixed<const N: usize, T>(bytes: &[u8], element: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| element(chunk)).collect()
}

fn read_bools(bytes: &[u8], field: impl Display + Copy) -> Result<Vec<bool>, Problem> {
    match bytes.iter().position(|&byte| byte > 1) {
        Some(index) => Err(Problem::invalid(
            field.to_string(),
            format!("element {index} of `{field}` is not a BOOL: expected the byte 0 or 1"),
        )),
        None => Ok(bytes.iter().map(|&byte| byte == 1).collect()),
    }
}

fn read_strings(
    elements: usize,
    mut bytes: &[u8],
    field: impl Display + Copy,
) -> Result<Vec<Vec<u8>>, Problem> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok();
        let Some((string, rest)) = length.and_then(|length| rest.split_at_checked(length)) else {
            break;
        };
        strings.push(string.to_vec());
        bytes = rest;
    }
    let got = strings.len();
    if bytes.is_empty() && got == elements {
        return Ok(strings);
    }
    let left = bytes.len();
    Err(Problem::invalid(
        field.to_string(),
        format!("`{field}` has {got} whole elements and {left} bytes more, but the shape asks for {elements}"),
    )
    .hint("before each BYTES element stands its length, in 4 bytes, little-endian"))
}

/// How many bytes a tensor's elements take.
#[must_use]
pub fn len(data: &TensorData) -> usize {
    match (data, data.datatype().size()) {
        (TensorData::Bytes(elements), _) => {
            elements.iter().map(|element| LENGTH + element.len()).sum()
        }
        (_, size) => data.len() * size.unwrap_or_default(),
    }
}

/// A tensor's elements.
///
/// # Errors
/// A BYTES element whose length does not fit 4 bytes.
pub fn write(data: &TensorData) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(len(data));
    append(&mut bytes, data)?;
    Ok(bytes)
}

/// Writes a tensor's elements behind what is there.
///
/// # Errors
/// A BYTES element whose length does not fit 4 bytes; then some may have been written.
pub fn append(out: &mut Vec<u8>, data: &TensorData) -> Result<(), Problem> {
    match data {
        TensorData::Bool(elements) => out.extend(elements.iter().map(|&element| u8::from(element))),
        TensorData::U8(elements) => out.extend_from_slice(elements),
        TensorData::U16(elements) => append_fixed(out, elements, u16::to_le_bytes),
        TensorData::U32(elements) => append_fixed(out, elements, u32::to_le_bytes),
        TensorData::U64(elements) => append_fixed(out, elements, u64::to_le_bytes),
        TensorData::I8(elements) => append_fixed(out, elements, i8::to_le_bytes),
        TensorData::I16(elements) => append_fixed(out, elements, i16::to_le_bytes),
        TensorData::I32(elements) => append_fixed(out, elements, i32::to_le_bytes),
        TensorData::I64(elements) => append_fixed(out, elements, i64::to_le_bytes),
        TensorData::F16(elements) => append_fixed(out, elements, f16::to_le_bytes),
        TensorData::BF16(elements) => append_fixed(out, elements, bf16::to_le_bytes),
        TensorData::F32(elements) => append_fixed(out, elements, f32::to_le_bytes),
        TensorData::F64(elements) => append_fixed(out, elements, f64::to_le_bytes),
        TensorData::Bytes(elements) => return append_strings(out, elements),
    }
    Ok(())
}

fn append_fixed<const N: usize, T: Copy>(
    out: &mut Vec<u8>,
    elements: &[T],
    bytes: fn(T) -> [u8; N],
) {
    let begin = out.len();
    out.resize(begin + elements.len() * N, 0);
    // In place: as fast as copying memory once it is compiled.
    let chunks = out.get_mut(begin..).unwrap_or_default().as_chunks_mut().0;
    for (chunk, &element) in chunks.iter_mut().zip(elements) {
        *chunk = bytes(element);
    }
}

fn append_strings(out: &mut Vec<u8>, elements: &[Vec<u8>]) -> Result<(), Problem> {
    out.reserve(elements.iter().map(|element| LENGTH + element.len()).sum());
    for element in elements {
        let length = u32::try_from(element.len()).map_err(|_| {
            Problem::new(ErrorCode::TooLarge, "an element of 4 GiB or more has no raw form")
        })?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(element);
    }
    Ok(())
}
