//! JSON Schemas (2020-12) of requests of rows, and of their answers, in the form that TensorFlow
//! Serving's `:predict` takes and gives.

use domain::{DataType, Dim, Signature, TensorSpec};
use serde_json::{Map, Value, json};

use super::example::rows;
use crate::json::schema::{DIALECT, answered, any_of, element, nested};

/// A request of rows: `instances`, with the value of a model's only input or an object for each row.
/// Where an input has no rows, `inputs` with whole tensors.
#[must_use]
pub fn schema(signature: &Signature) -> Value {
    let specs = signature.inputs.as_slice();
    let (field, value) = if rows(specs).is_some() {
        ("instances", json!({ "type": "array", "minItems": 1, "items": one_or_all(specs, asked) }))
    } else {
        (
            "inputs",
            object(specs, |spec| nested(bytes_or(spec, element(spec.datatype)), &spec.shape)),
        )
    };
    json!({
        "$schema": DIALECT,
        "type": "object",
        "required": [field],
        "additionalProperties": false,
        "properties": { field: value, "signature_name": { "const": "serving_default" } },
        "examples": [super::example(signature)],
    })
}

/// Its answer: `predictions`, with the value of the only output or an object for each row; `outputs`
/// for whole tensors.
#[must_use]
pub fn answer_schema(signature: &Signature) -> Value {
    let specs = signature.outputs.as_slice();
    let whole = |spec: &TensorSpec| nested(output(spec), &spec.shape);
    let (field, value) = if rows(&signature.inputs).is_some() {
        ("predictions", json!({ "type": "array", "items": one_or_all(specs, predicted) }))
    } else {
        ("outputs", one_or_all(specs, whole))
    };
    json!({ "$schema": DIALECT, "type": "object", "required": [field], "properties": { field: value } })
}

/// The value of the only input or output, or an object with one for each.
fn one_or_all(specs: &[TensorSpec], value: impl Fn(&TensorSpec) -> Value) -> Value {
    match specs {
        [only] => value(only),
        all => object(all, value),
    }
}

fn object(specs: &[TensorSpec], value: impl Fn(&TensorSpec) -> Value) -> Value {
    let required = specs.iter().filter(|spec| !spec.optional);
    let names: Vec<_> = required.map(|spec| &spec.name).collect();
    let values: Map<_, _> = specs.iter().map(|spec| (spec.name.clone(), value(spec))).collect();
    json!({
        "type": "object", "required": names, "additionalProperties": false, "properties": values,
    })
}

/// An input's value in one row; a single one is good where each row wants one.
fn asked(spec: &TensorSpec) -> Value {
    let element = bytes_or(spec, element(spec.datatype));
    let rest = spec.shape.get(1..).unwrap_or_default();
    let whole = nested(element.clone(), rest);
    match rest {
        [last] if last.is_dynamic() || *last == Dim::Fixed(1) => any_of(vec![whole, element]),
        _ => whole,
    }
}

/// An output's value in one row.
fn predicted(spec: &TensorSpec) -> Value {
    nested(output(spec), spec.shape.get(1..).unwrap_or_default())
}

fn output(spec: &TensorSpec) -> Value {
    if spec.datatype == DataType::Bytes && spec.name.ends_with("_bytes") {
        return base64();
    }
    answered(spec.datatype)
}

/// BYTES may come as Base64.
fn bytes_or(spec: &TensorSpec, element: Value) -> Value {
    if spec.datatype == DataType::Bytes { any_of(vec![element, base64()]) } else { element }
}

fn base64() -> Value {
    json!({
        "type": "object", "required": ["b64"], "additionalProperties": false,
        "properties": { "b64": { "type": "string", "contentEncoding": "base64" } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(inputs: Value, outputs: Value) -> Signature {
        serde_json::from_value(json!({"inputs": inputs, "outputs": outputs})).unwrap()
    }

    #[test]
    fn rows_of_several_inputs_are_objects_and_of_one_its_values() {
        let matrix = json!([{"name": "x", "datatype": "FP32", "shape": ["n", 2]}]);
        let two = json!([{"name": "a", "datatype": "INT8", "shape": [-1, 1]},
                         {"name": "b_bytes", "datatype": "BYTES", "shape": [-1]}]);
        let one = schema(&signature(matrix.clone(), two.clone()));
        let row = &one["properties"]["instances"]["items"];
        assert_eq!((&row["minItems"], &row["items"]), (&json!(2), &json!({"type": "number"})));
        let several = schema(&signature(two.clone(), matrix.clone()));
        let row = &several["properties"]["instances"]["items"];
        assert_eq!(row["required"], json!(["a", "b_bytes"]));
        // A value, or a list of one.
        assert_eq!(row["properties"]["a"]["anyOf"][1]["maximum"], 127);

        let answer = answer_schema(&signature(matrix.clone(), two));
        let row = &answer["properties"]["predictions"]["items"]["properties"];
        assert_eq!(row["b_bytes"]["required"], json!(["b64"]));
        assert_eq!(row["a"]["items"]["minimum"], -128);
        let answer = answer_schema(&signature(matrix.clone(), matrix));
        let row = &answer["properties"]["predictions"]["items"];
        assert_eq!(row["items"]["anyOf"][1]["enum"][0], "NaN");
    }

    #[test]
    fn inputs_without_rows_go_as_whole_tensors() {
        let scalar = json!([{"name": "t", "datatype": "BOOL", "shape": []}]);
        let both = signature(scalar.clone(), scalar);
        assert_eq!(
            schema(&both)["properties"]["inputs"]["properties"],
            json!({"t": {"type": "boolean"}})
        );
        assert_eq!(answer_schema(&both)["properties"]["outputs"], json!({"type": "boolean"}));
    }
}
