//! Named values in rows and columns, to tensors that fit a signature: what data frames, MLflow's
//! scoring and TensorFlow Serving share.

mod example;
mod frame;
mod named;
mod row;
mod schema;

use domain::{Dim, Problem, Tensor, TensorSpec};

use crate::json::data::Data;

pub use example::{example, examples_example};
pub(crate) use frame::{Cell, Frame};
pub(crate) use named::{answered, answered_rows, inputs, instances, params};
pub(crate) use row::Row;
pub use schema::{answer_schema, schema};

/// The tensor of these elements, which stood in `field`. A list of single values is good for an input
/// that wants one in each row.
pub(crate) fn tensor(spec: &TensorSpec, data: Data, field: &str) -> Result<Tensor, Problem> {
    let Data { elements, nesting: mut shape } = data;
    if shape.last() == Some(&0) {
        // Arrays without elements end early: what would follow is what the model asks for.
        let rest = spec.shape.iter().skip(shape.len());
        shape.extend(rest.map(|dim| match dim {
            Dim::Fixed(size) => usize::try_from(*size).unwrap_or(0),
            Dim::Symbolic(_) | Dim::Any => 0,
        }));
    }
    let takes_one = spec.shape.last().is_some_and(|dim| dim.is_dynamic() || *dim == Dim::Fixed(1));
    if takes_one && shape.len() + 1 == spec.shape.len() {
        shape.push(1);
    }
    Tensor::new(spec.name.as_str(), shape, elements).map_err(|problem| problem.at(field))
}

/// The names of a model's inputs, for people.
pub(crate) fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<_> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
    names.join(", ")
}
