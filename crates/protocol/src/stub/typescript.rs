//! TypeScript, by `fetch` and nothing else.

use domain::{DataType, TensorSpec};

use super::{Target, about, literal};

/// What is the same for every endpoint.
const CALLER: &str = include_str!("caller.ts");

/// A module with `predict`, `Inputs` and `Outputs`.
#[must_use]
pub fn typescript(target: &Target<'_>) -> String {
    let Target { endpoint, version, signature } = target;
    let properties = |specs: &[TensorSpec]| -> String {
        let line = |spec: &TensorSpec| {
            let arrays = "[]".repeat(spec.shape.len());
            let name = literal(&spec.name);
            let mark = if spec.optional { "?" } else { "" };
            let (about, element) = (about(spec), element(spec.datatype));
            format!("  /** {about} */\n  {name}{mark}: {element}{arrays};\n")
        };
        specs.iter().map(line).collect()
    };
    let tensors = |specs: &[TensorSpec]| -> String {
        let line = |spec: &TensorSpec| {
            let (name, rank) = (literal(&spec.name), spec.shape.len());
            format!("  {{ name: {name}, datatype: \"{}\", rank: {rank} }},\n", spec.datatype)
        };
        specs.iter().map(line).collect()
    };
    format!(
        "// The endpoint `{endpoint}`, as {version} serves it.\n\
         // Made by `bottega endpoints schema {endpoint} --lang typescript`. Needs nothing but `fetch`.\n\n\
         export const ENDPOINT = {name};\n\n\
         /** What goes in. */\nexport interface Inputs {{\n{}}}\n\n\
         /** What comes out. */\nexport interface Outputs {{\n{}}}\n\n\
         const INPUTS: readonly Tensor[] = [\n{}];\n\n\
         const OUTPUTS: readonly Tensor[] = [\n{}];\n\n{CALLER}",
        properties(&signature.inputs),
        properties(&signature.outputs),
        tensors(&signature.inputs),
        tensors(&signature.outputs),
        name = literal(endpoint),
    )
}

const fn element(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "boolean",
        DataType::Bytes => "string",
        DataType::U8
        | DataType::U16
        | DataType::U32
        | DataType::U64
        | DataType::I8
        | DataType::I16
        | DataType::I32
        | DataType::I64
        | DataType::F16
        | DataType::BF16
        | DataType::F32
        | DataType::F64 => "number",
    }
}
