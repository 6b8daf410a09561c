//! TensorFlow Serving's REST.
//!
//! `:predict` takes rows (`instances`, answered by `predictions`) or columns (`inputs`, answered by
//! `outputs`); for a model of one input or output its name is left out. BYTES may come as
//! `{"b64": "…"}`, and go so where the output's name ends in `_bytes`. Floats that are no numbers go
//! as the strings of [V2](crate::v2::json): TensorFlow Serving writes them bare, which is no JSON.
//!
//! `:classify` and `:regress` take `examples`, objects of features that are the inputs, and answer
//! `results`: pairs of class and score, or a value, for each.

mod caller;
mod examples;
mod metadata;
mod predict;

pub use caller::{decode_answer, decode_metadata, encode_request};
pub use examples::{Task, decode_examples, encode_results};
pub use metadata::{ModelStatus, metadata, status};
pub use predict::{Layout, PredictRequest, decode, encode};
