//! Why a body is refused, and where.
//!
//! Reading keeps no track of where it is: that would cost every good request. A bad one is read a
//! second time, with the track on.

use std::marker::PhantomData;

use domain::{ErrorCode, Problem};
use serde::{Deserialize, de::DeserializeSeed};
use serde_json::{Deserializer, Error, error::Category};
use serde_path_to_error::Track;

use super::data::DataSeed;

const NON_FINITE: &str = "JSON has no NaN and no infinity: send the tensor in the binary form or by gRPC, which take both as they are";

const TOO_LARGE: &str = "no number in JSON may be larger than FP64 holds, 1.7976931348623157e308";

/// Explains why `body` is no `T`.
pub(crate) fn explain<'de, T: Deserialize<'de>>(error: &Error, body: &'de [u8]) -> Problem {
    problem(error, &error.to_string(), place(PhantomData::<T>, body), body)
}

/// Explains why `json`, which stands in `field`, holds no such elements.
pub(crate) fn explain_data(error: &Error, seed: DataSeed, json: &str, field: &str) -> Problem {
    let inner = place(seed, json.as_bytes()).unwrap_or_default();
    // Without the position, which would count from the start of `json`, not of the body.
    problem(error, &reason(error), Some(format!("{field}{inner}")), json.as_bytes())
}

/// The place where reading stops, such as `inputs[0].data[3]`; absent for the whole text.
fn place<'de, S: DeserializeSeed<'de>>(seed: S, text: &'de [u8]) -> Option<String> {
    let mut json = Deserializer::from_slice(text);
    let mut track = Track::new();
    seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track)).err()?;
    let path = track.path();
    // A text that ends too early has a place without a name.
    path.iter().next().map(|_| path.to_string()).filter(|place| place != "?")
}

/// What the error says, without its position.
pub(crate) fn reason(error: &Error) -> String {
    let mut said = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if said.ends_with(&position) {
        said.truncate(said.len() - position.len());
    }
    said
}

fn problem(error: &Error, said: &str, place: Option<String>, text: &[u8]) -> Problem {
    let reason = reason(error);
    if reason == "recursion limit exceeded" {
        return Problem::new(ErrorCode::Invalid, "the body is nested more than 127 levels deep");
    }
    let is_too_large = reason == "number out of range";
    let well_formed = error.classify() == Category::Data || is_too_large;
    let message = match (&place, well_formed) {
        (Some(place), true) => format!("`{place}`: {reason}"),
        (Some(place), false) => format!("`{place}` is not JSON: {said}"),
        (None, true) => format!("the body: {reason}"),
        (None, false) => format!("the body is not JSON: {said}"),
    };
    let mut problem = Problem::new(ErrorCode::Invalid, message);
    problem.field = place;
    if is_too_large {
        problem.hint(TOO_LARGE)
    } else if is_non_finite(error, &reason, text) {
        problem.hint(NON_FINITE)
    } else {
        problem
    }
}

/// Whether it was NaN or infinity that could not be read, in any of the ways people write them.
fn is_non_finite(error: &Error, reason: &str, text: &[u8]) -> bool {
    match error.classify() {
        Category::Syntax => {
            let word = word_at(text, error.line(), error.column());
            ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
        }
        Category::Data => {
            let found = ["null", "\"NaN\"", "\"Infinity\"", "\"-Infinity\""];
            reason.contains(": a number from ") && found.iter().any(|found| reason.contains(found))
        }
        Category::Eof | Category::Io => false,
    }
}

/// The run of letters at a position as `serde_json` counts it: lines from 1, bytes from 1; the
/// position may be that of the sign before the word.
fn word_at(text: &[u8], line: usize, column: usize) -> &[u8] {
    let line = text.split(|&byte| byte == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let (before, after) = line.split_at(column.saturating_sub(1).min(line.len()));
    let letters_before = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let signs = after.iter().take_while(|byte| matches!(byte, b'-' | b'+')).count();
    let letters = after.iter().skip(signs).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = if signs == 0 { before.len() - letters_before } else { before.len() + signs };
    line.get(start..before.len() + signs + letters).unwrap_or_default()
}
