//! Which team owns a model, an endpoint or an experiment, and how that changes.
//!
//! It takes two rights: to `administer` the thing, and to make one like it in the team that takes it
//! over (`register`; of endpoints `deploy`). Grants on the thing itself stay, and so does whatever
//! follows it: only what was given on the team, or counts against it, is another team's from now on.

use auth::{Permit, Verb, verbs};
use domain::{
    AuditEvent, EndpointRef, ModelName, Problem, Resource, SubjectId, tracking::ExperimentId,
};
use serde_json::json;
use store::{
    Change, access,
    models::Model,
    ownership,
    tracking::experiments::{self, Experiment},
};

use crate::{
    Result, State,
    endpoints::{self, View},
    models,
    publish::publish,
};

/// Who shall own a thing.
#[derive(Debug, Clone)]
pub struct Handover {
    /// The team, by name; none: no team.
    pub team: Option<String>,
    /// The team that must own it until then.
    pub if_team: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Handover {
    /// Whether there is nothing to do for what this team owns.
    fn is_done(&self, team: Option<&str>) -> Result<bool> {
        let expected = self.if_team.as_deref();
        if expected.is_some() && expected != team {
            let message = match team {
                Some(team) => format!("the team `{team}` owns it by now"),
                None => "no team owns it by now".to_owned(),
            };
            return Err(Problem::conflict(message).at("if_team").into());
        }
        Ok(self.team.as_deref() == team)
    }

    fn event(&self, leave: &Permit<verbs::Administer>, change: &'static str) -> AuditEvent {
        leave.event(change, json!({"team": self.team, "reason": self.reason}))
    }
}

/// Gives a model with its versions to another team. Endpoints go on following it, whoever owns them.
/// Nothing is done where the team owns it already.
///
/// # Errors
/// It is not there; another team owns it than was expected; the team has no room for it.
pub async fn give_model(
    state: &State,
    (leave, enter): (&Permit<verbs::Administer>, &Permit<verbs::Register>),
    name: &ModelName,
    handover: &Handover,
) -> Result<Model> {
    let mut change = Change::begin(&state.database).await?;
    let before = models::lock(&mut change, name).await?;
    if handover.is_done(before.team.as_deref())? {
        return Ok(before);
    }
    require_unmoved(leave, access::team_of_model(&mut change, before.id).await?)?;
    ownership::of_model(&mut change, before.id, enter.owner().1).await?;
    let after = models::lock(&mut change, name).await?;
    let event = handover.event(leave, "model.transferred");
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Gives an endpoint with its releases to another team. It answers as before. Nothing is done where
/// the team owns it already.
///
/// # Errors
/// As for [`give_model`].
pub async fn give_endpoint(
    state: &State,
    (leave, enter): (&Permit<verbs::Administer>, &Permit<verbs::Deploy>),
    endpoint: &EndpointRef,
    handover: &Handover,
) -> Result<View> {
    let mut change = Change::begin(&state.database).await?;
    let before = endpoints::lock(&mut change, endpoint).await?;
    if handover.is_done(before.team.as_deref())? {
        // Its connection first: nobody may hold one and wait for another.
        drop(change);
        return endpoints::view(state, before).await;
    }
    require_unmoved(leave, access::team_of_endpoint(&mut change, before.id).await?)?;
    ownership::of_endpoint(&mut change, before.id, enter.owner().1).await?;
    let after = endpoints::lock(&mut change, endpoint).await?;
    let event = handover.event(leave, "endpoint.transferred");
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    endpoints::view(state, after).await
}

/// Gives an experiment with its runs, logged models and files to another team. Nothing is done where
/// the team owns it already.
///
/// # Errors
/// As for [`give_model`], but for room: experiments take none.
pub async fn give_experiment(
    state: &State,
    (leave, enter): (&Permit<verbs::Administer>, &Permit<verbs::Register>),
    id: ExperimentId,
    handover: &Handover,
) -> Result<Experiment> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if handover.is_done(before.team.as_deref())? {
        return Ok(before);
    }
    require_unmoved(leave, access::team_of_experiment(&mut change, id).await?)?;
    ownership::of_experiment(&mut change, id, enter.owner().1).await?;
    let after = lock(&mut change, id).await?;
    let event = handover.event(leave, "experiment.transferred");
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

async fn lock(change: &mut Change, id: ExperimentId) -> Result<Experiment> {
    let found = experiments::lock(change, id).await?;
    Ok(found.ok_or_else(|| Resource::Experiment(id.to_string()).absent())?)
}

/// Refuses what somebody else gave away since the caller was asked whether they may.
fn require_unmoved<V: Verb>(permit: &Permit<V>, team: Option<SubjectId>) -> Result<()> {
    if permit.owner().1 == team {
        return Ok(());
    }
    let problem = Problem::conflict("somebody gave it to another team at this moment");
    Err(problem.hint("try again").into())
}
