//! The Open Inference Protocol V2: one request and one answer, in three forms on the wire.
//!
//! | Module | Form |
//! |---|---|
//! | [`json`] | REST, tensors as JSON numbers |
//! | [`binary`] | REST, tensors as bytes behind the JSON, or some of them |
//! | [`grpc`] | gRPC, tensors as typed `contents` or as raw little-endian bytes |
//!
//! All decode to [`InferRequest`] and share its rules: which parameters are refused, that every
//! requested output exists, that the inputs fit the signature. [`metadata`] describes a server and
//! its models, [`config`] how a model is run, [`statistics`] what it has done and [`repository`] which
//! models there are: each over REST and over gRPC.

pub mod binary;
pub mod config;
pub mod grpc;
pub mod json;
pub mod metadata;
mod parameters;
pub mod repository;
mod request;
pub mod statistics;

pub use request::{BinaryOutputs, InferRequest, RequestedOutput};
