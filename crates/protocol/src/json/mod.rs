//! How elements of tensors stand in JSON, for all protocols that have them there.

pub(crate) mod data;
pub(crate) mod element;
pub(crate) mod explain;
