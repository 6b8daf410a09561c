//! Whether a caller may: decided out of memory, by what the present routes say of the endpoint.

use auth::{Caller, Permit, Verb};
use domain::{
    Problem, Resource,
    access::{Kind, Target},
};

use crate::State;

/// Admits a caller to an endpoint.
///
/// # Errors
/// They may not; where they may not even see it, there is no such endpoint.
pub(crate) fn admit<V: Verb>(
    state: &State,
    caller: &Caller,
    endpoint: String,
) -> Result<Permit<V>, Problem> {
    let live = state.live.load();
    let unknown = Target::new_of(Kind::Endpoint);
    let target = live.get(&endpoint).map_or(&unknown, |route| &route.target);
    state.given.access.decide(caller, Resource::Endpoint(endpoint), target)
}
