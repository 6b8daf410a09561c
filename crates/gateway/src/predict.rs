//! The one core of all prediction protocols.

mod route;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use auth::{Permit, verbs};
use domain::{Problem, Signature, SubjectId, Tensor, Timestamp, capture::Protocol, quota::Key};
use inference::{Answer, Ask, Priority};
use protocol::v2::{InferRequest, RequestedOutput};
use store::usage::Counts;

pub use self::route::Version;
use self::route::settled;
pub(crate) use self::route::{PATIENCE, ready, route, settled_route, share, version_number};
use crate::{
    State,
    capture::{About, Ended, Watched},
    identity::inference_id,
    live::{Route, Served, Share},
    metrics::End,
    routing::{Headers, Pick},
    spans::Traced,
    statistics::Times,
    told::Told,
    usage::Place,
};

/// What is asked of an endpoint.
pub struct Asked<'a> {
    /// Names the endpoint.
    pub permit: &'a Permit<verbs::Invoke>,
    /// Which version of the present release it insists on.
    pub version: Version,
    /// What it says beside its inputs.
    pub headers: Headers<'a>,
    /// How many bytes the request has.
    pub bytes_in: usize,
    /// When the caller gives up, if they say.
    pub until: Option<Instant>,
    /// By which protocol.
    pub protocol: Protocol,
    /// What the caller calls the answer, if they say.
    pub id: Option<&'a str>,
    /// The trace that it is a part of, if one is recorded.
    pub traced: Option<Traced>,
    /// What can be told of its priority before it is read.
    pub priority: Foreseen<'a>,
}

/// A priority before the request is read.
pub enum Foreseen<'a> {
    /// At most this.
    AtMost(Priority),
    /// Any, if this JSON speaks of it.
    In(&'a [u8]),
}

impl Foreseen<'_> {
    /// The highest that it may be.
    fn highest(&self) -> Priority {
        match self {
            Self::AtMost(priority) => *priority,
            Self::In(json) if memchr::memmem::find(json, b"\"priority\"").is_some() => {
                Priority::High
            }
            Self::In(_) => Priority::default(),
        }
    }
}

/// A request that a model has answered.
pub struct Answered<'a> {
    /// The version that answered.
    pub served: &'a Served,
    /// What the answer is called.
    pub id: &'a str,
    /// The request, without its inputs.
    pub request: InferRequest,
    /// The outputs that were asked for, in that order; else all, in the model's. Nobody else needs them,
    /// or they are lent.
    pub outputs: Cow<'a, [Tensor]>,
}

/// Answers a request. `decode` reads it once it is known which signature it must fit; `encode` writes
/// the answer and tells how many bytes it has.
///
/// # Errors
/// No such endpoint, no version ready, a quota that is spent, what `decode` and `encode` say, the
/// model's failure, or too late.
pub async fn predict<T>(
    state: &State,
    asked: &Asked<'_>,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
    encode: impl FnOnce(Answered<'_>) -> Result<(T, usize), Problem>,
) -> Result<T, Problem> {
    // Boxed by itself: for blocks of up to 1 KiB no allocator looks far, and with what surrounds it
    // this would be larger.
    Box::pin(predicted(state, asked, decode, encode)).await
}

#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn predicted<T>(
    state: &State,
    asked: &Asked<'_>,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
    encode: impl FnOnce(Answered<'_>) -> Result<(T, usize), Problem>,
) -> impl Future<Output = Result<T, Problem>> {
    async move {
        let begun = Instant::now();
        let (route, refused) = entered(state, asked, begun).await?;
        let is_admitted = refused.is_none();
        let mut pick = match pick(&route, asked, refused) {
            Ok(pick) => pick,
            Err(problem) => {
                over(state, asked, (&route, None), begun, Err(&problem), is_admitted);
                return Err(problem);
            }
        };
        let mut watched = Watched::by(&pick.share.source);
        let result =
            answer(state, (&route, &mut pick), asked, decode, encode, (begun, &mut watched)).await;
        if let Err(problem) = &result {
            watched.failed(state, &pick.share.source, asked, problem, begun);
        }
        let outcome = result.as_ref().map(|(_, done)| done);
        over(state, asked, (&route, Some(pick.share)), begun, outcome, is_admitted);
        result.map(|(value, _)| value)
    }
}

/// The route that a request takes, and why it is not let in, if it is not.
///
/// # Errors
/// No such endpoint.
async fn entered(
    state: &State,
    asked: &Asked<'_>,
    now: Instant,
) -> Result<(Arc<Route>, Option<Box<Problem>>), Problem> {
    let permit = asked.permit;
    let (route, waking) = settled(state, route(state, permit.resource().name())?).await;
    if let Some(on_demand) = &route.on_demand {
        on_demand.touch(now);
    }
    if waking.is_some() {
        return Ok((route, waking.map(Box::new)));
    }
    let refused = within_quotas(state, permit, route.target.team).await.err();
    Ok((route, refused.map(Box::new)))
}

/// The version that a request goes to, if it was let in.
fn pick<'r>(
    route: &'r Route,
    asked: &Asked<'_>,
    refused: Option<Box<Problem>>,
) -> Result<Pick<'r>, Problem> {
    refused.map_or(Ok(()), |problem| Err(*problem))?;
    route.choose(asked.version.of(route)?, asked.headers)
}

/// Counts and tells what became of a request, and of which version's.
fn over(
    state: &State,
    asked: &Asked<'_>,
    (route, share): (&Route, Option<&Share>),
    begun: Instant,
    outcome: Result<&Done, &Problem>,
    is_admitted: bool,
) {
    let &Asked { permit, protocol, bytes_in, headers, traced, .. } = asked;
    let (at, took) = match outcome {
        Ok(done) => (done.at, done.took),
        Err(_) => (state.given.database.now(), begun.elapsed()),
    };
    let end = End { protocol, code: outcome.err().map(|problem| problem.code) };
    route.metrics.count(took, share.is_none().then_some(end));
    let served = share.map(|share| share.served.as_ref());
    let told = outcome.map(|done| (&done.times, &*done.id));
    Told { route, served, permit, protocol, about: (headers, traced), outcome: told, took }
        .tell(state);
    if let Some(share) = share {
        share.statistics.count(outcome.ok().map(|done| &done.times), took, at, Some(end));
    }
    // What no version was picked for counts as used for one that could have answered.
    let used = share.or(route.shares.first());
    if let Some(Share { served, .. }) = used.filter(|_| is_admitted) {
        let counts = match outcome {
            Ok(done) => done.counts(bytes_in),
            Err(_) => {
                Counts { requests: 1, errors: 1, bytes_in: signed(bytes_in), ..Counts::default() }
            }
        };
        let place = Place { endpoint: route.endpoint, version: served.version };
        let names = (route.name.as_str(), &served.model, route.target.team);
        state.usage.add(place, names, permit.actor(), &counts);
    }
}

/// What an answer took.
struct Done {
    /// What it is called.
    id: Arc<str>,
    at: Timestamp,
    took: Duration,
    times: Times,
    bytes_out: usize,
    /// The requests that shared the run.
    batch: usize,
}

impl Done {
    fn counts(&self, bytes_in: usize) -> Counts {
        let run = self.times.run;
        let shared = (run.joined + run.computed).as_micros() / self.batch.max(1) as u128;
        let shared = shared + run.split.as_micros();
        Counts {
            requests: 1,
            rows: i64::try_from(self.times.rows).unwrap_or(i64::MAX),
            errors: 0,
            cpu_micros: i64::try_from(shared).unwrap_or(i64::MAX),
            bytes_in: signed(bytes_in),
            bytes_out: signed(self.bytes_out),
        }
    }
}

/// A request that was decoded.
struct Read {
    /// Without its inputs.
    request: InferRequest,
    inputs: Vec<Tensor>,
    rows: usize,
    took: Duration,
    ask: Ask,
}

/// Decodes a request, if it would be taken in.
fn read<'r>(
    state: &State,
    (route, pick): (&'r Route, &mut Pick<'r>),
    asked: &Asked<'_>,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
    (begun, watched): (Instant, &mut Watched),
) -> Result<Read, Problem> {
    let tenant = state.given.limiter.tenant(asked.permit.caller());
    let ask = Ask { tenant, max_queue: route.max_queue, ..Ask::from(begun) };
    if pick.is_final() {
        let ask = || Ask { priority: asked.priority.highest(), ..ask };
        pick.share.served.replica.expect(ask, begun)?;
    }
    let at = Instant::now();
    let mut request = decode(pick.share.signature())?;
    let took = at.elapsed();
    let inputs = std::mem::take(&mut request.inputs);
    let signature = pick.share.signature();
    let first = inputs.iter().find(|tensor| !signature.is_param(tensor));
    let rows = first.and_then(|input| input.shape.first()).copied().unwrap_or(1);
    watched.decoded(rows, &inputs, request.id.as_deref());
    pick.settle(route, &inputs);
    let longest = begun + route.deadline;
    let theirs = request.timeout().and_then(|timeout| begun.checked_add(timeout));
    let deadline = [asked.until, theirs].into_iter().flatten().fold(longest, Instant::min);
    let ask = Ask { deadline, priority: Priority::of_level(request.priority()), ..ask };
    Ok(Read { request, inputs, rows, took, ask })
}

/// What is known of a request once its model has answered.
struct Computed {
    request: InferRequest,
    rows: usize,
    decoded: Duration,
    answer: Answer,
    at: Instant,
    id: Arc<str>,
}

#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn answer<'r, T>(
    state: &State,
    (route, pick): (&'r Route, &mut Pick<'r>),
    asked: &Asked<'_>,
    decode: impl FnOnce(&Signature) -> Result<InferRequest, Problem>,
    encode: impl FnOnce(Answered<'_>) -> Result<(T, usize), Problem>,
    (begun, watched): (Instant, &mut Watched),
) -> impl Future<Output = Result<(T, Done), Problem>> {
    async move {
        let Read { request, mut inputs, rows, took: decoded, ask } =
            read(state, (route, &mut *pick), asked, decode, (begun, &mut *watched))?;
        // What is captured is the callers' side of hooks. Boxed, so that who has none does not carry it.
        let mut sent = None;
        if let Some(hooks) = &pick.share.hooks {
            sent = Some(watched.wanted().map(|_| inputs.clone()).unwrap_or_default());
            inputs = Box::pin(hooks.before(state, inputs, rows, ask.deadline)).await?;
        }
        let (mut answer, copied) = match pick.routing {
            None => (pick.share.served.replica.infer(inputs, ask).await?, None),
            Some(routing) => Box::pin(pick.detour(state, (route, routing), inputs, ask)).await?,
        };
        let at = Instant::now();
        let id = inference_id(asked.id, request.id.as_deref(), asked.permit.request_id());
        if let Some(copied) = copied {
            let about = About::of(asked, Arc::clone(&id));
            // A shadow gets the model's side of hooks, of which nothing is captured.
            let wanted = watched.wanted().filter(|_| sent.is_none());
            copied.answered(&answer.outputs, &state.shadows, wanted.map(|wanted| (wanted, about)));
        }
        if let Some(hooks) = &pick.share.hooks {
            let outputs = std::mem::take(&mut answer.outputs);
            answer.outputs = Box::pin(hooks.after(state, outputs, rows, ask.deadline)).await?;
        }
        if let Some(sent) = sent {
            answer.inputs = sent;
        }
        let computed = Computed { request, rows, decoded, answer, at, id };
        written(state, pick.share, asked, computed, encode, (begun, watched))
    }
}

/// Writes an answer, and hands on what is captured of it.
fn written<T>(
    state: &State,
    // The route's, which is the caller's until they are done: whoever drains the version waits for that.
    share: &Share,
    asked: &Asked<'_>,
    computed: Computed,
    encode: impl FnOnce(Answered<'_>) -> Result<(T, usize), Problem>,
    (begun, watched): (Instant, &Watched),
) -> Result<(T, Done), Problem> {
    let Computed { request, rows, decoded, answer, at: computed, id } = computed;
    let Answer { mut outputs, inputs, queued, batch, run, leads } = answer;
    let all = match watched.wanted() {
        Some(_) => Cow::Borrowed(outputs.as_slice()),
        None => Cow::Owned(std::mem::take(&mut outputs)),
    };
    let (served, chosen) = (share.served.as_ref(), select(all, &request.outputs));
    let (value, bytes_out) = encode(Answered { served, id: &id, request, outputs: chosen })?;
    let (at, end) = (state.given.database.now(), Instant::now());
    let (took, encoded) = (end - begun, end - computed);
    if let Some(taken) = watched.take(rows, inputs, outputs) {
        let about = About::of(asked, Arc::clone(&id));
        taken.offer(state, &share.source, about, false, Ended { at, took, code: None });
    }
    let times = Times { rows: rows as u64, decoded, queued, run, leads, encoded };
    Ok((value, Done { id, at, took, times, bytes_out, batch }))
}

/// Counts a prediction against the quotas of the endpoint's team and of whoever asks.
async fn within_quotas(
    state: &State,
    permit: &Permit<verbs::Invoke>,
    team: Option<SubjectId>,
) -> Result<(), Problem> {
    let limiter = &state.given.limiter;
    limiter.admit_to(team).await?;
    limiter.count(Key::PredictionsPerMonth, permit.actor(), team, 1).await
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The outputs that the caller asked for, in the order that it asked for them.
fn select<'a>(outputs: Cow<'a, [Tensor]>, requested: &[RequestedOutput]) -> Cow<'a, [Tensor]> {
    if requested.is_empty() {
        return outputs;
    }
    let mut left = outputs.into_owned();
    let chosen = requested.iter().filter_map(|RequestedOutput { name, .. }| {
        let at = left.iter().position(|output| output.name == *name)?;
        Some(left.swap_remove(at))
    });
    chosen.collect()
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
            let all = outputs();
            let lent = select(Cow::Borrowed(&all), &requested).into_owned();
            assert_eq!(select(Cow::Owned(all.to_vec()), &requested), lent);
            lent.into_iter().map(|output| output.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["a", "b", "c"]);
        assert_eq!(names(&["c", "a"]), ["c", "a"]);
        assert_eq!(names(&["b", "a", "c"]), ["b", "a", "c"]);
    }
}
