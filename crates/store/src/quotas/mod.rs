//! Quotas: limits, what is used of them, and who asks for more.
//!
//! What is counted as objects is counted when a change that adds some is committed: last of all its
//! locks is that of the subject whose limit it is, in the order of ids, so that nobody waits for
//! ever and of many who come at once as many get through as there is room for. Where there is no
//! limit, nothing is locked and nothing counted.

mod charge;
mod leases;
mod limits;
mod requests;
mod shares;

pub use charge::used;
pub(crate) use charge::{Charge, settle};
pub use leases::{Granted, Meter, Rate, counted, lease_count, lease_tokens, meters};
pub use limits::{Known, Limit, Limits, defaults, find, is_member, list, lock, of, set};
pub use requests::{Asked, NewRequest, decide, lock_open, request, requests};
pub use shares::tenants;
