//! Where things come from and what they lead to. [`links`] is one step from some nodes; who walks on is
//! the caller, who knows how far and what may be seen. [`nodes`] tells how they are shown.
//!
//! - `links`: the steps.
//! - `nodes`: the things.
//! - `dependents`: what would break, or lose its origin, if something were deleted.

mod dependents;
mod links;
mod nodes;

pub use dependents::{needing_model, needing_version, of_experiment, of_model, of_run, of_version};
pub use links::links;
pub use nodes::nodes;
