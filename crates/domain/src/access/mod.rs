//! The words of access: who may be given something, what may be given, on what, and when.
//!
//! What a grant or a policy decides is the crate `policy`'s; rows are `store`'s.

mod grant;
mod name;
mod patience;
mod scope;
mod subject;
mod target;
mod visible;

pub use grant::{Conditions, Effect, Grant, Privilege, Role};
pub use name::SubjectName;
pub use patience::Patience;
pub use scope::Scope;
pub use subject::{Subject, SubjectKind};
pub use target::{Circumstances, Kind, Place, Principal, Target};
pub use visible::{Clause, Visible};
