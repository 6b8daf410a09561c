//! What a request for a model looks like: an example of one, and the schema of all.

use domain::{Dim, Signature, TensorSpec};
use serde_json::{Value, json};

use crate::json::{
    schema::{DIALECT, answered, any_of, element, sizes},
    zero,
};

/// The most elements that an example spells out.
const EXAMPLE_ELEMENTS: u64 = 10_000;

/// A request body for this signature: every dynamic dimension is 1, every element zero, false or
/// empty. An input of more than 10,000 elements has an empty `data`, for the reader to fill.
#[must_use]
pub fn example(signature: &Signature) -> Value {
    let inputs: Vec<_> = signature.inputs.iter().map(example_input).collect();
    json!({ "inputs": inputs })
}

fn example_input(spec: &TensorSpec) -> Value {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbolic(_) | Dim::Any => 1,
    };
    let shape: Vec<u64> = spec.shape.iter().map(size).collect();
    let elements = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
    let spelled_out = elements.filter(|&elements| elements <= EXAMPLE_ELEMENTS).unwrap_or(0);
    let data: Vec<_> = (0..spelled_out).map(|_| zero(spec.datatype)).collect();
    json!({ "name": spec.name, "shape": shape, "datatype": spec.datatype, "data": data })
}

/// The JSON Schema (2020-12) of a request body for this signature. It cannot say that the elements
/// are as many as the shape asks for, nor that each input stands once.
#[must_use]
pub fn schema(signature: &Signature) -> Value {
    let inputs: Vec<_> = signature.inputs.iter().map(input_schema).collect();
    let outputs: Vec<_> = signature.outputs.iter().map(|spec| &spec.name).collect();
    json!({
        "$schema": DIALECT,
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": false,
        "properties": {
            "id": { "type": ["string", "null"] },
            "parameters": { "type": ["object", "null"] },
            "inputs": {
                "type": "array",
                "minItems": signature.inputs.iter().filter(|spec| !spec.optional).count(),
                "maxItems": signature.inputs.len(),
                "items": any_of(inputs),
            },
            "outputs": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": false,
                    "properties": {
                        "name": { "enum": outputs },
                        "parameters": { "type": ["object", "null"] },
                    },
                },
            },
        },
        "examples": [example(signature)],
    })
}

/// The JSON Schema (2020-12) of the answer to a request for all outputs.
#[must_use]
pub fn answer_schema(signature: &Signature) -> Value {
    let count = signature.outputs.len();
    let outputs: Vec<_> = signature.outputs.iter().map(output_schema).collect();
    json!({
        "$schema": DIALECT,
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "id": { "type": "string" },
            "model_name": { "type": "string" },
            "model_version": { "type": "string" },
            "outputs": {
                "type": "array", "minItems": count, "maxItems": count, "items": any_of(outputs),
            },
        },
    })
}

fn output_schema(spec: &TensorSpec) -> Value {
    json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": { "const": spec.name },
            "shape": sizes(&spec.shape),
            "datatype": { "const": spec.datatype },
            "data": { "type": "array", "items": answered(spec.datatype) },
        },
    })
}

fn input_schema(spec: &TensorSpec) -> Value {
    let element = element(spec.datatype);
    // Flat: an array of elements. Nested: an array of arrays, down to the elements.
    let mut data = vec![json!({ "type": "array", "items": element })];
    match spec.shape.len() {
        0 => data.push(element),
        1 => {}
        _ => data.push(json!({ "type": "array", "items": { "type": "array" } })),
    }
    json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "additionalProperties": false,
        "properties": {
            "name": { "const": spec.name },
            "shape": sizes(&spec.shape),
            "datatype": { "const": spec.datatype },
            "parameters": { "type": ["object", "null"] },
            "data": any_of(data),
        },
    })
}

#[cfg(test)]
mod tests {
    use domain::DataType;

    use super::{super::decode, *};

    fn signature(datatype: &str, shape: Value) -> Signature {
        let inputs = json!([{"name": "x", "datatype": datatype, "shape": shape}]);
        serde_json::from_value(json!({"inputs": inputs, "outputs": []})).unwrap()
    }

    #[test]
    fn an_example_is_a_request_that_is_taken() {
        for &datatype in DataType::ALL {
            for shape in [json!([]), json!(["n", 2]), json!([-1, 0, 3]), json!([3])] {
                let signature = signature(datatype.as_str(), shape);
                let body = example(&signature).to_string();
                assert!(decode(body.as_bytes(), &signature).is_ok(), "{body}");
            }
        }
    }

    #[test]
    fn an_example_stays_small_for_a_huge_signature() {
        for shape in [json!([i64::MAX]), json!([i64::MAX, i64::MAX]), json!([10_001])] {
            let example = example(&signature("FP32", shape.clone()));
            assert_eq!(example["inputs"][0]["shape"], shape);
            assert_eq!(example["inputs"][0]["data"], json!([]));
        }
    }

    #[test]
    fn the_schema_of_a_request_says_what_each_input_is() {
        let signature: Signature = serde_json::from_value(json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["batch", 2]},
                       {"name": "age", "datatype": "UINT8", "shape": [-1]},
                       {"name": "note", "datatype": "BYTES", "shape": []}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
        }))
        .unwrap();
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(schema(&signature));
        });
    }

    #[test]
    fn the_schema_of_a_model_without_inputs_takes_none() {
        let nothing = Signature::new(vec![], vec![]);
        let schema = schema(&nothing);
        assert_eq!(schema["properties"]["inputs"]["items"], json!(false));
        assert_eq!(schema["properties"]["inputs"]["maxItems"], 0);
    }
}
