//! Tensors whose elements' type the compiler knows.

use domain::{DataType, ErrorCode, Problem, Tensor, TensorData};
use half::{bf16, f16};

use crate::Error;

/// Elements and how they are arranged, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array<T> {
    /// Its size in each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its elements; as many as the shape says.
    pub elements: Vec<T>,
}

/// What an element of a tensor may be.
pub trait Element: Sized {
    /// Its name in the Open Inference Protocol.
    const DATATYPE: DataType;
    /// The elements of a tensor.
    fn into_data(elements: Vec<Self>) -> TensorData;
    /// The elements, where they are of this type.
    fn of_data(data: TensorData) -> Option<Vec<Self>>;
}

macro_rules! element {
    ($($element:ty => $variant:ident),* $(,)?) => {$(
        impl Element for $element {
            const DATATYPE: DataType = DataType::$variant;

            fn into_data(elements: Vec<Self>) -> TensorData {
                TensorData::$variant(elements)
            }

            fn of_data(data: TensorData) -> Option<Vec<Self>> {
                match data {
                    TensorData::$variant(elements) => Some(elements),
                    _ => None,
                }
            }
        }
    )*};
}

element! {
    bool => Bool, u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16, i32 => I32,
    i64 => I64, f16 => F16, bf16 => BF16, f32 => F32, f64 => F64, Vec<u8> => Bytes,
}

impl<T: Element> Array<T> {
    /// An array of this shape. Whether it has as many elements is asked where it becomes a tensor.
    pub fn new(shape: impl Into<Vec<usize>>, elements: impl Into<Vec<T>>) -> Self {
        Self { shape: shape.into(), elements: elements.into() }
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// There are more or fewer elements than the shape says.
    pub fn named(self, name: &str) -> Result<Tensor, Error> {
        Ok(Tensor::new(name, self.shape, T::into_data(self.elements))?)
    }
}

impl<T: Element> TryFrom<Tensor> for Array<T> {
    type Error = Error;

    fn try_from(tensor: Tensor) -> Result<Self, Error> {
        let Tensor { name, shape, data } = tensor;
        let found = data.datatype();
        let elements = T::of_data(data).ok_or_else(|| {
            let message = format!("`{name}` is {found}, not {}", T::DATATYPE);
            Problem::new(ErrorCode::Conflict, message).hint("the endpoint answers otherwise now")
        })?;
        Ok(Self { shape, elements })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_a_tensor_of_its_elements_type_and_no_other() {
        let array = Array::new([1, 2], [1.5_f32, -1.0]);
        let tensor = array.clone().named("x").unwrap();
        assert_eq!((tensor.name.as_str(), tensor.datatype()), ("x", DataType::F32));
        assert_eq!(Array::<f32>::try_from(tensor.clone()).unwrap(), array);
        let wrong = Array::<i64>::try_from(tensor).unwrap_err();
        assert_eq!(wrong.to_string(), "`x` is FP32, not INT64");
        assert!(Array::new([3], [true]).named("x").is_err());
    }
}
