//! Input examples: request bodies that a version must be able to answer.
//!
//! Here only their form is checked, so that a wrong one is refused at once and by name; the trial
//! runs them for real.

mod mlflow;

use domain::{DataType, Problem, Signature, Tensor, TensorData, json::holds_nul};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::mlflow::of_mlflow;

const FIELD: &str = "input_example";
/// The longest example: it is shown with its version, in lists too.
pub(crate) const LONGEST: usize = 1 << 20;
/// JSON may not be nested deeper than tensors are.
const DEEPEST: usize = 64;

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: DataType,
    shape: Vec<usize>,
    data: Vec<Value>,
}

/// Checks an example, against the signature where there is one.
pub(crate) fn check(example: &Value, signature: Option<&Signature>) -> Result<(), Problem> {
    let wrong = |message: String| {
        Problem::invalid(FIELD, message).hint(
            "write a V2 request: {\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}]}",
        )
    };
    let length = example.to_string().len();
    if length > LONGEST {
        return Err(wrong(format!(
            "the input example has {length} bytes: expected at most {LONGEST}"
        )));
    }
    if holds_nul(example) {
        return Err(wrong("a text in the input example holds the character U+0000".to_owned()));
    }
    let inputs = example
        .get("inputs")
        .ok_or_else(|| wrong("the input example is no object with `inputs`".to_owned()))?;
    let inputs = Vec::<Input>::deserialize(inputs)
        .map_err(|error| wrong(format!("the input example's `inputs` are wrong: {error}")))?;
    let tensors = inputs.into_iter().map(tensor).collect::<Result<Vec<_>, _>>();
    let tensors = tensors.map_err(|problem| wrong(problem.message))?;
    let Some(signature) = signature else { return Ok(()) };
    signature.check(&tensors).map_err(|problem| {
        wrong(format!("the input example does not fit the model: {}", problem.message))
    })
}

/// A tensor of that name, type and shape; its elements are counted and of the right kind of JSON,
/// but not kept.
fn tensor(input: Input) -> Result<Tensor, Problem> {
    let Input { name, datatype, shape, data } = input;
    let count = count(&data, &name, datatype, 0)?;
    Tensor::new(name, shape, blank(datatype, count))
}

fn count(values: &[Value], name: &str, datatype: DataType, depth: usize) -> Result<usize, Problem> {
    if depth > DEEPEST {
        return Err(Problem::invalid(name, format!("the data of `{name}` is nested too deeply")));
    }
    let mut total = 0;
    for value in values {
        total += match (value, datatype) {
            (Value::Array(values), _) => count(values, name, datatype, depth + 1)?,
            (Value::Bool(_), DataType::Bool) | (Value::String(_), DataType::Bytes) => 1,
            (Value::Number(_), number) if !matches!(number, DataType::Bool | DataType::Bytes) => 1,
            // Not a number, as JSON writes it.
            (Value::Null, DataType::F16 | DataType::BF16 | DataType::F32 | DataType::F64) => 1,
            (other, _) => {
                let shown: String = other.to_string().chars().take(40).collect();
                let message = format!("`{name}` holds `{shown}`: expected {datatype}");
                return Err(Problem::invalid(name, message));
            }
        };
    }
    Ok(total)
}

fn blank(datatype: DataType, count: usize) -> TensorData {
    match datatype {
        DataType::Bool => TensorData::Bool(vec![false; count]),
        DataType::U8 => TensorData::U8(vec![0; count]),
        DataType::U16 => TensorData::U16(vec![0; count]),
        DataType::U32 => TensorData::U32(vec![0; count]),
        DataType::U64 => TensorData::U64(vec![0; count]),
        DataType::I8 => TensorData::I8(vec![0; count]),
        DataType::I16 => TensorData::I16(vec![0; count]),
        DataType::I32 => TensorData::I32(vec![0; count]),
        DataType::I64 => TensorData::I64(vec![0; count]),
        DataType::F16 => TensorData::F16(vec![Default::default(); count]),
        DataType::BF16 => TensorData::BF16(vec![Default::default(); count]),
        DataType::F32 => TensorData::F32(vec![0.0; count]),
        DataType::F64 => TensorData::F64(vec![0.0; count]),
        DataType::Bytes => TensorData::Bytes(vec![Vec::new(); count]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signature() -> Signature {
        serde_json::from_value(json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["n", 2]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": ["n"]}],
        }))
        .unwrap()
    }

    fn refusal(example: Value) -> String {
        let problem = check(&example, Some(&signature())).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("input_example"));
        problem.message
    }

    #[test]
    fn an_example_that_fits_is_taken_flat_or_nested() {
        for data in [json!([1, 2, 3, 4.5]), json!([[1, 2], [3, null]])] {
            let input = json!({"name": "x", "shape": [2, 2], "datatype": "FP32", "data": data});
            assert_eq!(check(&json!({"inputs": [input]}), Some(&signature())), Ok(()));
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_with_the_example() {
        let input = |shape: Value, datatype: &str, data: Value| {
            let x = json!({"name": "x", "shape": shape, "datatype": datatype, "data": data});
            json!({"inputs": [x]})
        };
        for (example, message) in [
            (json!([1, 2]), "the input example is no object with `inputs`"),
            (
                json!({"inputs": [{"name": "x"}]}),
                "the input example's `inputs` are wrong: missing field `datatype`",
            ),
            (
                input(json!([1, 2]), "FP32", json!([1])),
                "`x` has 1 elements, but its shape [1, 2] asks for 2",
            ),
            (input(json!([1, 2]), "FP32", json!(["a", 1])), "`x` holds `\"a\"`: expected FP32"),
            (input(json!([1, 2]), "INT64", json!([null, 1])), "`x` holds `null`: expected INT64"),
            (
                input(json!([1, 3]), "FP32", json!([1, 2, 3])),
                "the input example does not fit the model: `x` has shape [1, 3], but the model expects [n, 2]",
            ),
            (
                json!({"inputs": []}),
                "the input example does not fit the model: input `x` is missing: expected `x` FP32 [n, 2]",
            ),
            (
                json!({"inputs": [], "id": "x".repeat(1 << 20)}),
                "the input example has 1048597 bytes: expected at most 1048576",
            ),
            (
                json!({"inputs": [], "id": "a\u{0}"}),
                "a text in the input example holds the character U+0000",
            ),
        ] {
            assert_eq!(refusal(example), message);
        }
    }

    #[test]
    fn an_example_without_a_signature_must_have_the_form_only() {
        let strings =
            json!({"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": ["a"]}]});
        assert_eq!(check(&strings, None), Ok(()));
        assert!(check(&json!({}), None).is_err());
    }
}
