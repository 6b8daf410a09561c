//! The other side of `:predict`: what a caller sends, and how they read the answer.

use domain::{ErrorCode, Problem, Signature, Tensor, TensorSpec};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use super::{
    metadata::datatype_of,
    predict::{SIGNATURE, named_value},
};
use crate::{
    json::explain::explain,
    nested::{Nested, append},
    table::answered,
};

#[derive(Serialize)]
struct Request<'a> {
    inputs: Inputs<'a>,
}

/// An object with a tensor for each input, also where there is one.
struct Inputs<'a>(&'a [Tensor]);

impl Serialize for Inputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0.iter().map(|it| (it.name.as_str(), named_value(it, Nested::whole(it)))),
        )
    }
}

/// Appends a request for whole tensors to `out`. A failure leaves it as it was.
///
/// # Errors
/// BYTES that are not UTF-8 in an input not named `…_bytes`.
pub fn encode_request(out: &mut Vec<u8>, inputs: &[Tensor]) -> Result<(), Problem> {
    append(out, &Request { inputs: Inputs(inputs) }, inputs)
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `outputs`")]
struct Answer<'a> {
    #[serde(borrow)]
    outputs: &'a RawValue,
}

/// Reads the answer to such a request: the outputs that are asked for, in that order.
///
/// # Errors
/// It is none, or one of the outputs is not there.
pub fn decode_answer(body: &[u8], outputs: &[TensorSpec]) -> Result<Vec<Tensor>, Problem> {
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<Answer<'_>>(&error, body))?;
    answered(answer.outputs, outputs, "outputs")
}

/// Reads what goes in and comes out of a model, out of what its server says of it.
///
/// # Errors
/// It says nothing of the one signature that is asked for, or something that no tensor is.
pub fn decode_metadata(body: &[u8]) -> Result<Signature, Problem> {
    let wrong = |what: String| Problem::new(ErrorCode::Invalid, what);
    let told: Value = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let found = told.pointer(&format!("/metadata/signature_def/signature_def/{SIGNATURE}"));
    let found = found.ok_or_else(|| wrong(format!("there is no signature `{SIGNATURE}`")))?;
    let specs = |side: &str| -> Result<Vec<TensorSpec>, Problem> {
        let tensors = found.get(side).and_then(Value::as_object);
        let tensors = tensors.ok_or_else(|| wrong(format!("there are no `{side}`")))?;
        tensors.iter().map(|(name, told)| spec(name, told)).collect()
    };
    Ok(Signature::new(specs("inputs")?, specs("outputs")?))
}

fn spec(name: &str, told: &Value) -> Result<TensorSpec, Problem> {
    let wrong = |what: String| Problem::new(ErrorCode::Invalid, format!("`{name}` {what}"));
    let dtype = told.get("dtype").and_then(Value::as_str).unwrap_or_default();
    let datatype = datatype_of(dtype).ok_or_else(|| wrong(format!("is of the type `{dtype}`")))?;
    let shape = told.get("tensor_shape");
    if shape.and_then(|shape| shape.get("unknown_rank")).and_then(Value::as_bool) == Some(true) {
        return Err(wrong("has any number of dimensions".to_owned()));
    }
    let dims = shape.and_then(|shape| shape.get("dim")).and_then(Value::as_array);
    let dims = dims.map(Vec::as_slice).unwrap_or_default().iter().map(|dim| {
        let size =
            dim.get("size").and_then(Value::as_str).and_then(|size| size.parse::<i64>().ok());
        size.map(|size| u64::try_from(size).map_or(domain::Dim::Any, domain::Dim::Fixed))
            .ok_or_else(|| wrong("has a dimension without a size".to_owned()))
    });
    let shape = dims.collect::<Result<_, _>>()?;
    Ok(TensorSpec { name: name.to_owned(), datatype, shape, optional: false })
}

#[cfg(test)]
mod tests {
    use domain::TensorData;
    use serde_json::json;

    use super::{
        super::{Layout, decode, encode, metadata},
        *,
    };

    fn signature() -> Signature {
        serde_json::from_value(json!({
            "inputs": [{"name": "a", "datatype": "FP32", "shape": [-1, 2]},
                       {"name": "b_bytes", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 1]},
                        {"name": "z", "datatype": "INT64", "shape": [-1]}],
        }))
        .unwrap()
    }

    #[test]
    fn a_request_is_read_as_it_was_meant() {
        let inputs = [
            Tensor::new("a", vec![1, 2], TensorData::F32(vec![0.5, 1.0])).unwrap(),
            Tensor::new("b_bytes", vec![1], TensorData::Bytes(vec![vec![0xff]])).unwrap(),
        ];
        let mut body = Vec::new();
        encode_request(&mut body, &inputs).unwrap();
        assert_eq!(decode(&body, &signature()).unwrap().inputs, inputs);
    }

    #[test]
    fn an_answer_and_a_description_are_read_as_they_were_meant() {
        let outputs = [
            Tensor::new("y", vec![2, 1], TensorData::F64(vec![0.5, f64::INFINITY])).unwrap(),
            Tensor::new("z", vec![2], TensorData::I64(vec![1, -2])).unwrap(),
        ];
        let specs = signature().outputs;
        for (count, told) in [(2, "both"), (1, "the only one")] {
            let mut body = Vec::new();
            encode(&mut body, Layout::Columns, &outputs[..count]).unwrap();
            let read = decode_answer(&body, &specs[..count]).unwrap();
            assert_eq!(read, &outputs[..count], "{told}");
        }
        let told = metadata("m", "1", &signature()).to_string();
        assert_eq!(decode_metadata(told.as_bytes()).unwrap(), signature());
        for wrong in
            [json!({}), json!([]), json!({"predictions": [1]}), json!({"outputs": {"y": [[1]]}})]
        {
            assert!(decode_answer(wrong.to_string().as_bytes(), &specs).is_err(), "{wrong}");
            assert!(decode_metadata(wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
    }
}
