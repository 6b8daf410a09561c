//! MLflow's scoring server, whose bodies SageMaker's containers take too.
//!
//! A request is JSON with one of `inputs` (whole tensors), `instances` (rows), `dataframe_split` and
//! `dataframe_records`, or CSV with a header, or Parquet. A data frame's columns are the inputs of their names;
//! for a model of one input they are its columns, in their order, as MLflow's ONNX flavour has it.
//!
//! The answer is `{"predictions": …}`: an object with a tensor for each output, for `inputs` and
//! `instances`; a list with an object for each row, for data frames; of a model that answers one array, that
//! array. Floats that are no numbers are
//! the strings of [V2](crate::v2::json).
//!
//! What MLflow drops in silence is refused here: unknown columns and fields. A data frame's `index`
//! names rows and says nothing of their values: it may be there.

mod caller;
mod csv;
mod decode;
mod encode;
mod parquet;

use domain::Tensor;

pub use caller::{Asked, decode_answer, encode_request};
pub use decode::decode;
pub use encode::encode;

/// How an answer is laid out, which is as the request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A tensor for each output.
    Tensors,
    /// An object for each row.
    Records,
}

/// How the body of a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    Json,
    /// `text/csv`
    Csv,
    /// `application/vnd.apache.parquet`
    Parquet,
}

impl Format {
    /// The content types that name one, for people.
    pub const NAMES: &str = "application/json, text/csv or application/vnd.apache.parquet";

    /// The format that a content type names. It may say that text is UTF-8, and nothing else.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        if !parts.all(|part| part.eq_ignore_ascii_case("charset=utf-8")) {
            return None;
        }
        match kind.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "text/csv" => Some(Self::Csv),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A request whose inputs fit the model's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoringRequest {
    /// In the signature's order.
    pub inputs: Vec<Tensor>,
    /// How to answer.
    pub layout: Layout,
}
