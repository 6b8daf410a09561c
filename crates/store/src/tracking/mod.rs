//! What runs log, and the containers of it.

pub mod files;
pub mod logged_models;
pub mod points;
