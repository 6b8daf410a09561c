//! What a hook does to columns by itself.

use super::values;
use crate::{DataType, Problem, Tensor, TensorData, TensorSpec};

/// One change, made to fit the columns that it meets.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Gives a column another name.
    Rename {
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// Makes a column that is not there.
    Fill {
        /// What it is.
        spec: TensorSpec,
        /// One row of it.
        row: TensorData,
        /// The sizes of a row.
        sizes: Vec<usize>,
    },
    /// Gives a column another type.
    Cast {
        /// Which.
        column: String,
        /// What it is called where its values come from.
        shown: String,
        /// The type that it gets.
        to: DataType,
    },
    /// Replaces the values of a column, if it is there.
    Mask {
        /// Which.
        column: String,
        /// By this one element.
        element: TensorData,
    },
}

impl Change {
    /// Makes the change in a request, or an answer, of so many rows.
    ///
    /// # Errors
    /// A value cannot be of the type that it shall get.
    pub fn apply(&self, tensors: &mut Vec<Tensor>, rows: usize) -> Result<(), Problem> {
        match self {
            Self::Rename { from, to } => {
                if let Some(tensor) = named(tensors, from) {
                    tensor.name.clone_from(to);
                }
            }
            Self::Cast { column, shown, to } => {
                if let Some(tensor) = named(tensors, column) {
                    tensor.data = values::cast(&tensor.data, *to).map_err(|(at, value)| {
                        let message = format!("`{shown}`: element {at}, `{value}`, is no {to}");
                        Problem::invalid(shown, message)
                    })?;
                }
            }
            Self::Mask { column, element } => {
                if let Some(tensor) = named(tensors, column) {
                    tensor.data = element.repeated(tensor.data.len());
                }
            }
            Self::Fill { spec, row, sizes } => {
                if named(tensors, &spec.name).is_none() {
                    tensors.push(filled(spec, row, sizes, rows));
                }
            }
        }
        Ok(())
    }
}

fn named<'a>(tensors: &'a mut [Tensor], name: &str) -> Option<&'a mut Tensor> {
    tensors.iter_mut().find(|tensor| tensor.name == name)
}

fn filled(spec: &TensorSpec, row: &TensorData, sizes: &[usize], rows: usize) -> Tensor {
    let rows = match spec.shape.first() {
        None => None,
        Some(crate::Dim::Fixed(rows)) => usize::try_from(*rows).ok(),
        Some(crate::Dim::Symbolic(_) | crate::Dim::Any) => Some(rows),
    };
    let shape = rows.into_iter().chain(sizes.iter().copied()).collect();
    Tensor { name: spec.name.clone(), shape, data: row.repeated(row.len() * rows.unwrap_or(1)) }
}
