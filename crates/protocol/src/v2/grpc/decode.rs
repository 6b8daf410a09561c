//! A request's message, to tensors.

use std::{collections::BTreeMap, fmt::Display};

use bytes::Bytes;
use domain::{DataType, Problem, Signature, Tensor, TensorData, raw};
use serde_json::{Map, Number, Value};

use super::messages::{
    InferParameter, InferTensorContents, ModelInferRequest, infer_parameter::ParameterChoice,
    model_infer_request::InferInputTensor,
};
use crate::v2::{
    InferRequest, RequestedOutput,
    parameters::{self, BINARY_DATA_SIZE, Form, On},
    request::{clipped, shape},
};

/// Reads an inference request. Which model and version it asks for is the caller's to look at.
///
/// # Errors
/// A request that breaks the protocol or does not fit the signature; the problem names the place,
/// e.g. `inputs[0].contents.uint_contents[3]`.
pub fn decode(request: ModelInferRequest, signature: &Signature) -> Result<InferRequest, Problem> {
    read(request).and_then(|request| request.checked(signature, Form::Grpc)).map_err(clipped)
}

fn read(request: ModelInferRequest) -> Result<InferRequest, Problem> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = request;
    let (tensors, raws) = (inputs.len(), raw_input_contents.len());
    if raws != 0 && raws != tensors {
        return Err(Problem::invalid(
            "raw_input_contents",
            format!("`raw_input_contents` has {raws} entries for {tensors} inputs"),
        )
        .hint("give one entry for each input, in the order of `inputs`"));
    }
    let raws = raw_input_contents.into_iter().map(Some).chain(std::iter::repeat(None));
    let inputs = inputs.into_iter().zip(raws).enumerate();
    let outputs = outputs.into_iter().enumerate();
    Ok(InferRequest {
        id: Some(id).filter(|id| !id.is_empty()),
        parameters: parameter_map(parameters, "parameters")?,
        inputs: inputs
            .map(|(index, (input, raw))| tensor(index, input, raw))
            .collect::<Result<_, _>>()?,
        outputs: outputs
            .map(|(index, output)| {
                let field = format!("outputs[{index}].parameters");
                let parameters = parameter_map(output.parameters, &field)?;
                Ok(RequestedOutput { name: output.name, parameters })
            })
            .collect::<Result<_, _>>()?,
    })
}

fn parameter_map(
    parameters: BTreeMap<String, InferParameter>,
    field: &str,
) -> Result<Map<String, Value>, Problem> {
    parameters
        .into_iter()
        .map(|(name, parameter)| {
            let value = match parameter.parameter_choice {
                Some(ParameterChoice::BoolParam(value)) => Some(Value::Bool(value)),
                Some(ParameterChoice::Int64Param(value)) => Some(value.into()),
                Some(ParameterChoice::Uint64Param(value)) => Some(value.into()),
                Some(ParameterChoice::StringParam(value)) => Some(Value::String(value)),
                Some(ParameterChoice::DoubleParam(value)) => {
                    Number::from_f64(value).map(Value::Number)
                }
                None => None,
            };
            let value = value.ok_or_else(|| {
                Problem::invalid(
                    format!("{field}.{name}"),
                    format!("parameter `{name}` has no value, or one that is not a finite number"),
                )
            })?;
            Ok((name, value))
        })
        .collect()
}

fn tensor(index: usize, input: InferInputTensor, raw: Option<Bytes>) -> Result<Tensor, Problem> {
    // Written only where somebody reads it.
    let at = |part: &str| format!("inputs[{index}].{part}");
    if !input.parameters.is_empty() {
        let field = at("parameters");
        let parameters = parameter_map(input.parameters, &field)?;
        if parameters.contains_key(BINARY_DATA_SIZE) {
            let message =
                format!("parameter `{BINARY_DATA_SIZE}` is REST's: gRPC has raw_input_contents");
            return Err(Problem::invalid(format!("{field}.{BINARY_DATA_SIZE}"), message));
        }
        parameters::check(&parameters, On::Input, &field)?;
    }
    let datatype: DataType =
        input.datatype.parse().map_err(|problem: Problem| problem.at(at("datatype")))?;
    let shape = shape(&input.shape, format_args!("inputs[{index}].shape"))?;
    let typed = input.contents.unwrap_or_default();
    let data = match raw {
        None => read_typed(datatype, typed, &at("contents"))?,
        Some(_) if typed != InferTensorContents::default() => {
            let field = at("contents");
            return Err(Problem::invalid(
                &field,
                format!("`{field}` stands beside `raw_input_contents`"),
            )
            .hint("send the elements of every input in one of the two forms"));
        }
        Some(bytes) => {
            let elements = Tensor::elements(&shape).unwrap_or(usize::MAX);
            raw::read(datatype, elements, &bytes, format_args!("raw_input_contents[{index}]"))?
        }
    };
    Tensor::new(input.name, shape, data).map_err(|problem| problem.at(at("contents")))
}

fn read_typed(
    datatype: DataType,
    contents: InferTensorContents,
    field: &str,
) -> Result<TensorData, Problem> {
    check_field(datatype, &contents, field)?;
    Ok(match datatype {
        DataType::Bool => TensorData::Bool(contents.bool_contents),
        DataType::U8 => TensorData::U8(narrowed(contents.uint_contents, datatype, field)?),
        DataType::U16 => TensorData::U16(narrowed(contents.uint_contents, datatype, field)?),
        DataType::U32 => TensorData::U32(contents.uint_contents),
        DataType::U64 => TensorData::U64(contents.uint64_contents),
        DataType::I8 => TensorData::I8(narrowed(contents.int_contents, datatype, field)?),
        DataType::I16 => TensorData::I16(narrowed(contents.int_contents, datatype, field)?),
        DataType::I32 => TensorData::I32(contents.int_contents),
        DataType::I64 => TensorData::I64(contents.int64_contents),
        // Only empty ones come here: `check_field` knows no field for them.
        DataType::F16 => TensorData::F16(Vec::new()),
        DataType::BF16 => TensorData::BF16(Vec::new()),
        DataType::F32 => TensorData::F32(contents.fp32_contents),
        DataType::F64 => TensorData::F64(contents.fp64_contents),
        DataType::Bytes => TensorData::Bytes(contents.bytes_contents),
    })
}

/// Refuses elements in another field than the one for the datatype.
fn check_field(
    datatype: DataType,
    contents: &InferTensorContents,
    field: &str,
) -> Result<(), Problem> {
    let fields = [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ];
    let expected = match datatype {
        DataType::Bool => "bool_contents",
        DataType::U8 | DataType::U16 | DataType::U32 => "uint_contents",
        DataType::U64 => "uint64_contents",
        DataType::I8 | DataType::I16 | DataType::I32 => "int_contents",
        DataType::I64 => "int64_contents",
        DataType::F16 | DataType::BF16 => "raw_input_contents",
        DataType::F32 => "fp32_contents",
        DataType::F64 => "fp64_contents",
        DataType::Bytes => "bytes_contents",
    };
    match fields.iter().find(|(name, elements)| *elements != 0 && *name != expected) {
        Some((found, _)) => Err(Problem::invalid(
            format!("{field}.{found}"),
            format!("{datatype} stands in `{expected}`, not in `{found}`"),
        )),
        None => Ok(()),
    }
}

fn narrowed<W: Copy + Display, T: TryFrom<W>>(
    wide: Vec<W>,
    datatype: DataType,
    field: &str,
) -> Result<Vec<T>, Problem> {
    let narrow = |(index, value): (usize, W)| {
        T::try_from(value).map_err(|_| {
            Problem::invalid(
                format!("{field}[{index}]"),
                format!("element {index} of `{field}` is {value}, which does not fit {datatype}"),
            )
        })
    };
    wide.into_iter().enumerate().map(narrow).collect()
}
