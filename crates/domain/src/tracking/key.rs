//! Which names params, metrics and tags may have.

use crate::Problem;

/// A key of a param, a metric or a tag. Clients may keep them as files, so one must not stand for
/// another one when it is read as a path.
///
/// # Errors
/// It holds a character that it may not, or is not the shortest form of its path.
pub fn check_key(field: &str, key: &str) -> Result<(), Problem> {
    let is_allowed =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':');
    if !key.chars().all(is_allowed) {
        return Err(invalid(
            field,
            key,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colons (:) and slashes (/)",
        ));
    }
    if key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(invalid(
            field,
            key,
            "Names may be treated as files in certain cases, so they have no empty part, no `.`, no `..`, and do not begin with `/` or `..`",
        ));
    }
    Ok(())
}

/// A text of at most so many characters.
///
/// # Errors
/// It is longer.
pub fn check_length(field: &str, text: &str, longest: usize) -> Result<(), Problem> {
    // Bytes are never fewer than characters.
    if text.len() > longest && text.chars().nth(longest).is_some() {
        let message = format!("'{field}' exceeds the maximum length of {longest} characters");
        return Err(Problem::invalid(field, message));
    }
    Ok(())
}

/// The first so many characters of a text.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest
        && let Some((end, _)) = text.char_indices().nth(longest)
    {
        text.truncate(end);
    }
    text
}

/// A refusal that shows the value, or as much of it as helps.
pub(super) fn invalid(field: &str, value: &str, why: &str) -> Problem {
    let shown: String = value.chars().take(300).collect();
    let message = format!("Invalid value {shown:?} for parameter '{field}' supplied: {why}");
    Problem::invalid(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_path_in_its_shortest_form() {
        for good in
            ["a", "val/loss", "Ärger:größe 1", "a.b-c_d", "学習/損失", ".hidden", "a/..b", "a..b"]
        {
            assert_eq!(check_key("key", good), Ok(()), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", ".", "./a", "a/.", "../a", "a/../b", "..a", "a\nb", "a%",
            "a;b", "🙂", "\0",
        ] {
            assert!(check_key("key", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(check_length("name", &"ä".repeat(500), 500), Ok(()));
        let problem = check_length("name", &"ä".repeat(501), 500).unwrap_err();
        assert_eq!(problem.message, "'name' exceeds the maximum length of 500 characters");
        assert_eq!(cut("äöü".into(), 2), "äö");
        assert_eq!(cut("äöü".into(), 3), "äöü");
    }
}
