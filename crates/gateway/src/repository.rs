//! Which endpoints there are, what they have done, and what clients ask to be loaded or unloaded.
//!
//! **Load and unload.** What a node holds follows from releases, which people make and the platform
//! carries out: a client that could unload would take an endpoint from its other callers, on one node
//! of many. So whoever may deploy may ask for both, and `load` answers whether it is loaded, but
//! `unload` is refused with the command that takes an endpoint out of service for all. An endpoint that
//! is loaded on demand is another matter: `load` asks for it, and `unload` lets it go until somebody asks.

use std::sync::Arc;

use auth::{Caller, Permit, verbs};
use domain::{ErrorCode, Problem, Resource};
use protocol::v2::{
    repository::{ControlRequest, IndexRequest, ModelIndex, ModelState},
    statistics::{ModelStatistics, StatisticsAnswer},
};

use crate::{
    State,
    live::{Route, Standing},
    predict::{route, settled_route},
};

/// What clients send with every `unload`; nothing here depends on another model.
const DEPENDENTS: &str = "unload_dependents";

/// The endpoints that the caller may see, by name, each in the versions of its release.
///
/// # Errors
/// The database is away for too long to say who sees what.
pub(crate) fn index(
    state: &State,
    caller: &Caller,
    asked: &IndexRequest,
) -> Result<Vec<ModelIndex>, Problem> {
    let mut models: Vec<_> =
        visible(state, caller)?.iter().flat_map(|route| entries(route)).collect();
    if asked.ready {
        models.retain(|model| model.state == ModelState::Ready);
    }
    Ok(models)
}

fn entries(route: &Route) -> Vec<ModelIndex> {
    let entry = |version: String, state: ModelState, reason: &str| ModelIndex {
        name: route.name.clone(),
        version,
        state,
        reason: reason.to_owned(),
    };
    if !route.shares.is_empty() {
        let versions = route.shares.iter().map(|share| share.served.labels.version.clone());
        return versions.map(|version| entry(version, ModelState::Ready, "")).collect();
    }
    if let Some(elsewhere) = route.elsewhere.as_ref().filter(|elsewhere| !elsewhere.is_empty()) {
        let versions = elsewhere.versions().iter().map(ToString::to_string);
        return versions.map(|version| entry(version, ModelState::Ready, "")).collect();
    }
    let (state, reason) = match &route.standing {
        Standing::Empty => (ModelState::Unavailable, "nothing is deployed to it"),
        Standing::Cold => (ModelState::Unavailable, "it is loaded when it is asked for"),
        Standing::Loading => (ModelState::Loading, ""),
        Standing::Failed(why) => (ModelState::Unavailable, why.as_str()),
    };
    vec![entry(String::new(), state, reason)]
}

/// By name, so that two answers are alike.
fn visible(state: &State, caller: &Caller) -> Result<Vec<Arc<Route>>, Problem> {
    let live = state.live.load();
    let mut routes = Vec::new();
    for (name, route) in live.iter() {
        let resource = Resource::Endpoint(name.clone());
        if state.given.access.may_with::<verbs::View>(caller, &resource, &route.target)? {
            routes.push(Arc::clone(route));
        }
    }
    routes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(routes)
}

/// What this node has done with all endpoints that the caller may see.
///
/// # Errors
/// The database is away for too long to say who sees what.
pub(crate) fn all_statistics(state: &State, caller: &Caller) -> Result<StatisticsAnswer, Problem> {
    let routes = visible(state, caller)?;
    Ok(StatisticsAnswer {
        model_stats: routes.iter().flat_map(|route| told(route, None)).collect(),
    })
}

/// What this node has done with an endpoint, or with one version of its release.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) fn statistics(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<StatisticsAnswer, Problem> {
    let route = route(state, permit.resource().name())?;
    route.check(version)?;
    Ok(StatisticsAnswer { model_stats: told(&route, version) })
}

fn told(route: &Route, version: Option<i32>) -> Vec<ModelStatistics> {
    let asked = |number: i32| version.is_none_or(|asked| asked == number);
    let shares = route.shares.iter().filter(|share| asked(share.served.number));
    shares.map(|share| share.statistics.told(&route.name, &share.served.labels.version)).collect()
}

/// Answers whether an endpoint is loaded; one that is loaded on demand is asked for.
///
/// # Errors
/// It is not; parameters that would change what is loaded.
pub(crate) async fn load(
    state: &State,
    permit: &Permit<verbs::Deploy>,
    asked: &ControlRequest,
) -> Result<(), Problem> {
    asked.check(None)?;
    settled_route(state, permit.resource().name()).await?.check(None)
}

/// Unloads what is loaded on demand, from this node and until it is asked for again.
///
/// # Errors
/// It is not on demand: then it is not a client's to unload.
pub(crate) fn unload(
    state: &State,
    permit: &Permit<verbs::Deploy>,
    asked: &ControlRequest,
) -> Result<(), Problem> {
    let endpoint = permit.resource().name();
    asked.check(Some(DEPENDENTS))?;
    let route = route(state, endpoint)?;
    if route.on_demand.is_none() {
        let message = format!("endpoint `{endpoint}` is not unloaded by its clients");
        return Err(Problem::conflict(message)
            .hint(format!("`bottega endpoints delete {endpoint}` takes it out of service")));
    }
    state.asked.unload(route.endpoint);
    Ok(())
}

/// What belongs to Triton's process, and has no meaning for many nodes that callers share.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unsupported {
    SharedMemory,
    Trace,
    Logging,
}

impl Unsupported {
    /// What is said of it.
    pub(crate) fn problem(self) -> Problem {
        let (what, hint) = match self {
            Self::SharedMemory => {
                ("shared memory is", "send the elements in the request, in the binary form")
            }
            Self::Trace => ("trace settings are", "send `traceparent` with each request instead"),
            Self::Logging => ("log settings are", "an administrator sets them when a node starts"),
        };
        let message = format!("{what} not supported by this server");
        Problem::new(ErrorCode::Invalid, message).hint(hint)
    }
}
