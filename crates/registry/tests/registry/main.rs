//! The registry over its real routes, on a real Postgres and a folder of artifacts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod aliases;
mod archives;
mod blobs;
mod collections;
mod contracts;
mod document;
mod endpoints;
mod files;
mod history;
mod hooks;
mod lineage;
mod lookups;
mod lookups_after_writes;
mod mlmodels;
mod models;
mod nodes;
mod onnx;
mod platform;
mod releases;
mod resolve;
mod rules;
mod serving;
mod settings;
mod stages;
mod versions;
