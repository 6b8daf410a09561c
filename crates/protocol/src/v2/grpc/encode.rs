//! Tensors, to an answer's message.

use domain::{DataType, Problem, Tensor, TensorData, raw};

use super::{
    Contents,
    messages::{InferTensorContents, ModelInferResponse, model_infer_response::InferOutputTensor},
};

/// Writes an answer, with its elements in this form, or raw if one of them has no other.
///
/// # Errors
/// A BYTES element of 4 GiB or more, which has no raw form.
pub fn encode(
    model_name: impl Into<String>,
    model_version: impl Into<String>,
    id: Option<String>,
    outputs: Vec<Tensor>,
    contents: Contents,
) -> Result<ModelInferResponse, Problem> {
    let raw_only =
        outputs.iter().any(|output| matches!(output.datatype(), DataType::F16 | DataType::BF16));
    let is_raw = raw_only || contents == Contents::Raw;
    let mut response = ModelInferResponse {
        model_name: model_name.into(),
        model_version: model_version.into(),
        id: id.unwrap_or_default(),
        ..Default::default()
    };
    response.outputs.reserve_exact(outputs.len());
    if is_raw {
        response.raw_output_contents.reserve_exact(outputs.len());
    }
    for Tensor { name, shape, data } in outputs {
        let datatype = data.datatype().to_string();
        let contents = if is_raw {
            response.raw_output_contents.push(raw::write(&data)?.into());
            None
        } else {
            Some(typed(data))
        };
        response.outputs.push(InferOutputTensor {
            name,
            datatype,
            // A tensor's sizes are those of memory, which end at isize::MAX.
            shape: shape.into_iter().map(|size| size as i64).collect(),
            contents,
            ..Default::default()
        });
    }
    Ok(response)
}

fn typed(data: TensorData) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(elements) => contents.bool_contents = elements,
        TensorData::U8(elements) => contents.uint_contents = widened(elements),
        TensorData::U16(elements) => contents.uint_contents = widened(elements),
        TensorData::U32(elements) => contents.uint_contents = elements,
        TensorData::U64(elements) => contents.uint64_contents = elements,
        TensorData::I8(elements) => contents.int_contents = widened(elements),
        TensorData::I16(elements) => contents.int_contents = widened(elements),
        TensorData::I32(elements) => contents.int_contents = elements,
        TensorData::I64(elements) => contents.int64_contents = elements,
        // Never here: an answer that holds one of these is raw.
        TensorData::F16(_) | TensorData::BF16(_) => {}
        TensorData::F32(elements) => contents.fp32_contents = elements,
        TensorData::F64(elements) => contents.fp64_contents = elements,
        TensorData::Bytes(elements) => contents.bytes_contents = elements,
    }
    contents
}

fn widened<N, W: From<N>>(narrow: Vec<N>) -> Vec<W> {
    narrow.into_iter().map(W::from).collect()
}
