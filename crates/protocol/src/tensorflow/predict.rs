//! `:predict`

use domain::{ErrorCode, Problem, Signature, Tensor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::{data::Dialect, explain::explain},
    nested::{Nested, append, rows},
    table::{inputs, instances},
};

/// The one signature that models have here.
pub(super) const SIGNATURE: &str = "serving_default";

/// How an answer is laid out, which is as the request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `predictions`, a value or an object for each row.
    Rows,
    /// `outputs`, a tensor or an object of tensors.
    Columns,
}

/// A request whose inputs fit the model's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictRequest {
    /// In the signature's order.
    pub inputs: Vec<Tensor>,
    /// How to answer.
    pub layout: Layout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `instances` or `inputs`")]
struct Wire<'a> {
    signature_name: Option<String>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
}

/// Reads the body of a request.
///
/// # Errors
/// A body that is no such request, or that does not fit the signature.
pub fn decode(body: &[u8], signature: &Signature) -> Result<PredictRequest, Problem> {
    if body.trim_ascii_start().starts_with(b"[") {
        let message = "the body is a list: expected an object with `instances` or `inputs`";
        return Err(Problem::new(ErrorCode::Invalid, message));
    }
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<Wire<'_>>(&error, body))?;
    check_signature_name(wire.signature_name)?;
    let (inputs, layout) = match (wire.instances, wire.inputs) {
        (Some(it), None) => (instances(it, signature, Dialect::TensorFlow)?, Layout::Rows),
        (None, Some(it)) => (inputs(it, signature, Dialect::TensorFlow)?, Layout::Columns),
        (Some(_), Some(_)) | (None, None) => {
            let message = "the body needs one of `instances` (rows) and `inputs` (columns)";
            return Err(Problem::new(ErrorCode::Invalid, message));
        }
    };
    signature.check(&inputs)?;
    Ok(PredictRequest { inputs, layout })
}

/// Refuses the name of any other signature.
pub(super) fn check_signature_name(name: Option<String>) -> Result<(), Problem> {
    let Some(name) = name.filter(|name| !["", SIGNATURE].contains(&name.as_str())) else {
        return Ok(());
    };
    let shown: String = name.chars().take(100).collect();
    let message = format!("the model has no signature `{shown}`: it has `{SIGNATURE}`");
    Err(Problem::invalid("signature_name", message))
}

/// Appends the body of an answer to `out`. A failure leaves it as it was.
///
/// # Errors
/// BYTES that are not UTF-8 in an output not named `…_bytes`, or, for rows, outputs without rows or
/// with different numbers of them.
pub fn encode(out: &mut Vec<u8>, layout: Layout, outputs: &[Tensor]) -> Result<(), Problem> {
    match layout {
        Layout::Rows => {
            let predictions = Rows { rows: rows(outputs)?, outputs };
            append(out, &Predictions { predictions }, outputs)
        }
        Layout::Columns => append(out, &Outputs { outputs: Columns(outputs) }, outputs),
    }
}

#[derive(Serialize)]
struct Predictions<'a> {
    predictions: Rows<'a>,
}

#[derive(Serialize)]
struct Outputs<'a> {
    outputs: Columns<'a>,
}

struct Rows<'a> {
    rows: usize,
    outputs: &'a [Tensor],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.rows).map(|row| Row { row, outputs: self.outputs }))
    }
}

struct Row<'a> {
    row: usize,
    outputs: &'a [Tensor],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named(self.outputs, |output| Nested::row(output, self.row), serializer)
    }
}

struct Columns<'a>(&'a [Tensor]);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named(self.0, Nested::whole, serializer)
    }
}

/// BYTES by the name of their tensor.
pub(super) fn named_value<'a>(tensor: &Tensor, value: Nested<'a>) -> Nested<'a> {
    if tensor.name.ends_with("_bytes") { value.in_base64() } else { value }
}

/// The only output's value, or an object with one for each.
fn named<'a, S: Serializer>(
    outputs: &'a [Tensor],
    value: impl Fn(&'a Tensor) -> Nested<'a>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let value = |output: &'a Tensor| named_value(output, value(output));
    match outputs {
        [only] => value(only).serialize(serializer),
        all => serializer.collect_map(all.iter().map(|it| (it.name.as_str(), value(it)))),
    }
}

#[cfg(test)]
mod tests {
    use domain::TensorData;
    use serde_json::{Value, json};

    use super::*;

    fn signature(inputs: Value) -> Signature {
        serde_json::from_value(json!({"inputs": inputs, "outputs": []})).unwrap()
    }

    fn read(body: &Value, signature: &Signature) -> Result<PredictRequest, Problem> {
        decode(body.to_string().as_bytes(), signature)
    }

    #[test]
    fn rows_and_columns_of_the_same_values_are_the_same_tensors() {
        let one = signature(json!([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]));
        let tensor = Tensor::new("x", vec![2, 2], TensorData::F32(vec![1., 2., 3., 4.])).unwrap();
        for (body, layout) in [
            (json!({"instances": [[1, 2], [3, 4.0]]}), Layout::Rows),
            (json!({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}), Layout::Rows),
            (json!({"inputs": [[1, 2], [3, 4]]}), Layout::Columns),
            (
                json!({"inputs": {"x": [[1, 2], [3, 4]]}, "signature_name": "serving_default"}),
                Layout::Columns,
            ),
        ] {
            let request = read(&body, &one).unwrap();
            assert_eq!(request, PredictRequest { inputs: vec![tensor.clone()], layout }, "{body}");
        }
        let two = signature(json!([
            {"name": "a", "datatype": "INT64", "shape": [-1]},
            {"name": "b", "datatype": "BYTES", "shape": [-1, 1]},
        ]));
        let a = Tensor::new("a", vec![2], TensorData::I64(vec![1, 2])).unwrap();
        let b =
            Tensor::new("b", vec![2, 1], TensorData::Bytes(vec!["é".into(), vec![0xff]])).unwrap();
        for body in [
            json!({"instances": [{"a": 1, "b": "é"}, {"b": {"b64": "/w=="}, "a": 2}]}),
            json!({"instances": [{"a": 1, "b": ["é"]}, {"b": [{"b64": "/w=="}], "a": 2}]}),
            json!({"inputs": {"a": [1, 2], "b": ["é", {"b64": "/w=="}]}}),
        ] {
            assert_eq!(read(&body, &two).unwrap().inputs, [a.clone(), b.clone()], "{body}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_place() {
        let one = signature(json!([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]));
        let two = signature(json!([
            {"name": "a", "datatype": "INT64", "shape": [-1]},
            {"name": "b", "datatype": "FP32", "shape": [-1]},
        ]));
        for (signature, body, told) in [
            (&one, json!({}), "one of `instances`"),
            (&one, json!({"instances": [[1, 2]], "inputs": [[1, 2]]}), "one of `instances`"),
            (&one, json!({"instances": {"x": 1}}), "no list"),
            (&one, json!({"instances": [[1, 2], [3]]}), "differ in length"),
            (&one, json!({"instances": [[1, 2, 3]]}), "[1, 3]"),
            (&one, json!({"instances": [[1, null]]}), "instances[0][1]"),
            (
                &one,
                json!({"instances": [[1, 2]], "signature_name": "other"}),
                "no signature `other`",
            ),
            (&one, json!({"instances": [[1, 2]], "context": 1}), "context"),
            (&two, json!({"instances": [1, 2]}), "an object with `a`, `b`"),
            (&two, json!({"instances": []}), "a row at least"),
            (&two, json!({"instances": [{"a": 1, "b": 1}, {"a": 1}]}), "instances[1]"),
            (&two, json!({"instances": [{"a": 1, "b": 1}, {"a": 1.5, "b": 1}]}), "instances[1].a"),
            (&two, json!({"instances": [{"a": 1, "b": 1, "c": 1}]}), "no input `c`"),
            (&two, json!({"inputs": {"a": [1]}}), "there is no `b`"),
            (&two, json!({"inputs": [1]}), "an object with `a`, `b`"),
            (&two, json!({"inputs": {"a": [1], "b": [{"b64": "x"}]}}), "inputs.b"),
        ] {
            let problem = read(&body, signature).unwrap_err();
            let said = format!("{problem:?}");
            assert!(said.contains(told), "{body}: {said}");
        }
    }

    #[test]
    fn an_answer_is_laid_out_as_the_request_was() {
        let written = |layout, outputs: &[Tensor]| {
            let mut out = Vec::new();
            encode(&mut out, layout, outputs).unwrap();
            String::from_utf8(out).unwrap()
        };
        let y = Tensor::new("y", vec![2, 1], TensorData::F32(vec![0.5, 1.5])).unwrap();
        let text =
            Tensor::new("t_bytes", vec![2], TensorData::Bytes(vec![vec![0xff], vec![]])).unwrap();
        let one = std::slice::from_ref(&y);
        assert_eq!(written(Layout::Rows, one), r#"{"predictions":[[0.5],[1.5]]}"#);
        assert_eq!(written(Layout::Columns, one), r#"{"outputs":[[0.5],[1.5]]}"#);
        let two = [y, text];
        assert_eq!(
            written(Layout::Rows, &two),
            r#"{"predictions":[{"y":[0.5],"t_bytes":{"b64":"/w=="}},{"y":[1.5],"t_bytes":{"b64":""}}]}"#
        );
        assert_eq!(
            written(Layout::Columns, &two),
            r#"{"outputs":{"y":[[0.5],[1.5]],"t_bytes":[{"b64":"/w=="},{"b64":""}]}}"#
        );
    }
}
