//! What owners say about what is captured of their endpoints.

use std::time::Duration;

use auth::{Permit, verbs};
use domain::{
    EndpointRef, Problem, Resource,
    capture::{Mask, Settings},
};
use serde_json::json;
use store::{
    Change,
    capture::{self, Captured},
    contracts,
};

use crate::{Result, State};

/// What shall be different; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// The share of requests whose rows are kept.
    pub rate: Option<f64>,
    /// Whether rows go into sketches.
    pub sketches: Option<bool>,
    /// All inputs that are masked.
    pub masks: Option<Vec<Mask>>,
    /// The input that says whom a row is about; empty for none.
    pub subject: Option<String>,
    /// How long kept rows and sketches stay.
    pub retention: Option<Duration>,
    /// The revision that shall be changed, 0 where nobody has changed anything yet.
    pub if_revision: Option<i32>,
}

impl Edit {
    fn of(self, before: &Settings) -> Settings {
        let subject = self.subject.map(|input| Some(input).filter(|input| !input.is_empty()));
        Settings {
            rate: self.rate.unwrap_or(before.rate),
            sketches: self.sketches.unwrap_or(before.sketches),
            masks: self.masks.unwrap_or_else(|| before.masks.clone()),
            subject: subject.unwrap_or_else(|| before.subject.clone()),
            retention: self.retention.unwrap_or(before.retention),
        }
    }
}

/// What is captured of an endpoint.
///
/// # Errors
/// The endpoint is not there.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
) -> Result<Captured> {
    Ok(capture::get(&state.database, endpoint).await?.ok_or_else(|| absent(endpoint))?)
}

/// Says what is captured of an endpoint from now on. What was captured before stays as it is.
///
/// # Errors
/// The endpoint is not there; it was changed meanwhile; a value that cannot be kept to; an input that
/// callers of the endpoint do not send.
pub async fn set(
    state: &State,
    permit: &Permit<verbs::Configure>,
    endpoint: &EndpointRef,
    edit: Edit,
) -> Result<Captured> {
    let mut change = Change::begin(&state.database).await?;
    let before = capture::lock(&mut change, endpoint).await?.ok_or_else(|| absent(endpoint))?;
    if let Some(expected) = edit.if_revision.filter(|expected| *expected != before.revision) {
        let message = format!("the revision is {}, not {expected}", before.revision);
        let problem = Problem::conflict(message).at("if_revision");
        return Err(problem.hint("somebody changed it meanwhile: look again").into());
    }
    let settings = edit.of(&before.settings);
    settings.check()?;
    check_inputs(&mut change, &before, &settings).await?;
    let after = capture::set(&mut change, &before, &settings, permit.actor()).await?;
    let detail = json!({"endpoint": endpoint, "revision": after.revision});
    let resource = permit.resource().to_string();
    change.emit("capture.set", &resource, &detail).await?;
    let event = permit.event("capture.set", detail);
    change.commit(&event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Whether the endpoint's contract has the inputs that are named. Without one nobody knows yet.
async fn check_inputs(change: &mut Change, before: &Captured, settings: &Settings) -> Result<()> {
    let contract = contracts::find(change, before.endpoint).await?;
    let Some(expected) = contract.and_then(|contract| contract.expected) else { return Ok(()) };
    let inputs = &expected.signature.inputs;
    let masks = settings.masks.iter().map(|mask| ("masks", &mask.input));
    let subject = settings.subject.iter().map(|input| ("subject", input));
    for (field, name) in masks.chain(subject) {
        if !inputs.iter().any(|input| input.name == *name) {
            let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
            let message = format!(
                "`{name}` is no input of the endpoint: expected one of {}",
                names.join(", ")
            );
            return Err(Problem::invalid(field, message).into());
        }
    }
    Ok(())
}

pub(crate) fn absent(endpoint: &EndpointRef) -> Problem {
    Resource::Endpoint(endpoint.to_string()).absent()
}
