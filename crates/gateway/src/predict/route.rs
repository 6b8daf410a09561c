//! The route that a request for an endpoint takes: the present one, or that of a moment later.

use std::{sync::Arc, time::Duration};

use auth::{Permit, verbs};
use domain::{Problem, Resource};
use tokio::time::timeout;

use crate::{
    State,
    live::{Route, Share},
};

/// How long a request waits for this node to hear that a first release was completed, or who holds it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// The present route to an endpoint.
pub(crate) fn route(state: &State, endpoint: &str) -> Result<Arc<Route>, Problem> {
    let live = state.live.load();
    live.get(endpoint).cloned().ok_or_else(|| Resource::Endpoint(endpoint.to_owned()).absent())
}

/// The present route to an endpoint that is ready to be asked.
pub(crate) async fn settled_route(state: &State, endpoint: &str) -> Result<Arc<Route>, Problem> {
    let (route, waking) = settled(state, route(state, endpoint)?).await;
    waking.map_or(Ok(route), Err)
}

/// The present route to the same endpoint, but for a moment after its first release was completed:
/// whoever was told so may ask before this node has heard of it. With it comes why it cannot be asked, if
/// it is loaded because it is asked for, or gone.
pub(super) async fn settled(state: &State, found: Arc<Route>) -> (Arc<Route>, Option<Problem>) {
    // Boxed, since hardly anybody waits.
    let waited = if found.is_cold() {
        Box::pin(woken(state, &found)).await
    } else if found.is_near {
        Box::pin(heard_of(state, &found.name)).await
    } else {
        return (found, None);
    };
    match waited {
        Ok(route) => (route, None),
        Err(problem) => (found, Some(problem)),
    }
}

/// The route to an endpoint once its first release is completed here too, or after a moment.
async fn heard_of(state: &State, endpoint: &str) -> Result<Arc<Route>, Problem> {
    let is_settled = |_: &()| route(state, endpoint).map_or(true, |route| !route.is_near);
    let mut swaps = state.swapped.subscribe();
    let _late = timeout(PATIENCE, swaps.wait_for(is_settled)).await;
    route(state, endpoint)
}

/// The route to an endpoint that is loaded because it is asked for now.
async fn woken(state: &State, cold: &Route) -> Result<Arc<Route>, Problem> {
    // Before it is asked for, so that no swap is missed.
    let mut swaps = state.swapped.subscribe();
    state.asked.load(cold.endpoint);
    if !cold.on_demand.as_ref().is_some_and(|on_demand| on_demand.waits()) {
        return Err(cold.is_waking());
    }
    let is_there = |_: &()| route(state, &cold.name).map_or(true, |route| !route.is_cold());
    let waited = timeout(cold.deadline, swaps.wait_for(is_there)).await.is_ok();
    let found = route(state, &cold.name)?;
    if waited { Ok(found) } else { Err(cold.is_waking()) }
}

/// Whether requests for an endpoint are answered, or would be once it is loaded because they came.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) fn ready(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<(), Problem> {
    route(state, permit.resource().name())?.check(version)
}

/// The version that answers, or would answer, requests for an endpoint.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) async fn share(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<Share, Problem> {
    let route = settled_route(state, permit.resource().name()).await?;
    route.pick(version).cloned()
}

/// Which version of the present release a caller insists on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// None.
    Any,
    /// That one.
    Number(i32),
    /// The one that an alias of the endpoint's model leads to.
    Label(String),
}

impl Version {
    /// Its number. The caller is admitted to the endpoint.
    ///
    /// # Errors
    /// No such endpoint or label, or no version ready.
    pub(crate) async fn number(
        &self,
        state: &State,
        endpoint: &str,
    ) -> Result<Option<i32>, Problem> {
        self.of(&*settled_route(state, endpoint).await?)
    }

    /// Its number, by that route.
    pub(super) fn of(&self, route: &Route) -> Result<Option<i32>, Problem> {
        match self {
            Self::Any => Ok(None),
            Self::Number(number) => Ok(Some(*number)),
            Self::Label(label) => route.labelled(label).map(Some),
        }
    }
}

/// A version's number as protocols write it.
///
/// # Errors
/// No number: then no version is called that.
pub(crate) fn version_number(text: &str) -> Result<i32, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("version", text).hint("versions are numbers, like 3"))
}
