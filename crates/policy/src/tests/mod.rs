//! The crate against the plain meaning of grants ([`reference`]), in a small world ([`world`]).

mod changes;
mod custom;
mod explain;
mod properties;
mod reference;
mod roles;
mod rules;
mod schema;
mod world;
