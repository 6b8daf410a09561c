//! What an ONNX file says of itself, read while its bytes stream by.
//!
//! An ONNX file is one protobuf message, `ModelProto` of `onnx/onnx.proto`, and may be many GiB
//! long, nearly all of it weights. [`Scanner`] takes it in chunks of any size and walks only into
//! the messages that it needs; everything else is counted and forgotten, so that memory stays
//! small whatever the file holds. The file comes from strangers: lengths must fit into their
//! parents, nesting and what is kept are bounded, and nothing panics.
//!
//! Three parts: `wire` takes protobuf apart, `message` says which fields matter and what becomes
//! of them, `facts` is the result. To read one more field, add it to `Message::field` and to one
//! of `text`, `number` or `absorb`.
//!
//! Not here: whether the model runs. That is for its trial to find out.

mod facts;
mod message;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;

pub use facts::{Interface, OnnxFacts};

use crate::Problem;

/// Reads [`OnnxFacts`] from a file that is given to it in chunks.
#[derive(Debug, Default)]
pub struct Scanner(wire::Reader);

impl Scanner {
    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// The bytes are not those of an ONNX file. The file is then refused for good: so say all
    /// later calls.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        self.0.feed(chunk).map_err(|fault| self.refusal(&fault))
    }

    /// The file is over: what did it say?
    ///
    /// # Errors
    /// The file is not ONNX, ends early or lacks what every model has.
    pub fn finish(self) -> Result<OnnxFacts, Problem> {
        if self.0.position() == 0 {
            return Err(not_onnx("the model file is empty"));
        }
        if let Some(fault) = self.0.fault() {
            return Err(self.refusal(&fault));
        }
        facts::of(self.0.into_model())
            .map_err(|why| not_onnx(format!("the model file is not ONNX: {why}")))
    }

    fn refusal(&self, fault: &Fault) -> Problem {
        let at = self.0.position();
        if *fault == Fault::Early && self.0.has_begun() {
            return Problem::invalid("files", format!("the ONNX file ends early, at byte {at}"))
                .hint("upload the whole file");
        }
        not_onnx(format!("the model file is not ONNX: {fault} (at byte {at})"))
    }
}

fn not_onnx(message: impl Into<String>) -> Problem {
    Problem::invalid("files", message)
        .hint("export the model to ONNX, e.g. with skl2onnx, torch.onnx or tf2onnx")
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The file is over in the middle of something.
    Early,
    /// A varint of more than 64 bits.
    Varint,
    /// Field number 0, or one beyond protobuf's range.
    FieldNumber,
    /// A wire type that does not exist, or a group, which ONNX never uses.
    WireType,
    /// A field that is known, but of another type than ONNX's.
    FieldType,
    /// A field that is longer than what it stands in.
    Overrun,
    /// Messages in messages beyond any use.
    Depth,
    /// A name that is not UTF-8.
    Text,
    /// A name beyond any use.
    Length,
    /// More names than we keep.
    Amount,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Early => "it ends in the middle of a field",
            Self::Varint => "a number is longer than 64 bits",
            Self::FieldNumber => "a field has no valid number",
            Self::WireType => "a field has no valid type",
            Self::FieldType => "a field has another type than in ONNX",
            Self::Overrun => "a field is longer than what it stands in",
            Self::Depth => "its messages are nested too deeply",
            Self::Text => "a name is not UTF-8",
            Self::Length => "a name is too long",
            Self::Amount => "it has too many names",
        })
    }
}
