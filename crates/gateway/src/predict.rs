//! The one core of all prediction protocols.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use auth::{Permit, verbs};
use domain::{Problem, Resource, Signature, Tensor, quota::Key};
use protocol::v2::{InferRequest, RequestedOutput};
use store::usage::Counts;
use tokio::time::timeout;

use crate::{
    State,
    live::{Route, Served},
    usage::Place,
};

/// How long a request waits for this node to hear that a first release was completed.
const PATIENCE: Duration = Duration::from_secs(3);

/// A prediction, and what made it.
pub struct Prediction {
    /// The version that answered.
    pub served: Arc<Served>,
    /// The caller's name for the request.
    pub id: Option<String>,
    /// The outputs that were asked for, in that order; else all, in the model's.
    pub outputs: Vec<Tensor>,
    /// What the request used, but for the answer's bytes.
    counts: Counts,
    place: Place,
}

impl Prediction {
    /// Counts what was used, once it is known how many bytes the answer has.
    pub fn count(&self, state: &State, permit: &Permit<verbs::Invoke>, bytes_out: usize) {
        let counts = Counts { bytes_out: signed(bytes_out), ..self.counts };
        // The route may be gone by now: what was used was used.
        let team = state.live.load().get(permit.resource().name()).and_then(|it| it.target.team);
        let names = (permit.resource().name(), &self.served.model, team);
        state.usage.add(self.place, names, permit.actor(), &counts);
    }
}

/// Answers a request for the endpoint that the permit names, whose body had so many bytes. `version`
/// insists on one version of the present release; `decode` reads the request once it is known which
/// signature it must fit. Who encodes the answer calls [`Prediction::count`].
///
/// # Errors
/// No such endpoint, no version ready, a quota that is spent, what `decode` says, the model's
/// failure, or too late.
pub async fn predict(
    state: &State,
    permit: &Permit<verbs::Invoke>,
    version: Option<i32>,
    bytes_in: usize,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
) -> Result<Prediction, Problem> {
    let begun = Instant::now();
    let route = settled_route(state, permit.resource().name()).await?;
    let limiter = &state.given.limiter;
    let team = route.target.team;
    limiter.admit_to(team).await?;
    limiter.count(Key::PredictionsPerMonth, permit.actor(), team, 1).await?;
    let result = answer(state, &route, version, bytes_in, decode, begun).await;
    route.metrics.count(&result, begun.elapsed());
    if let (Err(_), Some(served)) = (&result, route.pick_any()) {
        let place = Place { endpoint: route.endpoint, version: served.version };
        let bytes_in = signed(bytes_in);
        let counts = Counts { requests: 1, errors: 1, bytes_in, ..Counts::default() };
        state.usage.add(place, (&route.name, &served.model, team), permit.actor(), &counts);
    }
    result
}

async fn answer(
    state: &State,
    route: &Route,
    version: Option<i32>,
    bytes_in: usize,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
    begun: Instant,
) -> Result<Prediction, Problem> {
    // Ours until we are done: whoever drains the version waits for that.
    let served = Arc::clone(route.pick(version)?);
    let request = decode(&served.signature)?;
    let rows = request.inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(1);
    let deadline = begun + state.given.settings.deadline;
    let answer = served.replica.infer(request.inputs, deadline).await?;
    let outputs = select(answer.outputs, &request.outputs);
    let shared = answer.ran.as_micros() / answer.batch.max(1) as u128;
    let counts = Counts {
        requests: 1,
        rows: signed(rows),
        errors: 0,
        cpu_micros: i64::try_from(shared).unwrap_or(i64::MAX),
        bytes_in: signed(bytes_in),
        bytes_out: 0,
    };
    let place = Place { endpoint: route.endpoint, version: served.version };
    Ok(Prediction { served, id: request.id, outputs, counts, place })
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The present route to an endpoint.
pub(crate) fn route(state: &State, endpoint: &str) -> Result<Arc<Route>, Problem> {
    let live = state.live.load();
    live.get(endpoint).cloned().ok_or_else(|| Resource::Endpoint(endpoint.to_owned()).absent())
}

/// The present route to an endpoint, but for a moment after its first release was completed: whoever
/// was told so may ask before this node has heard of it.
async fn settled_route(state: &State, endpoint: &str) -> Result<Arc<Route>, Problem> {
    let found = route(state, endpoint)?;
    if !found.is_near {
        return Ok(found);
    }
    let is_settled = |_: &()| route(state, endpoint).map_or(true, |route| !route.is_near);
    let mut swaps = state.swapped.subscribe();
    let _late = timeout(PATIENCE, swaps.wait_for(is_settled)).await;
    route(state, endpoint)
}

/// The version that answers, or would answer, requests for an endpoint.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) fn served(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<Arc<Served>, Problem> {
    route(state, permit.resource().name())?.pick(version).cloned()
}

/// A version's number as protocols write it.
///
/// # Errors
/// No number: then no version is called that.
pub(crate) fn version_number(text: &str) -> Result<i32, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("version", text).hint("versions are numbers, like 3"))
}

/// The outputs that the caller asked for, in the order that it asked for them.
fn select(mut outputs: Vec<Tensor>, requested: &[RequestedOutput]) -> Vec<Tensor> {
    if requested.is_empty() {
        return outputs;
    }
    requested
        .iter()
        .filter_map(|RequestedOutput { name, .. }| {
            let at = outputs.iter().position(|output| output.name == *name)?;
            Some(outputs.swap_remove(at))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::TensorData;

    use super::*;

    #[test]
    fn outputs_come_as_they_were_asked_for() {
        let outputs = || {
            ["a", "b", "c"]
                .map(|name| Tensor::new(name, vec![1], TensorData::I64(vec![1])).unwrap())
        };
        let names = |asked: &[&str]| {
            let requested: Vec<_> = asked
                .iter()
                .map(|&name| RequestedOutput {
                    name: name.to_owned(),
                    parameters: Default::default(),
                })
                .collect();
            let selected = select(outputs().into(), &requested);
            selected.into_iter().map(|output| output.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["a", "b", "c"]);
        assert_eq!(names(&["c", "a"]), ["c", "a"]);
        assert_eq!(names(&["b", "a", "c"]), ["b", "a", "c"]);
    }
}
