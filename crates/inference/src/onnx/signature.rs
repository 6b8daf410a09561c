//! Reads a session's signature.

use domain::{DataType, Dim, Signature, TensorSpec};
use ort::{
    session::Session,
    value::{Outlet, TensorElementType, ValueType},
};

use crate::Error;

/// The signature of a loaded model.
///
/// # Errors
/// [`Error::Model`] if an input or output is no tensor, or of elements that no protocol carries.
pub(super) fn read(session: &Session) -> Result<Signature, Error> {
    let read = |kind: &str, outlets: &[Outlet]| {
        outlets.iter().map(|outlet| spec(kind, outlet)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Signature::new(read("input", session.inputs())?, read("output", session.outputs())?))
}

fn spec(kind: &str, outlet: &Outlet) -> Result<TensorSpec, Error> {
    let name = outlet.name();
    let (ty, shape, symbols) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, dimension_symbols } => (ty, shape, dimension_symbols),
        other @ (ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_)) => {
            return Err(Error::Model(format!(
                "its {kind} `{name}` is no tensor but {other}; export it with tensors only \
                 (skl2onnx: `options={{\"zipmap\": False}}`)"
            )));
        }
    };
    let datatype = datatype(*ty).ok_or_else(|| {
        Error::Model(format!(
            "its {kind} `{name}` has elements of type {ty}, which no protocol carries; cast them \
             to a plain type inside the model"
        ))
    })?;
    let shape = shape
        .iter()
        .zip(symbols.iter())
        .map(|(&size, symbol)| match u64::try_from(size) {
            Ok(size) => Dim::Fixed(size),
            Err(_) if symbol.is_empty() => Dim::Any,
            Err(_) => Dim::Symbolic(symbol.clone()),
        })
        .collect();
    Ok(TensorSpec { name: name.to_owned(), datatype, shape, optional: false })
}

/// Our name of the runtime's type, if any protocol carries it.
pub(super) fn datatype(ty: TensorElementType) -> Option<DataType> {
    const KNOWN: [(TensorElementType, DataType); 14] = [
        (TensorElementType::Bool, DataType::Bool),
        (TensorElementType::Uint8, DataType::U8),
        (TensorElementType::Uint16, DataType::U16),
        (TensorElementType::Uint32, DataType::U32),
        (TensorElementType::Uint64, DataType::U64),
        (TensorElementType::Int8, DataType::I8),
        (TensorElementType::Int16, DataType::I16),
        (TensorElementType::Int32, DataType::I32),
        (TensorElementType::Int64, DataType::I64),
        (TensorElementType::Float16, DataType::F16),
        (TensorElementType::Bfloat16, DataType::BF16),
        (TensorElementType::Float32, DataType::F32),
        (TensorElementType::Float64, DataType::F64),
        (TensorElementType::String, DataType::Bytes),
    ];
    KNOWN.iter().find(|(known, _)| *known == ty).map(|(_, datatype)| *datatype)
}
