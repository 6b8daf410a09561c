//! One prediction that is over, told to whoever wants to hear of it: `tracing` and the log.
//! Never what was sent or answered.

use std::time::Duration;

use auth::{Permit, verbs};
use domain::{Problem, capture::Protocol};
use store::prediction_log::Entry;

use crate::{
    State,
    live::{Route, Served},
    statistics::Times,
};

/// What `code` says of a prediction that was no refusal.
const OK: &str = "ok";
/// The most characters of the place of what was wrong, which may hold names of the caller's.
const FIELD: usize = 100;

/// A prediction that is over.
pub(crate) struct Told<'a> {
    pub(crate) route: &'a Route,
    /// The version that answered, or was to.
    pub(crate) served: Option<&'a Served>,
    pub(crate) permit: &'a Permit<verbs::Invoke>,
    pub(crate) protocol: Protocol,
    /// What it took, and what the answer is called.
    pub(crate) outcome: Result<(&'a Times, &'a str), &'a Problem>,
    pub(crate) took: Duration,
}

impl Told<'_> {
    /// Tells it.
    pub(crate) fn tell(&self, state: &State) {
        self.event();
        state.log.note(self.route.endpoint, self.outcome.is_err(), || self.entry(state));
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
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
