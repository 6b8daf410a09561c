//! Parameters: those that we act on, those that change nothing here, and no others. Whoever sends one
//! that would change the answer elsewhere is told so, not left to wonder.

use std::fmt;

use domain::Problem;
use serde_json::{Map, Value};

/// On a requested output: whether REST answers it in the binary form.
pub(super) const BINARY_DATA: &str = "binary_data";
/// On a request: the same, for the outputs that do not say.
pub(super) const BINARY_DATA_OUTPUT: &str = "binary_data_output";
/// On an input over REST: how many bytes behind the JSON are its elements.
pub(super) const BINARY_DATA_SIZE: &str = "binary_data_size";
/// On a request: the longest that it may take, in microseconds; 0 is no limit of its own.
pub(super) const TIMEOUT: &str = "timeout";
/// On a request: 1 to [`PRIORITIES`], the highest first; 0 is the default.
pub(super) const PRIORITY: &str = "priority";
/// The lowest priority.
const PRIORITIES: u64 = 3;
/// On a request of a gRPC stream: whether the last answer to it is marked as such.
pub(super) const MARK_FINAL: &str = "triton_enable_empty_final_response";
/// Anywhere: a hint on how the elements were made, which the datatype tells already.
const CONTENT_TYPE: &str = "content_type";

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Rest,
    Grpc,
}

/// What parameters stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Request(Form),
    Input,
    Output(Form),
}

impl On {
    const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Request(Form::Rest) => &[BINARY_DATA_OUTPUT, TIMEOUT, PRIORITY, CONTENT_TYPE],
            Self::Request(Form::Grpc) => &[TIMEOUT, PRIORITY, MARK_FINAL, CONTENT_TYPE],
            Self::Input => &[BINARY_DATA_SIZE, CONTENT_TYPE],
            Self::Output(Form::Rest) => &[BINARY_DATA, CONTENT_TYPE],
            Self::Output(Form::Grpc) => &[CONTENT_TYPE],
        }
    }
}

/// A flag's value, if it is there.
pub(super) fn flag(parameters: &Map<String, Value>, name: &str) -> Option<bool> {
    parameters.get(name).and_then(Value::as_bool)
}

/// A whole number of 0 or more, if it is there.
pub(super) fn count(parameters: &Map<String, Value>, name: &str) -> Option<u64> {
    parameters.get(name).and_then(Value::as_u64)
}

/// Refuses a parameter that nothing is done about, and a value that its parameter cannot have.
pub(super) fn check(
    parameters: &Map<String, Value>,
    on: On,
    field: impl fmt::Display,
) -> Result<(), Problem> {
    for (name, value) in parameters {
        let field = format!("{field}.{name}");
        if let Some(instead) = instead(name, value) {
            return Err(Problem::invalid(field, format!("parameter `{name}` is not supported"))
                .hint(instead));
        }
        let (fits, expected) = match name.as_str() {
            BINARY_DATA | BINARY_DATA_OUTPUT | MARK_FINAL => (value.is_boolean(), "true or false"),
            BINARY_DATA_SIZE | TIMEOUT => (value.is_u64(), "a whole number of 0 or more"),
            PRIORITY => (
                value.as_u64().is_some_and(|level| level <= PRIORITIES),
                "1 (the highest), 2 (the default), 3, or 0 for the default",
            ),
            _ => (value.is_string(), "a string"),
        };
        if !on.known().contains(&name.as_str()) {
            let known: Vec<_> = on.known().iter().map(|name| format!("`{name}`")).collect();
            let known = known.join(", ");
            let message = format!("there is no parameter `{name}` here: there are {known}");
            return Err(Problem::invalid(field, message).hint("leave it out"));
        }
        if !fits {
            let message = format!("parameter `{name}` is {value}: expected {expected}");
            return Err(Problem::invalid(field, message));
        }
    }
    Ok(())
}

/// What to do instead of a parameter that is refused.
fn instead(name: &str, value: &Value) -> Option<&'static str> {
    match name {
        "classification" => Some("leave it out and rank the output's scores yourself"),
        CONTENT_TYPE if value == "base64" => {
            Some("send text in `data`, or any bytes in the binary form or by gRPC")
        }
        "sequence_end" | "sequence_id" | "sequence_start" => {
            Some("leave it out: a model keeps no state between requests; send the whole sequence")
        }
        "shared_memory_byte_size" | "shared_memory_offset" | "shared_memory_region" => {
            Some("send the elements in the request")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn parameters_that_would_change_the_answer_are_refused_by_name() {
        for name in [
            "classification",
            "sequence_end",
            "sequence_id",
            "sequence_start",
            "shared_memory_byte_size",
            "shared_memory_offset",
            "shared_memory_region",
        ] {
            let problem =
                check(&map(json!({name: 7})), On::Input, "inputs[0].parameters").unwrap_err();
            assert_eq!(problem.field.unwrap(), format!("inputs[0].parameters.{name}"));
            assert_eq!(problem.message, format!("parameter `{name}` is not supported"));
            assert!(problem.hint.is_some());
        }
        assert!(check(&map(json!({"content_type": "base64"})), On::Input, "p").is_err());
    }

    #[test]
    fn each_is_taken_where_it_belongs_and_nowhere_else() {
        let all = [
            (
                On::Request(Form::Rest),
                json!({"binary_data_output": true, "timeout": 5, "priority": 3, "content_type": "np"}),
            ),
            (
                On::Request(Form::Grpc),
                json!({"triton_enable_empty_final_response": true, "timeout": 5, "priority": 3}),
            ),
            (On::Input, json!({"binary_data_size": 0, "content_type": "np"})),
            (On::Output(Form::Rest), json!({"binary_data": false, "content_type": "np"})),
        ];
        for (on, parameters) in all {
            assert_eq!(check(&map(parameters), on, "p"), Ok(()));
        }
        for (on, name) in [
            (On::Request(Form::Rest), "binary_data"),
            (On::Request(Form::Rest), MARK_FINAL),
            (On::Request(Form::Grpc), BINARY_DATA_OUTPUT),
            (On::Output(Form::Grpc), BINARY_DATA),
            (On::Input, "binary_data_output"),
            (On::Output(Form::Rest), "timeout"),
            (On::Input, "priority"),
            (On::Request(Form::Rest), "mine"),
        ] {
            let problem = check(&map(json!({name: true})), on, "p").unwrap_err();
            let begin = format!("there is no parameter `{name}` here: there are `");
            assert!(problem.message.starts_with(&begin), "{}", problem.message);
        }
    }

    #[test]
    fn values_have_the_type_of_their_parameter() {
        for (on, parameters, expected) in [
            (
                On::Request(Form::Rest),
                json!({"binary_data_output": 1}),
                "is 1: expected true or false",
            ),
            (
                On::Request(Form::Rest),
                json!({"timeout": -1}),
                "is -1: expected a whole number of 0 or more",
            ),
            (On::Request(Form::Rest), json!({"priority": 4}), "is 4: expected 1 (the highest), 2"),
            (On::Input, json!({"binary_data_size": 1.5}), "is 1.5: expected a whole number"),
            (On::Input, json!({"binary_data_size": "8"}), "is \"8\": expected a whole number"),
            (On::Output(Form::Rest), json!({"content_type": 3}), "is 3: expected a string"),
        ] {
            let problem = check(&map(parameters), on, "parameters").unwrap_err();
            assert!(problem.message.contains(expected), "{}", problem.message);
        }
    }
}
