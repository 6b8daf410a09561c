//! Tensors as nested arrays, whole or row by row, for answers in JSON.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{ErrorCode, Problem, Tensor, TensorData, with_elements};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};

use crate::json::{element::Element, not_text};

/// A part of a tensor.
pub(crate) struct Nested<'a> {
    data: &'a TensorData,
    shape: &'a [usize],
    first: usize,
    /// Whether BYTES are objects with Base64.
    base64: bool,
}

impl<'a> Nested<'a> {
    /// All of it.
    pub fn whole(tensor: &'a Tensor) -> Self {
        Self { data: &tensor.data, shape: &tensor.shape, first: 0, base64: false }
    }

    /// One of its elements.
    pub const fn element(tensor: &'a Tensor, at: usize) -> Self {
        Self { data: &tensor.data, shape: &[], first: at, base64: false }
    }

    /// One of its rows.
    pub fn row(tensor: &'a Tensor, row: usize) -> Self {
        let shape = tensor.shape.get(1..).unwrap_or_default();
        let first = row * size(shape);
        Self { data: &tensor.data, shape, first, base64: false }
    }

    /// The only element, as one, where there is one.
    pub fn flat(self) -> Self {
        if size(self.shape) == 1 { Self { shape: &[], ..self } } else { self }
    }

    /// BYTES in Base64.
    pub fn in_base64(self) -> Self {
        Self { base64: true, ..self }
    }
}

/// How many elements; shapes here are those of tensors, which fit memory.
fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { data, shape, first, base64 } = *self;
        let Some((&length, shape)) = shape.split_first() else {
            return with_elements!(data, elements => {
                let element = elements.get(first).ok_or_else(|| S::Error::custom("no element"))?;
                Written(element, base64).serialize(serializer)
            });
        };
        if shape.is_empty() {
            return with_elements!(data, elements => {
                let elements = elements.iter().skip(first).take(length);
                serializer.collect_seq(elements.map(|element| Written(element, base64)))
            });
        }
        let step = size(shape);
        let parts = (0..length).map(|at| Nested { data, shape, first: first + at * step, base64 });
        serializer.collect_seq(parts)
    }
}

struct Written<'a, T>(&'a T, bool);

impl<T: Element> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_bytes().filter(|_| self.1) {
            Some(bytes) => {
                let mut object = serializer.serialize_map(Some(1))?;
                object.serialize_entry("b64", &BASE64_STANDARD.encode(bytes))?;
                object.end()
            }
            None => self.0.write(serializer),
        }
    }
}

/// Appends JSON to `out`. A failure leaves it as it was.
///
/// # Errors
/// One of the outputs holds BYTES that are no text.
pub(crate) fn append(
    out: &mut Vec<u8>,
    body: &impl Serialize,
    outputs: &[Tensor],
) -> Result<(), Problem> {
    let start = out.len();
    serde_json::to_writer(&mut *out, body).map_err(|_| {
        out.truncate(start);
        let refused = not_text(outputs.iter());
        refused.map_or_else(Problem::internal, |it| it.hint("call by V2's binary form or gRPC"))
    })
}

/// How many rows all of the outputs have.
///
/// # Errors
/// They have no rows, or not as many.
pub(crate) fn rows(outputs: &[Tensor]) -> Result<usize, Problem> {
    let rows = |output: &Tensor| output.shape.first().copied();
    let first = outputs.first().and_then(rows);
    first.filter(|&first| outputs.iter().all(|it| rows(it) == Some(first))).ok_or_else(|| {
        let message = "the model's outputs have no rows in common";
        Problem::new(ErrorCode::Invalid, message)
            .hint("send `inputs`, whose answers are whole tensors")
    })
}
