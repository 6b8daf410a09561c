//! What a caller asks for, whatever form it came in.

use std::{fmt, time::Duration};

use domain::{Problem, Signature, Tensor};
use serde_json::{Map, Value};

use super::parameters::{
    self, BINARY_DATA, BINARY_DATA_OUTPUT, Form, MARK_FINAL, On, PRIORITY, TIMEOUT,
};

/// The longest text that a refusal carries: names and values in it are the caller's.
const MAX_TEXT: usize = 500;

/// An inference request whose inputs fit the model's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct InferRequest {
    /// The caller's name for the request, to be given back.
    pub id: Option<String>,
    /// Parameters of the request; unknown ones are refused.
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

/// Which outputs REST answers in the binary form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryOutputs {
    /// All that there are.
    All,
    /// Those of these names.
    These(Vec<String>),
}

impl BinaryOutputs {
    /// Whether it is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        match self {
            Self::All => false,
            Self::These(names) => names.is_empty(),
        }
    }

    /// Whether the output of this name is one of them.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|it| it == name),
        }
    }
}

impl InferRequest {
    /// A request of these inputs for all outputs, from a protocol that says no more.
    #[must_use]
    pub fn of(inputs: Vec<Tensor>) -> Self {
        Self { id: None, parameters: Map::new(), inputs, outputs: Vec::new() }
    }

    /// The outputs that are asked for in REST's binary form: by their own `binary_data`, else by the
    /// request's `binary_data_output`.
    #[must_use]
    pub fn binary_outputs(&self) -> BinaryOutputs {
        let default = parameters::flag(&self.parameters, BINARY_DATA_OUTPUT).unwrap_or(false);
        let is_binary = |output: &&RequestedOutput| {
            parameters::flag(&output.parameters, BINARY_DATA).unwrap_or(default)
        };
        match (self.outputs.is_empty(), default) {
            (true, true) => BinaryOutputs::All,
            (true, false) => BinaryOutputs::These(Vec::new()),
            (false, _) => {
                let binary = self.outputs.iter().filter(is_binary);
                BinaryOutputs::These(binary.map(|output| output.name.clone()).collect())
            }
        }
    }

    /// The longest that the caller gives it, if they say.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        parameters::count(&self.parameters, TIMEOUT)
            .filter(|&micros| micros > 0)
            .map(Duration::from_micros)
    }

    /// Its place among those who wait: 1 is the highest, 3 the lowest, and 0 the default.
    #[must_use]
    pub fn priority(&self) -> u64 {
        parameters::count(&self.parameters, PRIORITY).unwrap_or(0)
    }

    /// Whether the last answer to it, in a stream, is to be marked as the last.
    #[must_use]
    pub fn marks_final(&self) -> bool {
        parameters::flag(&self.parameters, MARK_FINAL).unwrap_or(false)
    }

    /// Applies the rules that the forms share.
    pub(super) fn checked(self, signature: &Signature, form: Form) -> Result<Self, Problem> {
        parameters::check(&self.parameters, On::Request(form), "parameters")?;
        for (index, output) in self.outputs.iter().enumerate() {
            output.check(index, &self.outputs, signature, form)?;
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
    fn check(
        &self,
        index: usize,
        all: &[Self],
        signature: &Signature,
        form: Form,
    ) -> Result<(), Problem> {
        let name = &self.name;
        let field = || format!("outputs[{index}].name");
        if signature.outputs.iter().all(|spec| spec.name != *name) {
            let known: Vec<_> =
                signature.outputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            let known = known.join(", ");
            return Err(Problem::invalid(
                field(),
                format!("the model has no output `{name}`: it has {known}"),
            ));
        }
        if all.iter().take(index).any(|earlier| earlier.name == *name) {
            return Err(Problem::invalid(field(), format!("output `{name}` stands twice")));
        }
        let field = format_args!("outputs[{index}].parameters");
        parameters::check(&self.parameters, On::Output(form), field)
    }
}

/// A request's shape: sizes of 0 or more.
pub(super) fn shape(sizes: &[i64], field: impl fmt::Display) -> Result<Vec<usize>, Problem> {
    sizes
        .iter()
        .map(|&size| {
            usize::try_from(size).map_err(|_| {
                Problem::invalid(
                    field.to_string(),
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
