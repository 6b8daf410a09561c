//! A refusal as one line of text, for protocols whose errors have no fields.

use domain::Problem;

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
