//! V2 over gRPC.
//!
//! A tensor's elements stand in one of two forms, [`Contents`]; a request uses one of them for all
//! of its inputs. The answer takes the request's form, because clients read the one that they
//! write: `tritonclient` knows raw bytes only, others typed fields only. An answer with FP16 or BF16
//! is raw in any case: the typed form has no field for them.
//!
//! `decode` takes the message by value: its typed fields become the tensors' vectors where the width
//! is the same, and raw bytes are copied once.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;

/// The messages of package `inference`, generated from `proto/open_inference_grpc.proto`.
#[expect(missing_docs, reason = "the specification documents the fields")]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

/// The form that elements stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// `contents`: a field of the message for each type.
    Typed,
    /// `raw_input_contents` and `raw_output_contents`: little-endian bytes.
    Raw,
}

impl Contents {
    /// The form that a request uses.
    #[must_use]
    pub fn of(request: &messages::ModelInferRequest) -> Self {
        if request.raw_input_contents.is_empty() { Self::Typed } else { Self::Raw }
    }
}
