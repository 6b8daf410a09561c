//! The parameters that would change the answer: refused by name where we do not act on them.

use domain::Problem;
use serde_json::{Map, Value};

/// On a requested output: whether REST answers it in the binary form.
pub(super) const BINARY_DATA: &str = "binary_data";
/// On a request: the same, for the outputs that do not say.
pub(super) const BINARY_DATA_OUTPUT: &str = "binary_data_output";

/// A flag's value, if it is there.
pub(super) fn flag(parameters: &Map<String, Value>, name: &str) -> Option<bool> {
    parameters.get(name).and_then(Value::as_bool)
}

/// Refuses a parameter that we would have to act on and do not.
pub(super) fn check(parameters: &Map<String, Value>, field: &str) -> Result<(), Problem> {
    for (name, value) in parameters {
        let field = format!("{field}.{name}");
        if let Some(instead) = instead(name, value) {
            return Err(Problem::invalid(field, format!("parameter `{name}` is not supported"))
                .hint(instead));
        }
        if matches!(name.as_str(), BINARY_DATA | BINARY_DATA_OUTPUT) && !value.is_boolean() {
            return Err(Problem::invalid(
                field,
                format!("parameter `{name}` is {value}: expected true or false"),
            ));
        }
    }
    Ok(())
}

/// What to do instead of a parameter that is refused.
fn instead(name: &str, value: &Value) -> Option<&'static str> {
    match name {
        "binary_data_size" => Some("send the elements in `data`, or by gRPC in raw_input_contents"),
        "classification" => Some("leave it out and rank the output's scores yourself"),
        "content_type" if value == "base64" => {
            Some("send text in `data`, or any bytes by gRPC in raw_input_contents")
        }
        "priority" => Some("leave it out: requests are served in the order of their arrival"),
        "sequence_end" | "sequence_id" | "sequence_start" => {
            Some("leave it out: a model keeps no state between requests; send the whole sequence")
        }
        "shared_memory_byte_size" | "shared_memory_offset" | "shared_memory_region" => {
            Some("send the elements in the request")
        }
        "timeout" => Some("leave it out and set a deadline in your client"),
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
            "binary_data_size",
            "classification",
            "priority",
            "sequence_end",
            "sequence_id",
            "sequence_start",
            "shared_memory_byte_size",
            "shared_memory_offset",
            "shared_memory_region",
            "timeout",
        ] {
            let problem =
                check(&map(json!({"a": 1, name: 7})), "inputs[0].parameters").unwrap_err();
            assert_eq!(problem.field.unwrap(), format!("inputs[0].parameters.{name}"));
            assert_eq!(problem.message, format!("parameter `{name}` is not supported"));
            assert!(problem.hint.is_some());
        }
        assert!(check(&map(json!({"content_type": "base64"})), "p").is_err());
    }

    #[test]
    fn parameters_that_change_nothing_are_taken() {
        let harmless = json!({"content_type": "np", "headers": {"a": "b"}, "binary_data": false});
        assert_eq!(check(&map(harmless), "p"), Ok(()));
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let problem = check(&map(json!({"binary_data_output": 1})), "parameters").unwrap_err();
        assert_eq!(problem.message, "parameter `binary_data_output` is 1: expected true or false");
    }
}
