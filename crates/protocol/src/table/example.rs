//! What a request of rows looks like.

use domain::{Dim, Signature, TensorSpec};
use serde_json::{Map, Value, json};

use crate::json::zero;

/// The most elements that an example spells out for an input.
const ELEMENTS: u64 = 1_000;

/// A request body for this signature that TensorFlow Serving's REST and MLflow's scoring both take:
/// one row, or as many as the model insists on, every element zero, false or empty. Whole tensors
/// where an input has no rows; empty lists where they would be long.
#[must_use]
pub fn example(signature: &Signature) -> Value {
    let specs = signature.inputs.as_slice();
    let Some(rows) = rows(specs) else {
        let whole = specs.iter().map(|spec| (spec.name.clone(), nested(spec, &spec.shape)));
        return json!({"inputs": whole.collect::<Map<_, _>>()});
    };
    let value = |spec: &TensorSpec| nested(spec, spec.shape.get(1..).unwrap_or_default());
    let row = match specs {
        [only] => value(only),
        all => {
            all.iter().map(|spec| (spec.name.clone(), value(spec))).collect::<Map<_, _>>().into()
        }
    };
    let count = rows.first().copied().filter(|&count| count <= ELEMENTS).unwrap_or(1);
    json!({"instances": (0..count).map(|_| row.clone()).collect::<Vec<_>>()})
}

/// A request body for this signature that `:classify` and `:regress` take: an example for each row.
#[must_use]
pub fn examples_example(signature: &Signature) -> Value {
    let mut body = example(signature);
    let Some(Value::Array(rows)) = body.get_mut("instances").map(Value::take) else {
        return json!({"examples": [{}]});
    };
    let each = |row: Value| match (signature.inputs.as_slice(), row) {
        ([only], value) => json!({only.name.as_str(): value}),
        (_, row) => row,
    };
    json!({"examples": rows.into_iter().map(each).collect::<Vec<_>>()})
}

/// The number of rows of each input, where all have as many.
pub(super) fn rows(specs: &[TensorSpec]) -> Option<Vec<u64>> {
    let rows = specs.iter().map(|spec| spec.shape.first().map(size)).collect::<Option<Vec<_>>>();
    rows.filter(|rows| rows.iter().all(|count| Some(count) == rows.first()))
}

/// Zeros of a shape; an empty list if they are many.
fn nested(spec: &TensorSpec, shape: &[Dim]) -> Value {
    let elements = shape.iter().map(size).try_fold(1_u64, u64::checked_mul);
    if elements.is_none_or(|elements| elements > ELEMENTS) {
        return json!([]);
    }
    shape.iter().rev().fold(zero(spec.datatype), |inner, dim| {
        Value::Array((0..size(dim)).map(|_| inner.clone()).collect())
    })
}

/// The size that stands for a dimension.
const fn size(dim: &Dim) -> u64 {
    match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbolic(_) | Dim::Any => 1,
    }
}

#[cfg(test)]
mod tests {
    use domain::DataType;

    use super::*;
    use crate::{
        scoring::{self, Format},
        tensorflow,
    };

    #[test]
    fn an_example_is_taken_by_both_protocols() {
        for &datatype in DataType::ALL {
            for shape in [json!([-1]), json!(["n", 2]), json!([-1, 2, 3]), json!([3, 2]), json!([])]
            {
                for inputs in [vec!["x"], vec!["x", "y"]] {
                    let specs = inputs
                        .iter()
                        .map(|name| json!({"name": name, "datatype": datatype, "shape": shape}));
                    let specs: Vec<Value> = specs.collect();
                    let signature = json!({"inputs": specs, "outputs": []});
                    let signature: Signature = serde_json::from_value(signature).unwrap();
                    let body = example(&signature).to_string();
                    let read = tensorflow::decode(body.as_bytes(), &signature);
                    assert!(read.is_ok(), "{body}: {read:?}");
                    let read = scoring::decode(Format::Json, body.as_bytes(), &signature, 0);
                    assert!(read.is_ok(), "{body}: {read:?}");
                    if shape == json!([]) {
                        continue;
                    }
                    let scores = json!([{"name": "p", "datatype": "FP32", "shape": [-1, 2]}]);
                    let outputs = serde_json::from_value(scores).unwrap();
                    let signature = Signature { outputs, ..signature };
                    let body = examples_example(&signature).to_string();
                    let task = tensorflow::Task::Classify;
                    let read = tensorflow::decode_examples(task, body.as_bytes(), &signature);
                    assert!(read.is_ok(), "{body}: {read:?}");
                }
            }
        }
    }

    #[test]
    fn an_example_stays_small() {
        for shape in [json!([i64::MAX, 2]), json!([-1, i64::MAX, i64::MAX]), json!([-1, 1001])] {
            let inputs = json!([{"name": "x", "datatype": "FP32", "shape": shape}]);
            let signature = json!({"inputs": inputs, "outputs": []});
            let signature = serde_json::from_value(signature).unwrap();
            assert!(example(&signature).to_string().len() < 100);
        }
    }
}
