//! What callers send, turned into our types, with refusals that name the field.
//!
//! The three extractors carry the names that `#[utoipa::path]` looks for in a handler's signature:
//! from them it knows the body, and which parameters stand in the path and which in the query.

mod json;
mod params;
mod text;

pub use json::{BodyLimit, Json, decode_at};
pub use params::{NoQuery, Path, Query};

use domain::Problem;

/// A serde error as a refusal: the field is the path to it, the message is serde's own, which
/// names what was found and what was expected.
///
/// What callers sent may be quoted in it at any length: it is cut.
fn refusal(path: &serde_path_to_error::Path, message: &str) -> Problem {
    const LONGEST: usize = 400;
    let mut field = path.to_string();
    // A field that is missing, or there twice, is no step of the path yet.
    let absent = ["missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    if let Some(name) = absent {
        field = if field == "." { name.to_owned() } else { format!("{field}.{name}") };
    }
    let problem = Problem::new(domain::ErrorCode::Invalid, shortened(message, LONGEST));
    if field == "." { problem } else { problem.at(shortened(&field, LONGEST)) }
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
