//! Bytes ↔ tensors, for each wire protocol that clients speak.
//!
//! A protocol is a module with `decode` (a request's bytes and the model's [`domain::Signature`]
//! to tensors that fit it) and `encode` (the answer's tensors to bytes). To add one: a module
//! beside [`v2`], with its own doc of what it takes and refuses; the use case stays the gateway's.
//!
//! **Invariants.** No I/O and no state. No input makes anything here panic, overflow the stack, or
//! take memory beyond a small multiple of the input's own length; callers limit that length. What
//! `decode` returns fits the signature. A refusal is a [`domain::Problem`] that names the place.
//!
//! [`stub`] writes typed code for callers of a model.
//!
//! Not here: routes, status codes, headers (`gateway`), and running the model (`inference`).

#![warn(clippy::indexing_slicing)]

mod json;
mod nested;
pub mod scoring;
pub mod stub;
mod table;
pub mod tensorflow;
pub mod v2;

pub use table::{
    answer_schema as rows_answer_schema, example as rows_example, examples_example,
    schema as rows_schema,
};
