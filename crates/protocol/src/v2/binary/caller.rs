//! The other side of the wire: what a caller sends, and how they read the answer.

use domain::{DataType, ErrorCode, Problem, Tensor, raw};
use serde::{Deserialize, Serialize};

use super::Tail;

#[derive(Serialize)]
struct Request<'a> {
    inputs: Vec<Input<'a>>,
    parameters: Wanted,
}

#[derive(Serialize)]
struct Wanted {
    binary_data_output: bool,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    shape: &'a [usize],
    datatype: DataType,
    parameters: Size,
}

#[derive(Serialize, Deserialize)]
struct Size {
    binary_data_size: u64,
}

/// Appends a request for all outputs, with every tensor in binary, to `out`, and tells how many bytes of
/// it are JSON.
///
/// # Errors
/// An element of 4 GiB.
pub fn encode_request(out: &mut Vec<u8>, inputs: &[Tensor]) -> Result<usize, Problem> {
    let input = |tensor: &'_ Tensor| Size { binary_data_size: raw::len(&tensor.data) as u64 };
    let described = inputs.iter().map(|tensor| Input {
        name: &tensor.name,
        shape: &tensor.shape,
        datatype: tensor.datatype(),
        parameters: input(tensor),
    });
    let parameters = Wanted { binary_data_output: true };
    let request = Request { inputs: described.collect(), parameters };
    let begin = out.len();
    serde_json::to_writer(&mut *out, &request).map_err(|_| Problem::internal())?;
    let json_length = out.len() - begin;
    out.reserve(inputs.iter().map(|tensor| raw::len(&tensor.data)).sum());
    for tensor in inputs {
        raw::append(out, &tensor.data)?;
    }
    Ok(json_length)
}

#[derive(Deserialize)]
struct Answer {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    datatype: DataType,
    parameters: Size,
}

/// Reads the answer to such a request, whose first `json_length` bytes are JSON.
///
/// # Errors
/// It is none.
pub fn decode_answer(body: &[u8], json_length: usize) -> Result<Vec<Tensor>, Problem> {
    let wrong = |why: String| Problem::new(ErrorCode::Invalid, format!("no answer of V2: {why}"));
    let (json, tail) = body
        .split_at_checked(json_length)
        .ok_or_else(|| wrong(format!("it has {} bytes, not {json_length}", body.len())))?;
    let answer: Answer = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
    let mut tail = Tail::new(tail);
    let mut tensors = Vec::with_capacity(answer.outputs.len());
    for Output { name, shape, datatype, parameters } in answer.outputs {
        let data = tail.tensor(datatype, &shape, parameters.binary_data_size, &name)?;
        tensors.push(Tensor::new(name, shape, data)?);
    }
    tail.finish()?;
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use domain::{Signature, TensorData};

    use super::{
        super::{BinaryOutputs, decode, encode},
        *,
    };

    fn tensors() -> Vec<Tensor> {
        vec![
            Tensor::new("a", vec![2, 1], TensorData::F32(vec![f32::INFINITY, 2.5])).unwrap(),
            Tensor::new("b", vec![], TensorData::Bytes(vec![vec![0xff, 0]])).unwrap(),
            Tensor::new("c", vec![0, 3], TensorData::Bool(vec![])).unwrap(),
        ]
    }

    #[test]
    fn a_request_is_read_as_it_was_meant() {
        let specs: Vec<_> = tensors()
            .iter()
            .map(|it| serde_json::json!({"name": it.name, "datatype": it.datatype(), "shape": it.shape}))
            .collect();
        let signature = serde_json::json!({"inputs": specs, "outputs": []});
        let signature: Signature = serde_json::from_value(signature).unwrap();
        let mut body = b"before".to_vec();
        let length = encode_request(&mut body, &tensors()).unwrap();
        let request = decode(&body[6..], length, &signature).unwrap();
        assert_eq!(request.inputs, tensors());
        assert_eq!(request.binary_outputs(), BinaryOutputs::All);
    }

    #[test]
    fn an_answer_is_read_as_it_was_meant_and_nothing_else_is() {
        let mut body = Vec::new();
        let length =
            encode(&mut body, "fraud", "1", Some("id"), &tensors(), &BinaryOutputs::All).unwrap();
        assert_eq!(decode_answer(&body, length), Ok(tensors()));
        for cut in 0..body.len() {
            assert!(decode_answer(&body[..cut], length).is_err(), "{cut}");
        }
        for wrong in [0, length - 1, length + 1, body.len() + 1, usize::MAX] {
            assert!(decode_answer(&body, wrong).is_err(), "{wrong}");
        }
        body.push(0);
        assert!(decode_answer(&body, length).is_err());
    }
}
