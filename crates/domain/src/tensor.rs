//! The one tensor type that every wire protocol is turned into and every engine takes.

use std::{fmt, str::FromStr};

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::{Problem, version::words};

words! {
    /// An element's type, by its Open Inference Protocol name.
    DataType, "datatype" {
        /// True or false, one byte each.
        Bool = "BOOL",
        /// Unsigned, 8 bits.
        U8 = "UINT8",
        /// Unsigned, 16 bits.
        U16 = "UINT16",
        /// Unsigned, 32 bits.
        U32 = "UINT32",
        /// Unsigned, 64 bits.
        U64 = "UINT64",
        /// Signed, 8 bits.
        I8 = "INT8",
        /// Signed, 16 bits.
        I16 = "INT16",
        /// Signed, 32 bits.
        I32 = "INT32",
        /// Signed, 64 bits.
        I64 = "INT64",
        /// IEEE half precision.
        F16 = "FP16",
        /// Brain float.
        BF16 = "BF16",
        /// IEEE single precision.
        F32 = "FP32",
        /// IEEE double precision.
        F64 = "FP64",
        /// Strings of any bytes; ONNX's strings are UTF-8.
        Bytes = "BYTES",
    }
}

impl DataType {
    /// Bytes of one element in the binary forms; absent for [`DataType::Bytes`].
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Bytes => None,
        }
    }
}

/// A tensor's elements, row-major.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is the data type of the same name")]
pub enum TensorData {
    Bool(Vec<bool>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<Vec<u8>>),
}

/// Runs the same expression over whichever vector a [`TensorData`] holds.
///
/// `with_elements!(data, elements => elements.len())`
#[macro_export]
macro_rules! with_elements {
    ($data:expr, $elements:ident => $body:expr) => {
        match $data {
            $crate::TensorData::Bool($elements) => $body,
            $crate::TensorData::U8($elements) => $body,
            $crate::TensorData::U16($elements) => $body,
            $crate::TensorData::U32($elements) => $body,
            $crate::TensorData::U64($elements) => $body,
            $crate::TensorData::I8($elements) => $body,
            $crate::TensorData::I16($elements) => $body,
            $crate::TensorData::I32($elements) => $body,
            $crate::TensorData::I64($elements) => $body,
            $crate::TensorData::F16($elements) => $body,
            $crate::TensorData::BF16($elements) => $body,
            $crate::TensorData::F32($elements) => $body,
            $crate::TensorData::F64($elements) => $body,
            $crate::TensorData::Bytes($elements) => $body,
        }
    };
}

/// Elements of the same type, made of whichever vector a [`TensorData`] holds.
macro_rules! same_kind {
    ($data:expr, $elements:ident => $body:expr) => {
        same_kind!($data, $elements => $body; Bool U8 U16 U32 U64 I8 I16 I32 I64 F16 BF16 F32 F64 Bytes)
    };
    ($data:expr, $elements:ident => $body:expr; $($kind:ident)*) => {
        match $data {
            $(TensorData::$kind($elements) => TensorData::$kind($body),)*
        }
    };
}

impl TensorData {
    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        with_elements!(self, elements => elements.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        if let Self::Bytes(texts) = self {
            return texts.iter().map(|text| size_of::<Vec<u8>>() + text.len()).sum();
        }
        self.len() * self.datatype().size().unwrap_or(1)
    }

    /// Forgets all but the first `count`, and gives the memory of the others back.
    pub fn truncate(&mut self, count: usize) {
        with_elements!(self, elements => {
            elements.truncate(count);
            elements.shrink_to_fit();
        });
    }

    /// A copy of the first `count`, or of all there are.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        same_kind!(self, elements => elements.get(..count).unwrap_or(elements).to_vec())
    }

    /// So many elements: these, over and over. None where there are none.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        same_kind!(self, elements => elements.iter().cycle().take(count).cloned().collect())
    }

    /// Puts a copy of others of the same type behind these; false, and nothing, where they are of another.
    pub fn extend(&mut self, others: &Self) -> bool {
        macro_rules! extend {
            ($($kind:ident),*) => {
                match (self, others) {
                    $((Self::$kind(these), Self::$kind(others)) => these.extend_from_slice(others),)*
                    _ => return false,
                }
            };
        }
        extend!(Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64, Bytes);
        true
    }

    /// The elements' type.
    #[must_use]
    pub const fn datatype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::U8(_) => DataType::U8,
            Self::U16(_) => DataType::U16,
            Self::U32(_) => DataType::U32,
            Self::U64(_) => DataType::U64,
            Self::I8(_) => DataType::I8,
            Self::I16(_) => DataType::I16,
            Self::I32(_) => DataType::I32,
            Self::I64(_) => DataType::I64,
            Self::F16(_) => DataType::F16,
            Self::BF16(_) => DataType::BF16,
            Self::F32(_) => DataType::F32,
            Self::F64(_) => DataType::F64,
            Self::Bytes(_) => DataType::Bytes,
        }
    }
}

/// How many rows, or other arrays, without any element a tensor may have: nobody pays for those by bytes.
const MOST_EMPTY: usize = 1_024;

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The input's or output's name.
    pub name: String,
    /// Its size in each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its elements; always as many as the shape says.
    pub data: TensorData,
}

impl Tensor {
    /// A tensor whose elements fit its shape.
    ///
    /// # Errors
    /// Another number of elements than the shape says, or a shape that is [too large](Self::elements).
    pub fn new(
        name: impl Into<String>,
        shape: Vec<usize>,
        data: TensorData,
    ) -> Result<Self, Problem> {
        let name = name.into();
        let expected = Self::elements(&shape).ok_or_else(|| {
            Problem::invalid(&name, format!("the shape {shape:?} of `{name}` is too large"))
        })?;
        if data.len() != expected {
            let got = data.len();
            return Err(Problem::invalid(
                &name,
                format!("`{name}` has {got} elements, but its shape {shape:?} asks for {expected}"),
            ));
        }
        Ok(Self { name, shape, data })
    }

    /// How many elements a shape asks for; absent if that overflows, or if it asks for more than 1,024
    /// arrays without any.
    #[must_use]
    pub fn elements(shape: &[usize]) -> Option<usize> {
        let mut arrays = 1_usize;
        for &size in shape {
            if size == 0 {
                return (arrays <= MOST_EMPTY).then_some(0);
            }
            arrays = arrays.checked_mul(size)?;
        }
        Some(arrays)
    }

    /// The elements' type.
    #[must_use]
    pub const fn datatype(&self) -> DataType {
        self.data.datatype()
    }

    /// How many elements each row has, of so many rows; absent if it does not have these rows.
    #[must_use]
    pub fn width(&self, rows: usize) -> Option<usize> {
        let (first, others) = self.shape.split_first()?;
        if *first == rows { Self::elements(others) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_has_as_many_elements_as_its_shape_says() {
        assert!(Tensor::new("x", vec![2, 3], TensorData::F32(vec![0.0; 6])).is_ok());
        assert!(Tensor::new("x", vec![], TensorData::I64(vec![7])).is_ok());
        assert!(Tensor::new("x", vec![0, 3], TensorData::F32(vec![])).is_ok());
        let wrong = Tensor::new("x", vec![2, 3], TensorData::F32(vec![0.0; 5])).unwrap_err();
        assert_eq!(wrong.message, "`x` has 5 elements, but its shape [2, 3] asks for 6");
        assert!(Tensor::new("x", vec![usize::MAX, 2], TensorData::F32(vec![])).is_err());
    }

    #[test]
    fn rows_without_elements_are_few() {
        for (shape, fits) in [
            (vec![1_024, 0], true),
            (vec![0, 3, 1_000, 1_000], true),
            (vec![1_025, 0], false),
            (vec![1, 1_025, 0], false),
            (vec![1 << 40, 0], false),
            (vec![usize::MAX, 2, 0], false),
        ] {
            assert_eq!(
                Tensor::new("x", shape.clone(), TensorData::F32(vec![])).is_ok(),
                fits,
                "{shape:?}"
            );
        }
    }

    #[test]
    fn a_beginning_is_a_copy_or_what_is_left() {
        let mut texts = TensorData::Bytes(vec![b"a".to_vec(), b"bc".to_vec(), b"".to_vec()]);
        assert_eq!(texts.bytes(), 3 + 3 * size_of::<Vec<u8>>());
        let first = TensorData::Bytes(vec![b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(texts.first(2), first);
        assert_eq!(texts.first(9), texts);
        assert_eq!(first.repeated(3).len(), 3);
        assert_eq!(TensorData::I64(vec![]).repeated(3), TensorData::I64(vec![]));
        texts.truncate(2);
        assert_eq!(texts, first);
        let tensor = Tensor::new("x", vec![2, 3, 2], TensorData::U16(vec![0; 12])).unwrap();
        assert_eq!((tensor.width(2), tensor.width(3), tensor.data.bytes()), (Some(6), None, 24));
        let scalar = Tensor::new("x", vec![], TensorData::F64(vec![0.0])).unwrap();
        assert_eq!(scalar.width(1), None);
    }

    #[test]
    fn every_datatype_reads_back_its_name() {
        for &datatype in DataType::ALL {
            assert_eq!(datatype.as_str().parse::<DataType>().unwrap(), datatype);
        }
    }
}
