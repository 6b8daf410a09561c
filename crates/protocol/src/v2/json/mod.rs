//! V2 over REST: requests and answers as JSON.
//!
//! A request is read in one pass, straight into typed vectors: `datatype` tells how to read the
//! `data` behind it. Where `data` comes first (clients that sort their keys), its text is looked at
//! twice, never copied. Only a refusal costs more: the body is then read again, to find the place.
//!
//! What is taken, beyond the letter of the specification:
//! - `data` is flat or nested as the shape says, row-major; a scalar may stand without an array.
//! - `null` for an optional field is as good as its absence; so is an empty `outputs`.
//! - FP16 and BF16 are numbers, rounded to the nearest. A number that overflows its type, an integer
//!   written as `3.0`, and every field that the specification does not have are refused.
//! - BYTES are strings: their UTF-8 is the element.
//!
//! **NaN and infinity** have no JSON. In a request they are refused, with a pointer to the binary
//! form and gRPC. In an
//! answer they are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as Protobuf's JSON mapping
//! has them: that is still JSON, tells the three apart, and NumPy (so `tritonclient` too) reads them
//! back as the numbers they are, while a client with typed parsing fails at that one element
//! instead of at the whole body. `null` would lose the sign, a bare `NaN` breaks most parsers, and
//! refusing would lose the other elements.

mod caller;
mod decode;
mod encode;
mod example;
#[cfg(test)]
mod tests;

pub use caller::{decode_answer, encode_request};
pub use decode::decode;
pub(super) use decode::read;
pub use encode::encode;
pub(super) use encode::write;
pub use example::{answer_schema, example, schema};
