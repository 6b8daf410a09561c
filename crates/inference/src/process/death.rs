//! Why a process ended, in a sentence.

use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

use nix::sys::signal::Signal;

/// Of what it printed last so much is told with the cause.
const MAX_WORDS: usize = 400;
/// What C++, Rust and Python say when there is no memory.
const NO_MEMORY: [&str; 3] = ["bad_alloc", "memory allocation of", "MemoryError"];

/// Whether what it said last shows that memory was short.
pub(crate) fn is_out_of_memory(said: &str) -> bool {
    NO_MEMORY.iter().any(|sign| said.contains(sign))
}

/// The cause, with what it printed last.
pub(super) fn cause(status: ExitStatus, printed: &[String]) -> String {
    let is_out_of_memory = printed.iter().any(|line| is_out_of_memory(line));
    let signal = status.signal().and_then(|signal| Signal::try_from(signal).ok());
    let how = match signal {
        _ if is_out_of_memory => "it ran out of memory".to_owned(),
        Some(Signal::SIGKILL) => "it was killed (SIGKILL)".to_owned(),
        Some(signal) => format!("it crashed ({signal})"),
        None => match status.code() {
            Some(code) => format!("it ended by itself (exit code {code})"),
            None => "it ended".to_owned(),
        },
    };
    let Some(last) = printed.last() else { return how };
    let end = last.floor_char_boundary(MAX_WORDS);
    let last = last.get(..end).unwrap_or_default();
    format!("{how}; it last printed: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_with_the_last_words() {
        let told = |status, printed: &[&str]| {
            let printed: Vec<_> = printed.iter().map(ToString::to_string).collect();
            cause(ExitStatus::from_raw(status), &printed)
        };
        assert_eq!(told(9, &[]), "it was killed (SIGKILL)");
        assert_eq!(told(11, &[]), "it crashed (SIGSEGV)");
        assert_eq!(
            told(3 << 8, &["a", "ValueError: b"]),
            "it ended by itself (exit code 3); it last printed: ValueError: b"
        );
        let out = told(6, &["what():  std::bad_alloc", "Aborted"]);
        assert_eq!(out, "it ran out of memory; it last printed: Aborted");
        assert!(told(0, &["é".repeat(4096).as_str()]).len() < 500);
    }
}
