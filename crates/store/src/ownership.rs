//! Which team owns a thing: what changes when another one takes it over.
//!
//! What is counted against a team's limits is counted by the rows: the team that gives a thing away
//! has room again at once, and the one that takes it must have room for it.

use domain::{EndpointId, ModelId, Resource, SubjectId, quota::Key, tracking::ExperimentId};

use crate::{Change, Result, models::one};

/// Gives a model with its versions to a team, or to none.
///
/// # Errors
/// It is gone; the database is away. [`Change::commit`] refuses where the team has no room.
pub async fn of_model(change: &mut Change, id: ModelId, team: Option<SubjectId>) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE models SET team_id = $2, updated_at = $3 WHERE id = $1",
        id.0,
        team.map(|team| team.0),
        now
    )
    .execute(change.connection())
    .await?;
    one("models", done.rows_affected())?;
    change.charge_team(Key::Models, id.0);
    let versions = sqlx::query_scalar!("SELECT id FROM model_versions WHERE model_id = $1", id.0)
        .fetch_all(change.connection())
        .await?;
    for version in versions {
        change.charge_team(Key::Versions, version);
        change.charge_team(Key::ArtifactBytes, version);
    }
    Ok(())
}

/// Gives an endpoint with its releases to a team, or to none. Gateways take it over when they next
/// look.
///
/// # Errors
/// As for [`of_model`].
pub async fn of_endpoint(
    change: &mut Change,
    id: EndpointId,
    team: Option<SubjectId>,
) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE endpoints SET team_id = $2, updated_at = $3 WHERE id = $1",
        id.0,
        team.map(|team| team.0),
        now
    )
    .execute(change.connection())
    .await?;
    one("endpoints", done.rows_affected())?;
    change.charge_team(Key::Endpoints, id.0);
    change.charge_team(Key::Replicas, id.0);
    Ok(())
}

/// Gives an experiment with its runs, logged models and files to a team, or to none.
///
/// # Errors
/// It is gone; the database is away.
pub async fn of_experiment(
    change: &mut Change,
    id: ExperimentId,
    team: Option<SubjectId>,
) -> Result<()> {
    change.touch(&Resource::Experiment(id.to_string()));
    let done = sqlx::query!(
        "UPDATE experiments SET team_id = $2 WHERE id = $1",
        id.0,
        team.map(|team| team.0)
    )
    .execute(change.connection())
    .await?;
    one("experiments", done.rows_affected())
}
