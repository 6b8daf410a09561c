//! Instants in a query.

use domain::{Problem, Timestamp};

/// Reads an instant that a caller gave in a field, if there is one.
///
/// # Errors
/// It is none.
pub fn instant(field: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let read = |text: String| {
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            let message =
                format!("`{shown}` is no instant: expected one like 2026-11-17T14:00:00Z");
            Problem::invalid(field, message)
        })
    };
    text.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_instant_says_what_one_is() {
        assert!(instant("since", None).unwrap().is_none());
        assert!(instant("since", Some("2026-11-17T15:00:00+01:00".to_owned())).unwrap().is_some());
        let wrong = instant("since", Some("yesterday".to_owned())).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("since"));
        assert!(wrong.message.contains("2026-11-17T14:00:00Z"), "{}", wrong.message);
    }
}
