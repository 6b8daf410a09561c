//! What is taken of a request for whoever watches predictions. It decides by memory alone, and never waits.
//!
//! Outputs are copied, and inputs of requests whose rows are kept, since who fails gives none back. Of
//! others that fail it is told that they did.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Actor, ErrorCode, Problem, Tensor, Timestamp,
    capture::{Protocol, Record, Source, Wanted, beginning, bytes, cut, fitting},
};

use crate::{State, identity::inference_id, predict::Asked};

/// What is wanted of a request, from before it is decoded until it is over.
pub(crate) struct Watched {
    wanted: Option<Wanted>,
    /// Its rows, once it is decoded.
    rows: Option<usize>,
    /// The request's own name for itself.
    id: Option<String>,
    /// The first of its rows, where they are kept.
    inputs: Vec<Tensor>,
}

/// The tensors of a request and its answer.
pub(crate) struct Taken {
    keep: bool,
    rows: usize,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// What is told of a request besides its tensors.
pub(crate) struct About {
    pub(crate) id: Arc<str>,
    pub(crate) caller: Actor,
    pub(crate) protocol: Protocol,
}

/// How a request ended.
pub(crate) struct Ended {
    pub(crate) at: Timestamp,
    /// How long it took.
    pub(crate) took: Duration,
    /// Why it failed, if it did.
    pub(crate) code: Option<ErrorCode>,
}

impl About {
    pub(crate) fn of(asked: &Asked<'_>, id: Arc<str>) -> Self {
        let (caller, protocol) = (asked.permit.actor().clone(), asked.protocol);
        Self { id, caller, protocol }
    }
}

impl Watched {
    /// One of which the endpoint's owner wants so much.
    pub(crate) fn by(source: &Source) -> Self {
        Self { wanted: source.wanted(), rows: None, id: None, inputs: Vec::new() }
    }

    fn keeps(&self) -> bool {
        self.wanted.is_some_and(|wanted| wanted.keep)
    }

    /// Notes what was asked, in case that it is not answered.
    pub(crate) fn decoded(&mut self, rows: usize, inputs: &[Tensor], id: Option<&str>) {
        self.rows = Some(rows);
        if self.keeps() {
            self.inputs = beginning(inputs, rows, fitting(rows, bytes(inputs), true));
            self.id = id.map(str::to_owned);
        }
    }

    /// Takes what is wanted of a request and its answer; absent where that is nothing.
    pub(crate) fn take(
        &self,
        rows: usize,
        inputs: Vec<Tensor>,
        outputs: Vec<Tensor>,
    ) -> Option<Taken> {
        self.wanted.map(|Wanted { keep }| Taken::of(keep, rows, inputs, outputs))
    }

    /// What is wanted of it, and so of what a shadow makes of it.
    pub(crate) const fn wanted(&self) -> Option<Wanted> {
        self.wanted
    }

    /// Hands on that it failed, with its inputs where they are kept.
    pub(crate) fn failed(
        self,
        state: &State,
        source: &Arc<Source>,
        asked: &Asked<'_>,
        problem: &Problem,
        begun: Instant,
    ) {
        if self.wanted.is_none() || !is_of_content(problem.code) {
            return;
        }
        let keep = self.keeps();
        let id = inference_id(asked.id, self.id.as_deref(), asked.permit.request_id());
        let about = About::of(asked, id);
        // What could not be decoded is a row that has no values.
        let rows = self.rows.unwrap_or(1);
        let taken = Taken { keep, rows, inputs: self.inputs, outputs: Vec::new() };
        let (at, took) = (state.given.database.now(), begun.elapsed());
        taken.offer(state, source, about, false, Ended { at, took, code: Some(problem.code) });
    }
}

/// Whether a request failed by what it says, or by what the model makes of it; and not since there are
/// too many.
pub(crate) const fn is_of_content(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Invalid
        | ErrorCode::TooLarge
        | ErrorCode::Timeout
        | ErrorCode::ModelFailed
        | ErrorCode::Internal => true,
        ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::GateRefused
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::QuotaExceeded
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable => false,
    }
}

impl Taken {
    /// The first rows of a request and its answer, as many as one record may have.
    pub(crate) fn of(
        keep: bool,
        rows: usize,
        mut inputs: Vec<Tensor>,
        mut outputs: Vec<Tensor>,
    ) -> Self {
        let fit = fitting(rows, bytes(&inputs) + bytes(&outputs), keep);
        cut(&mut inputs, rows, fit);
        cut(&mut outputs, rows, fit);
        Self { keep, rows, inputs, outputs }
    }

    /// Hands it on, once it is known how it ended.
    pub(crate) fn offer(
        self,
        state: &State,
        source: &Arc<Source>,
        about: About,
        shadow: bool,
        ended: Ended,
    ) {
        let Self { keep, rows, inputs, outputs } = self;
        let About { id, caller, protocol } = about;
        let Ended { at, took, code } = ended;
        state.given.capture.offer(Record {
            source: Arc::clone(source),
            id,
            at,
            took,
            caller,
            protocol,
            shadow,
            code,
            keep,
            rows,
            inputs,
            outputs,
        });
    }
}
