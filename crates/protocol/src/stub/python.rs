//! Python, by the package `bottega` and NumPy.

use domain::DataType;

use super::{Field, Target, about, fields, literal};

/// Python's keywords, and what the code itself calls something.
const RESERVED: [&str; 38] = [
    "False", "None", "True", "and", "answer", "as", "assert", "async", "await", "break", "class",
    "client", "continue", "def", "del", "elif", "else", "except", "finally", "for", "from",
    "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "self", "try", "while", "with", "yield",
];

/// A module with `predict` and `Outputs`.
#[must_use]
pub fn python(target: &Target<'_>) -> String {
    let Target { endpoint, version, signature } = target;
    let inputs = fields(&signature.inputs, &RESERVED);
    let outputs = fields(&signature.outputs, &RESERVED);
    let annotated =
        |field: &Field<'_>| format!("{}: NDArray[{}]", field.name, dtype(field.spec.datatype));
    let lines = |fields: &[Field<'_>], line: &dyn Fn(&Field<'_>) -> String| -> String {
        fields.iter().map(|field| format!("    {}\n", line(field))).collect()
    };
    // Those without a default come first.
    let required = inputs.iter().filter(|input| !input.spec.optional);
    let optional = inputs.iter().filter(|input| input.spec.optional);
    let parameters: String = required
        .map(|input| format!(", {}", annotated(input)))
        .chain(optional.map(|input| format!(", {} | None = None", annotated(input))))
        .collect();
    let documented = lines(&inputs, &|input| format!("{}: {}", input.name, about(input.spec)));
    let attributes =
        lines(&outputs, &|output| format!("{}  # {}", annotated(output), about(output.spec)));
    let pairs = inputs.iter().map(|input| format!("{}: {}", literal(&input.spec.name), input.name));
    let pairs = format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "));
    let given = if inputs.iter().any(|input| input.spec.optional) {
        format!("{{name: array for name, array in {pairs}.items() if array is not None}}")
    } else {
        pairs
    };
    let taken = outputs.iter().map(|output| format!("answer[{}]", literal(&output.spec.name)));
    let taken: Vec<_> = taken.collect();
    format!(
        r#""""The endpoint `{endpoint}`, as {version} serves it.

Made by `bottega endpoints schema {endpoint} --lang python`. Needs the package `bottega`, and NumPy.
"""

from dataclasses import dataclass

import numpy as np
from bottega import Client
from numpy.typing import NDArray

ENDPOINT = {name}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What comes out."""

{attributes}

def predict(client: Client{parameters}) -> Outputs:
    """Asks for a prediction.

{documented}    """
    answer = client.predict(ENDPOINT, {given})
    return Outputs({taken})
"#,
        name = literal(endpoint),
        taken = taken.join(", "),
    )
}

const fn dtype(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "np.bool_",
        DataType::U8 => "np.uint8",
        DataType::U16 => "np.uint16",
        DataType::U32 => "np.uint32",
        DataType::U64 => "np.uint64",
        DataType::I8 => "np.int8",
        DataType::I16 => "np.int16",
        DataType::I32 => "np.int32",
        DataType::I64 => "np.int64",
        DataType::F16 => "np.float16",
        // NumPy has no brain floats: the package makes them of these.
        DataType::BF16 | DataType::F32 => "np.float32",
        DataType::F64 => "np.float64",
        DataType::Bytes => "np.object_",
    }
}
