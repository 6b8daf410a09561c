//! URLs in settings.

use domain::Problem;

/// Whether a setting is a URL that can be shown and joined.
///
/// # Errors
/// It is not; `example` is one.
pub(super) fn check_url(setting: &str, example: &str, url: &str) -> Result<(), Problem> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        !rest.is_empty() && !rest.contains(['?', '#', '@', ' ']) && !rest.starts_with('/')
    };
    if rest.is_some_and(is_plain) {
        return Ok(());
    }
    let message =
        format!("{setting} is `{url}`: expected a URL like {example}, without query or user");
    Err(Problem::invalid(setting, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_that_can_be_shown_and_joined() {
        for good in ["https://id.example", "https://id.example/realms/acme", "http://127.0.0.1:9"] {
            assert!(check_url("public_url", "https://id.example", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x/?a=1",
            "https:///x",
        ] {
            let field = check_url("public_url", "https://id.example", bad).unwrap_err().field;
            assert_eq!(field.as_deref(), Some("public_url"), "{bad}");
        }
    }
}
