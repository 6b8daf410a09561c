//! One prediction that is over, told to whoever wants to hear of it: `tracing`, the log and a trace.
//! Never what was sent or answered.

use std::time::{Duration, SystemTime};

use actix_web::{HttpRequest, web::Data};
use auth::{Caller, Permit, verbs};
use domain::{Problem, capture::Protocol};
use store::prediction_log::Entry;

use crate::{
    State,
    admission::admit,
    http::asked_of,
    live::{Route, Served},
    metrics::{End, OK},
    predict,
    routing::Headers,
    spans::{Finished, Traced},
    statistics::Times,
};

/// The most characters of the place of what was wrong, which may hold names of the caller's.
const FIELD: usize = 100;

/// A prediction that is over.
pub(crate) struct Told<'a> {
    pub(crate) route: &'a Route,
    /// The version that answered, or was to.
    pub(crate) served: Option<&'a Served>,
    pub(crate) permit: &'a Permit<verbs::Invoke>,
    pub(crate) protocol: Protocol,
    /// What it said, and its place in a trace that is recorded.
    pub(crate) about: (Headers<'a>, Option<Traced>),
    /// What it took, and what the answer is called.
    pub(crate) outcome: Result<(&'a Times, &'a str), &'a Problem>,
    pub(crate) took: Duration,
}

impl Told<'_> {
    /// Tells it.
    pub(crate) fn tell(&self, state: &State) {
        self.event();
        state.log.note(self.route.endpoint, self.outcome.is_err(), || self.entry(state));
        if let (Some(spans), (_, Some(traced))) = (&state.spans, self.about) {
            spans.finish(self.finished(traced));
        }
    }

    fn code(&self) -> &'static str {
        self.outcome.map_or_else(|problem| problem.code.as_str(), |_| OK)
    }

    fn field(&self) -> Option<String> {
        let field = self.outcome.err()?.field.as_deref()?;
        Some(field.chars().take(FIELD).collect())
    }

    fn inference_id(&self) -> Option<&str> {
        self.outcome.ok().map(|(_, id)| id)
    }

    /// The trace that it is a part of, whether we record it or not.
    fn trace_id(&self) -> Option<String> {
        let (headers, traced) = self.about;
        let trace = traced.map(|traced| traced.own).or_else(|| headers.trace());
        trace.map(|trace| trace.to_string())
    }

    /// Rows, and microseconds of waiting and of computing; nothing of who was refused.
    fn counts(&self) -> (i64, i64, i64) {
        let Ok((times, _)) = self.outcome else { return (0, 0, 0) };
        let rows = i64::try_from(times.rows).unwrap_or(i64::MAX);
        let run = &times.run;
        (rows, micros(times.queued), micros(run.joined + run.computed + run.split))
    }

    /// One line for each, for whoever asks for lines of the target `access`.
    fn event(&self) {
        let (rows, queue_micros, compute_micros) = self.counts();
        tracing::debug!(
            target: "access",
            endpoint = self.route.name.as_str(),
            model = self.served.map(|served| served.model.as_str()),
            version = self.served.map(|served| served.number),
            caller = %self.permit.actor(),
            protocol = self.protocol.as_str(),
            code = self.code(),
            field = self.field(),
            rows,
            queue_micros,
            compute_micros,
            total_micros = micros(self.took),
            inference_id = self.inference_id(),
            request_id = %self.permit.request_id(),
            trace_id = self.trace_id(),
            "predicted"
        );
    }

    fn entry(&self, state: &State) -> Entry {
        let (rows, queue_micros, compute_micros) = self.counts();
        Entry {
            endpoint: self.route.endpoint,
            at: state.given.database.now(),
            version: self.served.map(|served| (served.model.to_string(), served.number)),
            inference_id: self.inference_id().map(str::to_owned),
            request_id: self.permit.request_id().to_string(),
            trace_id: self.trace_id(),
            caller: self.permit.actor().to_string(),
            protocol: self.protocol.as_str(),
            code: self.code(),
            field: self.field(),
            rows,
            queue_micros,
            compute_micros,
            total_micros: micros(self.took),
            left_out: 0,
        }
    }

    /// As a span, and those of its stages, which are known of what was answered.
    fn finished(&self, traced: Traced) -> Finished {
        let times = self.outcome.ok().map(|(times, _)| times);
        let stages = times.map(|Times { decoded, queued, run, encoded, .. }| {
            let computed = run.joined + run.computed + run.split;
            vec![
                ("decode", *decoded),
                ("queue", *queued),
                ("compute", computed),
                ("encode", *encoded),
            ]
        });
        let name = &self.route.name;
        let texts = [
            ("bottega.endpoint", Some(name.clone())),
            ("bottega.model", self.served.map(|served| served.model.to_string())),
            ("bottega.version", self.served.map(|served| served.labels.version.clone())),
            ("bottega.inference_id", self.inference_id().map(str::to_owned)),
            ("bottega.request_id", Some(self.permit.request_id().to_string())),
            ("bottega.protocol", Some(self.protocol.to_string())),
            ("bottega.code", Some(self.code().to_owned())),
        ];
        Finished {
            traced,
            name: format!("predict {name}"),
            ended: SystemTime::now(),
            took: self.took,
            stages: stages.unwrap_or_default(),
            texts: texts.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
            rows: times.map_or(0, |times| times.rows),
            code: self.outcome.err().map(|problem| problem.code),
        }
    }
}

/// Tells of a request that a guard refused since its caller sends too many.
pub fn limited(request: &HttpRequest, caller: &Caller, problem: &Problem) {
    let asked = asked_of(request.path()).zip(request.app_data::<Data<State>>());
    if let Some(((endpoint, protocol), state)) = asked {
        let headers = Headers::Http(request.headers());
        refused(state, caller, endpoint, (protocol, headers), problem);
    }
}

/// Tells of a prediction that was refused before anything was done for it, if the caller may ask for one.
pub(crate) fn refused(
    state: &State,
    caller: &Caller,
    endpoint: String,
    (protocol, headers): (Protocol, Headers<'_>),
    problem: &Problem,
) {
    let Ok(route) = predict::route(state, &endpoint) else { return };
    let Ok(permit) = admit::<verbs::Invoke>(state, caller, endpoint) else { return };
    route.metrics.refused(End { protocol, code: Some(problem.code) });
    let (permit, outcome, took) = (&permit, Err(problem), Duration::ZERO);
    let about = (headers, None);
    Told { route: &route, served: None, permit, protocol, about, outcome, took }.tell(state);
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
