//! A refusal as one line of text, for protocols whose errors have no fields.

use domain::{ErrorCode, Problem};
use serde_json::Value;

/// A longer example would hide what is wrong.
const SHORT: usize = 300;

/// Adds what a request to this endpoint looks like to a refusal of one that does not fit.
pub(crate) fn with_example(
    mut problem: Problem,
    endpoint: &str,
    example: impl FnOnce() -> Value,
) -> Problem {
    if problem.code != ErrorCode::Invalid {
        return problem;
    }
    let example = example().to_string();
    let told = if example.len() <= SHORT {
        format!("a request that fits: {example}")
    } else {
        format!("`GET /api/v1/endpoints/{endpoint}/schema` shows a request that fits")
    };
    problem.hint = Some(match problem.hint {
        Some(hint) => format!("{hint}; {told}"),
        None => told,
    });
    problem
}

/// The refusal of a body that is longer than this.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
        .hint("send fewer rows at a time")
}

/// The place, unless the message names it, the message, and the hint.
pub(crate) fn text(problem: &Problem) -> String {
    let Problem { message, field, hint, .. } = problem;
    let mut text = match field {
        Some(field) if !message.contains(field.as_str()) => format!("{field}: {message}"),
        Some(_) | None => message.clone(),
    };
    if let Some(hint) = hint {
        text.push_str(" — ");
        text.push_str(hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use domain::Signature;
    use protocol::v2::json;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_that_does_not_fit_is_answered_with_one_that_does() {
        let signature = |width: u64| -> Signature {
            serde_json::from_value(json!({
                "inputs": [{"name": "x", "datatype": "INT64", "shape": [-1, width]}], "outputs": [],
            }))
            .unwrap()
        };
        let refused = Problem::invalid("inputs[0]", "no").hint("do so");
        let told =
            with_example(refused.clone(), "fraud", || json::example(&signature(2))).hint.unwrap();
        let example = told.strip_prefix("do so; a request that fits: ").unwrap();
        assert!(json::decode(example.as_bytes(), &signature(2)).is_ok(), "{example}");
        let told = with_example(refused, "fraud", || json::example(&signature(2000))).hint.unwrap();
        assert!(told.contains("/api/v1/endpoints/fraud/schema"), "{told}");
        let other = Problem::unavailable("away");
        assert_eq!(with_example(other.clone(), "fraud", || json::example(&signature(2))), other);
    }
}
