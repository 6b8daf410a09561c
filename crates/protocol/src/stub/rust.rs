//! Rust, by the crate `client`.

use domain::DataType;

use super::{Field, Target, about, fields};

/// Rust's keywords, strict and reserved.
const RESERVED: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while",
];

/// A module with `predict`, `Inputs` and `Outputs`.
#[must_use]
pub fn rust(target: &Target<'_>) -> String {
    let Target { endpoint, version, signature } = target;
    let inputs = fields(&signature.inputs, &RESERVED);
    let outputs = fields(&signature.outputs, &RESERVED);
    let attributes = |fields: &[Field<'_>]| -> String {
        let line = |Field { spec, name }: &Field<'_>| {
            let element = element(spec.datatype);
            let array = format!("Array<{element}>");
            let kind = if spec.optional { format!("Option<{array}>") } else { array };
            format!("    /// `{}`\n    pub {name}: {kind},\n", about(spec))
        };
        fields.iter().map(line).collect()
    };
    let given: String = inputs
        .iter()
        .filter(|field| !field.spec.optional)
        .map(|Field { spec, name }| format!("        inputs.{name}.named({:?})?,\n", spec.name))
        .collect();
    let more: String = inputs
        .iter()
        .filter(|field| field.spec.optional)
        .map(|Field { spec, name }| {
            let named = spec.name.as_str();
            format!(
                "    if let Some(array) = inputs.{name} {{\n        given.push(array.named({named:?})?);\n    }}\n"
            )
        })
        .collect();
    let (array, open) = if more.is_empty() {
        ("inputs", "let inputs = [")
    } else {
        ("given", "let mut given = vec![")
    };
    let taken: String = outputs
        .iter()
        .map(|Field { spec, name }| format!("        {name}: answer.take({:?})?,\n", spec.name))
        .collect();
    let (goes_in, comes_out) = (attributes(&inputs), attributes(&outputs));
    format!(
        r#"//! The endpoint `{endpoint}`, as {version} serves it.
//!
//! Made by `bottega endpoints schema {endpoint} --lang rust`. Needs the crate `client`.

use client::{{Array, Connection, Error}};

/// The endpoint's name.
pub const ENDPOINT: &str = {endpoint:?};

/// What goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {{
{goes_in}}}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {{
{comes_out}}}

/// Asks for a prediction.
///
/// # Errors
/// A refusal, or nobody there.
pub async fn predict(server: &Connection, inputs: Inputs) -> Result<Outputs, Error> {{
    {open}
{given}    ];
{more}    let mut answer = server.predict(ENDPOINT, &{array}).await?;
    Ok(Outputs {{
{taken}    }})
}}
"#
    )
}

const fn element(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "bool",
        DataType::U8 => "u8",
        DataType::U16 => "u16",
        DataType::U32 => "u32",
        DataType::U64 => "u64",
        DataType::I8 => "i8",
        DataType::I16 => "i16",
        DataType::I32 => "i32",
        DataType::I64 => "i64",
        DataType::F16 => "client::f16",
        DataType::BF16 => "client::bf16",
        DataType::F32 => "f32",
        DataType::F64 => "f64",
        DataType::Bytes => "Vec<u8>",
    }
}
