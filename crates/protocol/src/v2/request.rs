//! What a caller asks for, whatever form it came in.

use domain::{Problem, Signature, Tensor};
use serde_json::{Map, Value};

use super::parameters::{self, BINARY_DATA, BINARY_DATA_OUTPUT};

/// The longest text that a refusal carries: names and values in it are the caller's.
const MAX_TEXT: usize = 500;

/// An inference request whose inputs fit the model's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct InferRequest {
    /// The caller's name for the request, to be given back.
    pub id: Option<String>,
    /// Parameters of the request that change nothing here; those that would are refused.
    pub parameters: Map<String, Value>,
    /// In the caller's order.
    pub inputs: Vec<Tensor>,
    /// The outputs to answer with, in the caller's order; empty for all of them.
    pub outputs: Vec<RequestedOutput>,
}

/// An output that the caller wants; the model has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Its name in the signature.
    pub name: String,
    /// Its parameters, under the same rule as the request's.
    pub parameters: Map<String, Value>,
}

impl InferRequest {
    /// Whether any output is asked for in REST's binary form: by its own `binary_data`, else by
    /// the request's `binary_data_output`.
    #[must_use]
    pub fn wants_binary(&self) -> bool {
        let default = parameters::flag(&self.parameters, BINARY_DATA_OUTPUT).unwrap_or(false);
        if self.outputs.is_empty() {
            return default;
        }
        self.outputs
            .iter()
            .any(|output| parameters::flag(&output.parameters, BINARY_DATA).unwrap_or(default))
    }

    /// Applies the rules that the forms share.
    pub(super) fn checked(self, signature: &Signature) -> Result<Self, Problem> {
        parameters::check(&self.parameters, "parameters")?;
        for (index, output) in self.outputs.iter().enumerate() {
            output.check(index, &self.outputs, signature)?;
        }
        signature.check(&self.inputs).map_err(|problem| {
            // The signature names the tensor; the caller looks for its place in the request.
            let at = |name: &str| self.inputs.iter().position(|input| input.name == name);
            match problem.field.as_deref().and_then(at) {
                Some(index) => problem.at(format!("inputs[{index}]")),
                None => problem.at("inputs"),
            }
        })?;
        Ok(self)
    }
}

impl RequestedOutput {
    fn check(&self, index: usize, all: &[Self], signature: &Signature) -> Result<(), Problem> {
        let name = &self.name;
        let field = format!("outputs[{index}].name");
        if signature.outputs.iter().all(|spec| spec.name != *name) {
            let known: Vec<_> =
                signature.outputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            let known = known.join(", ");
            return Err(Problem::invalid(
                field,
                format!("the model has no output `{name}`: it has {known}"),
            ));
        }
        if all.iter().take(index).any(|earlier| earlier.name == *name) {
            return Err(Problem::invalid(field, format!("output `{name}` stands twice")));
        }
        parameters::check(&self.parameters, &format!("outputs[{index}].parameters"))
    }
}

/// A request's shape: sizes of 0 or more.
pub(super) fn shape(sizes: &[i64], field: &str) -> Result<Vec<usize>, Problem> {
    sizes
        .iter()
        .map(|&size| {
            usize::try_from(size).map_err(|_| {
                Problem::invalid(
                    field,
                    format!("`{field}` has a size of {size}: expected sizes of 0 or more"),
                )
                .hint("-1 stands for any size in a signature only; a request gives its own sizes")
            })
        })
        .collect()
}

/// Cuts what a refusal quotes, so that no answer is as long as the request.
pub(super) fn clipped(mut problem: Problem) -> Problem {
    let texts = [Some(&mut problem.message), problem.field.as_mut(), problem.hint.as_mut()];
    for text in texts.into_iter().flatten() {
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push('…');
        }
    }
    problem
}
