//! Typed code that calls a model, for people who write programs: a function whose arguments are the
//! model's inputs, and a type with its outputs.
//!
//! Names of tensors are anybody's text. Where the language wants an identifier they become one; in the
//! code they stand as literals; in comments only what cannot end one.

mod python;
mod rust;
#[cfg(test)]
mod tests;
mod typescript;

use std::collections::BTreeSet;

use domain::{Signature, TensorSpec};

pub use python::python;
pub use rust::rust;
pub use typescript::typescript;

/// What code is written for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The endpoint's name on the wire.
    pub endpoint: &'a str,
    /// The version that it serves, for people: `fraud/3`.
    pub version: &'a str,
    /// What goes in and out.
    pub signature: &'a Signature,
}

/// A tensor and what the code calls it.
struct Field<'a> {
    spec: &'a TensorSpec,
    name: String,
}

/// What the code calls these tensors: their own names where those are identifiers, no two alike.
fn fields<'a>(specs: &'a [TensorSpec], reserved: &[&str]) -> Vec<Field<'a>> {
    let mut taken: BTreeSet<String> = reserved.iter().map(|&word| word.to_owned()).collect();
    let mut named = |spec: &'a TensorSpec| {
        let mut name = identifier(&spec.name);
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        Field { spec, name }
    };
    specs.iter().map(&mut named).collect()
}

fn identifier(text: &str) -> String {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name
    } else {
        format!("x{name}")
    }
}

/// A tensor's type and shape, fit for a comment.
fn about(spec: &TensorSpec) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || " _[],?".contains(it);
    let shape = spec.shape_text().replace(|it: char| !is_plain(it), "_");
    format!("{} {shape}", spec.datatype)
}

/// A literal that Python and TypeScript read alike.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
