//! Whether a caller may: decided out of memory, by what the present routes say of the endpoint.

use std::sync::{Arc, LazyLock};

use auth::{Caller, Permit, Verb};
use domain::{
    Problem, Resource,
    access::{Kind, Target},
};

use crate::State;

/// An endpoint that this node knows nothing of.
static UNKNOWN: LazyLock<Arc<Target>> = LazyLock::new(|| Target::new_of(Kind::Endpoint).into());

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
    let target = live.get(&endpoint).map_or(&*UNKNOWN, |route| &route.target);
    state.given.access.decide(caller, Resource::Endpoint(endpoint), target)
}

/// How many bytes a request for an endpoint may have. No endpoint's limit is lower than
/// [`BodyLimit::MIN`](domain::serving::BodyLimit::MIN): what is no larger than that need not ask.
pub(crate) fn body_limit(state: &State, endpoint: &str) -> usize {
    let live = state.live.load();
    live.get(endpoint).map_or(state.given.settings.body_limit, |route| route.body_limit)
}
