//! The other side of the wire: what a caller sends, and how they read the answer.

use domain::{DataType, Problem, Tensor};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeSeed as _};
use serde_json::value::RawValue;

use super::encode::WireTensor;
use crate::{
    json::{
        data::{DataSeed, Dialect},
        explain::{explain, explain_data},
        not_text,
    },
    v2::request::shape,
};

#[derive(Serialize)]
struct Request<'a> {
    inputs: Inputs<'a>,
}

struct Inputs<'a>(&'a [&'a Tensor]);

impl Serialize for Inputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|tensor| WireTensor::of(tensor, None)))
    }
}

/// Appends a request for all outputs to `out`. A failure leaves it as it was.
///
/// # Errors
/// BYTES that are not UTF-8: JSON cannot hold them.
pub fn encode_request(out: &mut Vec<u8>, inputs: &[&Tensor]) -> Result<(), Problem> {
    let start = out.len();
    serde_json::to_writer(&mut *out, &Request { inputs: Inputs(inputs) }).map_err(|_| {
        out.truncate(start);
        not_text(inputs.iter().copied()).unwrap_or_else(Problem::internal)
    })
}

/// What else there is, of servers of all kinds, goes unseen.
#[derive(Deserialize)]
#[serde(expecting = "an object with `outputs`")]
struct Answer<'a> {
    #[serde(borrow)]
    outputs: Vec<Output<'a>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: DataType,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads the answer to such a request, in which floats may be `"NaN"`, `"Infinity"` and `"-Infinity"`.
///
/// # Errors
/// It is none; the problem names the place.
pub fn decode_answer(body: &[u8]) -> Result<Vec<Tensor>, Problem> {
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<Answer<'_>>(&error, body))?;
    answer.outputs.into_iter().enumerate().map(|(at, output)| output.tensor(at)).collect()
}

impl Output<'_> {
    fn tensor(self, at: usize) -> Result<Tensor, Problem> {
        let shape = shape(&self.shape, format_args!("outputs[{at}].shape"))?;
        let field = format!("outputs[{at}].data");
        let seed = DataSeed(self.datatype, Dialect::Answered);
        let read = seed.deserialize(self.data);
        let data = read.map_err(|error| explain_data(&error, seed, self.data.get(), &field))?;
        data.check_nesting(&shape, &field)?;
        Tensor::new(self.name, shape, data.elements).map_err(|problem| problem.at(field))
    }
}

#[cfg(test)]
mod tests {
    use domain::{Signature, TensorData};
    use serde_json::json;

    use super::{
        super::{decode, encode},
        *,
    };

    fn tensors() -> Vec<Tensor> {
        vec![
            Tensor::new("a", vec![2, 1], TensorData::F32(vec![f32::INFINITY, 2.5])).unwrap(),
            Tensor::new("b", vec![1], TensorData::Bytes(vec!["é".into()])).unwrap(),
            Tensor::new("c", vec![0, 3], TensorData::Bool(vec![])).unwrap(),
        ]
    }

    #[test]
    fn a_request_is_read_as_it_was_meant() {
        let tensors = &tensors()[1..];
        let specs: Vec<_> = tensors
            .iter()
            .map(|it| json!({"name": it.name, "datatype": it.datatype(), "shape": it.shape}))
            .collect();
        let signature: Signature =
            serde_json::from_value(json!({"inputs": specs, "outputs": []})).unwrap();
        let mut body = Vec::new();
        encode_request(&mut body, &tensors.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(decode(&body, &signature).unwrap().inputs, tensors);
        let bytes = Tensor::new("b", vec![1], TensorData::Bytes(vec![vec![0xff]])).unwrap();
        assert!(encode_request(&mut body, &[&bytes]).unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn an_answer_is_read_as_it_was_meant_and_nothing_else_is() {
        let mut body = Vec::new();
        encode(&mut body, "fraud", "1", Some("id"), &tensors()).unwrap();
        assert_eq!(decode_answer(&body), Ok(tensors()));
        for cut in 0..body.len() {
            assert!(decode_answer(&body[..cut]).is_err(), "{cut}");
        }
        for (wrong, told) in [
            (json!({"predictions": []}), "outputs"),
            (json!([]), "outputs"),
            (json!({"outputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}), "data"),
            (
                json!({"outputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1]}]}),
                "asks for 2",
            ),
            (
                json!({"outputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": ["1"]}]}),
                "INT8",
            ),
            (
                json!({"outputs": [{"name": "x", "shape": [-1], "datatype": "INT8", "data": []}]}),
                "shape",
            ),
        ] {
            let refused = decode_answer(wrong.to_string().as_bytes()).unwrap_err();
            assert!(refused.message.contains(told), "{wrong}: {refused}");
        }
        let more = json!({"model_name": "m", "parameters": {"x": 1}, "outputs": [
            {"name": "x", "shape": [2, 1], "datatype": "FP32", "parameters": {}, "data": [[null], ["-Infinity"]]},
        ]});
        let read = decode_answer(more.to_string().as_bytes()).unwrap();
        let TensorData::F32(values) = &read[0].data else { panic!("{read:?}") };
        assert!(values[0].is_nan() && values[1] == f32::NEG_INFINITY);
    }
}
