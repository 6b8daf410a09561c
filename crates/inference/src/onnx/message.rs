//! ONNX Runtime's error messages, made fit for those who uploaded or call a model.
//!
//! The runtime's texts name paths of the server and lines of its own source. What is worth
//! telling is kept: the operator, the node, the sizes.

use crate::Error;

/// The longest message that is passed on.
const MAX_CHARS: usize = 400;

/// Why a model could not be loaded.
pub(super) fn load_error(message: &str, folder: &str) -> Error {
    if is_out_of_memory(message) {
        return Error::Memory;
    }
    if let Some((operator, why)) = unusable_operator(message) {
        return Error::Model(format!(
            "it uses the operator `{operator}`, which ONNX Runtime {why}; export the model with \
             standard ONNX operators, or with a lower opset"
        ));
    }
    let message = match message.split_once(" failed:") {
        Some((start, rest)) if start.starts_with("Load model from ") => rest,
        _ => message,
    };
    Error::Model(clean(message, folder))
}

/// Why a run failed.
pub(super) fn run_error(message: &str, folder: &str) -> Error {
    if is_out_of_memory(message) {
        return Error::Memory;
    }
    let told = message.split_once("while running ").and_then(|(_, rest)| {
        let (node, _) = rest.split_once(" node.")?;
        let (_, status) = rest.split_once("Status Message: ")?;
        Some(format!("{node}: {status}"))
    });
    Error::Run(clean(told.as_deref().unwrap_or(message), folder))
}

fn is_out_of_memory(message: &str) -> bool {
    ["Failed to allocate memory", "bad_alloc", "bad allocation"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// The operator that the runtime cannot run, by its full name, and why.
fn unusable_operator(message: &str) -> Option<(&str, &'static str)> {
    let word_before = |end: &str| {
        let (start, _) = message.split_once(end)?;
        let word = start.rsplit([' ', ':']).next()?;
        let domain = start.strip_suffix(word)?.strip_suffix(':').map(|domain| {
            let begin = domain.rfind([' ', ':']).map_or(0, |at| at + 1);
            &start[begin..]
        });
        Some(domain.unwrap_or(word))
    };
    let word_after = |begin: &str| {
        let (_, rest) = message.split_once(begin)?;
        rest.split([' ', '(']).next()
    };
    if message.contains(") is not a registered function/op") {
        return word_before("(-1) is not a registered").map(|name| (name, "does not know"));
    }
    if let Some(name) = word_after("No Op registered for ") {
        return Some((name, "does not know in this opset"));
    }
    word_after("Could not find an implementation for ")
        .map(|name| (name, "does not implement for these types"))
}

/// One line without the folder, without anything that looks like a path, and not too long.
fn clean(message: &str, folder: &str) -> String {
    let message = if folder.is_empty() { message.into() } else { message.replace(folder, "") };
    let words: Vec<&str> = message.split_whitespace().filter(|word| !is_path(word)).collect();
    let mut line: String = words.join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Whether a word names a place on the server or a line of the runtime's source.
fn is_path(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'', '(', ')', ',', ':', '`']);
    (word.starts_with('/') && word.matches('/').count() > 1) || word.contains(".cc:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_operator_is_named_whatever_the_runtime_calls_it() {
        for (message, name) in [
            (
                "Load model from /d/m.onnx failed:Fatal error: my.dom:Foo(-1) is not a registered function/op",
                "`my.dom:Foo`",
            ),
            (
                "Load model from /d/m.onnx failed:This is an invalid model. In Node, (\"\", Bar, \"\", -1) : , Error No Op registered for Bar with domain_version of 17",
                "`Bar`",
            ),
            ("Could not find an implementation for Round(11) node with name 'r'", "`Round`"),
        ] {
            let text = load_error(message, "/d").to_string();
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn no_path_of_the_server_gets_through() {
        let message = "External data path does not exist: \"/var/lib/my dir/v/missing.bin\" tensorprotoutils.cc:619 Validate";
        let text = load_error(message, "/var/lib/my dir/v").to_string();
        assert_eq!(
            text,
            "the model cannot be loaded: External data path does not exist: \"/missing.bin\" Validate"
        );
        let escaping = "resolved path: \"/etc/passwd\" allowed directory: \"/srv/cache\" at /onnxruntime_src/x.cc:12";
        assert!(!load_error(escaping, "/d").to_string().contains('/'));
    }

    #[test]
    fn a_failed_node_is_named_with_its_reason() {
        let message = "Non-zero status code returned while running Gather node. Name:'' Status Message: indices element out of data bounds, idx=99";
        assert_eq!(
            run_error(message, "").to_string(),
            "the model failed on this input: Gather: indices element out of data bounds, idx=99"
        );
    }

    #[test]
    fn want_of_memory_is_told_apart() {
        let message = "Status Message: /onnxruntime_src/bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 140737488355328";
        assert!(matches!(run_error(message, ""), Error::Memory));
        assert!(matches!(load_error("std::bad_alloc", ""), Error::Memory));
    }

    #[test]
    fn long_messages_are_cut() {
        assert!(run_error(&"wörd ".repeat(500), "").to_string().chars().count() < 450);
    }
}
