//! Free text, checked at the edge.

use domain::{Problem, TagKey, TagValue};
use store::models::Tags;

/// The longest description, in characters.
pub const DESCRIPTION: usize = 100_000;
/// The longest reason, in characters.
pub const REASON: usize = 2_000;

/// A text of at most this many characters, which a row can keep.
///
/// # Errors
/// It is longer, or holds U+0000.
pub fn bounded(field: &str, text: String, longest: usize) -> Result<String, Problem> {
    let length = text.chars().count();
    if length > longest {
        let message = format!("`{field}` has {length} characters: expected at most {longest}");
        return Err(Problem::invalid(field, message));
    }
    if text.contains('\0') {
        return Err(Problem::invalid(field, format!("`{field}` holds the character U+0000")));
    }
    Ok(text)
}

/// The same, where there is one.
///
/// # Errors
/// As [`bounded`].
pub fn optional(
    field: &str,
    text: Option<String>,
    longest: usize,
) -> Result<Option<String>, Problem> {
    text.map(|text| bounded(field, text, longest)).transpose()
}

/// Tags with keys and values that a row can keep.
///
/// # Errors
/// One of them it cannot.
pub fn tags(given: Tags) -> Result<Tags, Problem> {
    for (key, value) in &given {
        key.parse::<TagKey>()?;
        value.parse::<TagValue>()?;
        bounded(&format!("tags.{key}"), value.clone(), usize::MAX)?;
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_no_row_can_keep_are_refused_by_name() {
        assert!(bounded("reason", "é".repeat(3), 3).is_ok());
        let long = bounded("reason", "é".repeat(4), 3).unwrap_err();
        assert_eq!(long.message, "`reason` has 4 characters: expected at most 3");
        let nul = optional("reason", Some("a\0b".to_owned()), 10).unwrap_err();
        assert_eq!(nul.field.as_deref(), Some("reason"));
        for (key, value, field) in [("", "x", "tags"), ("team", "a\0", "tags.team")] {
            let given = Tags::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(tags(given).unwrap_err().field.as_deref(), Some(field));
        }
    }
}
