//! A body that is one tensor and nothing else.

use domain::{DataType, Dim, ErrorCode, Problem, Signature, Tensor, TensorData, TensorSpec, raw};
use serde_json::Map;

use super::JSON_LENGTH;
use crate::v2::{
    InferRequest,
    parameters::{BINARY_DATA_OUTPUT, Form},
    request::clipped,
};

/// Reads a body that is the model's one input; what it does not say follows from the signature.
///
/// # Errors
/// A model with more inputs, or with dimensions that the number of bytes does not tell; bytes that
/// are not whole rows.
pub fn decode_bare(body: &[u8], signature: &Signature) -> Result<InferRequest, Problem> {
    read(body, signature).map_err(clipped)
}

fn read(body: &[u8], signature: &Signature) -> Result<InferRequest, Problem> {
    let [spec] = signature.inputs.as_slice() else {
        let inputs = signature.inputs.len();
        let message = format!("the body is to be the model's one input, but it has {inputs}");
        return Err(Problem::invalid(JSON_LENGTH, message)
            .hint("send the JSON that names each input, and the bytes behind it"));
    };
    let (shape, data) = match spec.datatype.size() {
        Some(size) => {
            let shape = shape(spec, body.len(), size)?;
            let elements = Tensor::elements(&shape).unwrap_or(usize::MAX);
            let data = raw::read(spec.datatype, elements, body, &spec.name)?;
            (shape, data)
        }
        None => (element_shape(spec)?, TensorData::Bytes(vec![body.to_vec()])),
    };
    let parameters = Map::from_iter([(BINARY_DATA_OUTPUT.to_owned(), true.into())]);
    let inputs = vec![Tensor::new(spec.name.as_str(), shape, data)?];
    InferRequest { id: None, parameters, inputs, outputs: Vec::new() }
        .checked(signature, Form::Rest)
}

/// The shape of so many bytes: a first dynamic dimension of two is 1, the other one what is left.
fn shape(spec: &TensorSpec, bytes: usize, size: usize) -> Result<Vec<usize>, Problem> {
    let mut dynamic: Vec<_> = (0..spec.shape.len())
        .filter(|&at| spec.shape.get(at).is_some_and(Dim::is_dynamic))
        .collect();
    if dynamic.len() == 2 && dynamic.first() == Some(&0) {
        dynamic.remove(0);
    }
    if dynamic.len() > 1 {
        let message =
            format!("bytes alone do not tell the shape of `{}` {}", spec.name, spec.shape_text());
        return Err(Problem::invalid(&spec.name, message).hint("send the JSON that tells it"));
    }
    let mut shape = fixed(spec);
    if let Some(&at) = dynamic.first() {
        let row = Tensor::elements(&shape).and_then(|elements| elements.checked_mul(size));
        let rows = row.filter(|&row| row > 0 && bytes.is_multiple_of(row)).map(|row| bytes / row);
        let rows = rows.ok_or_else(|| {
            let (name, shape) = (&spec.name, spec.shape_text());
            let datatype = spec.datatype;
            let message = format!("{bytes} bytes are no whole rows of `{name}` {datatype} {shape}");
            Problem::new(ErrorCode::Invalid, message)
        })?;
        if let Some(dim) = shape.get_mut(at) {
            *dim = rows;
        }
    }
    Ok(shape)
}

/// The shape of one BYTES element.
fn element_shape(spec: &TensorSpec) -> Result<Vec<usize>, Problem> {
    let shape = fixed(spec);
    if Tensor::elements(&shape) == Some(1) {
        return Ok(shape);
    }
    let (name, shape) = (&spec.name, spec.shape_text());
    let message = format!("a body of {} is one element, but `{name}` has {shape}", DataType::Bytes);
    Err(Problem::invalid(name, message).hint("send the JSON that tells where each element is"))
}

/// Dynamic dimensions are 1.
fn fixed(spec: &TensorSpec) -> Vec<usize> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => usize::try_from(*size).unwrap_or(usize::MAX),
        Dim::Symbolic(_) | Dim::Any => 1,
    };
    spec.shape.iter().map(size).collect()
}
