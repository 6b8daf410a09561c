//! The Open Inference Protocol V2: one request and one answer, in two forms on the wire.
//!
//! | Module | Form |
//! |---|---|
//! | [`json`] | REST, tensors as JSON numbers |
//! | [`grpc`] | gRPC, tensors as typed `contents` or as raw little-endian bytes |
//!
//! Both decode to [`InferRequest`] and share its rules: which parameters are refused, that every
//! requested output exists, that the inputs fit the signature. [`metadata`] describes a server and
//! its models in both forms.

pub mod grpc;
pub mod json;
pub mod metadata;
mod parameters;
mod request;

pub use request::{InferRequest, RequestedOutput};
