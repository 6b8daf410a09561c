//! The bytes behind the JSON.

use domain::{DataType, ErrorCode, Problem, Tensor, TensorData, raw};

use super::JSON_LENGTH;

/// What is left of the bytes behind a request's JSON, if it may have any.
pub(in crate::v2) struct Tail<'a>(Option<&'a [u8]>);

impl<'a> Tail<'a> {
    pub(in crate::v2) const fn new(bytes: &'a [u8]) -> Self {
        Self(Some(bytes))
    }

    /// The body is JSON alone.
    pub(in crate::v2) const fn absent() -> Self {
        Self(None)
    }

    /// The elements of the next input that has its `size` bytes here; `field` is where it says so.
    pub(in crate::v2) fn tensor(
        &mut self,
        datatype: DataType,
        shape: &[usize],
        size: u64,
        field: &str,
    ) -> Result<TensorData, Problem> {
        let left = self.0.ok_or_else(|| {
            Problem::invalid(field, format!("`{field}` is there, but all of the body is JSON"))
                .hint(format!("the header `{JSON_LENGTH}` tells where the JSON ends"))
        })?;
        let taken = usize::try_from(size).ok().and_then(|size| left.split_at_checked(size));
        let (bytes, rest) = taken.ok_or_else(|| {
            let left = left.len();
            Problem::invalid(field, format!("`{field}` is {size}, but only {left} bytes are left"))
        })?;
        self.0 = Some(rest);
        raw::read(datatype, Tensor::elements(shape).unwrap_or(usize::MAX), bytes, field)
    }

    /// Refuses bytes that no input wanted.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.unwrap_or_default().len() {
            0 => Ok(()),
            left => {
                let message = format!("{left} bytes at the end of the body belong to no input");
                Err(Problem::new(ErrorCode::Invalid, message)
                    .hint("`binary_data_size` of each input tells how many bytes are its"))
            }
        }
    }
}
