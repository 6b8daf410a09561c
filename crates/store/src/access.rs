//! What decisions are made from: who there is, what they were granted, and whose a thing is.

use std::collections::{BTreeMap, HashMap};

use domain::{
    Actor, ActorKind, EndpointId, EndpointRef, ModelId, Resource, SubjectId,
    access::{Grant, Place, Principal, Subject, SubjectKind, Target},
    tracking::ExperimentId,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Change, Database, Error, Result, grants};

/// All that decisions are made from, as it was at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Raised by every change of the rest.
    pub revision: i64,
    /// Users and service accounts that are not disabled, with their teams.
    pub principals: Vec<Principal>,
    /// Where what they make belongs unless they say.
    pub homes: HashMap<SubjectId, SubjectId>,
    /// All subjects by name, disabled ones too.
    pub names: HashMap<Subject, SubjectId>,
    /// All grants.
    pub grants: Vec<Grant>,
    /// What administrators wrote, by name.
    pub policies: Vec<(String, String)>,
}

/// The number of the last change of accounts, teams, grants or policies.
///
/// # Errors
/// The database is away.
pub async fn revision(database: &Database) -> Result<i64> {
    let query = sqlx::query_scalar!("SELECT revision FROM access_revision");
    Ok(query.fetch_one(database.pool()).await?)
}

/// Makes every process read accounts and grants again, once the change is done.
///
/// # Errors
/// The database is away.
pub async fn raise(change: &mut Change) -> Result<()> {
    sqlx::query!("UPDATE access_revision SET revision = revision + 1")
        .execute(change.connection())
        .await?;
    Ok(())
}

/// All that decisions are made from.
///
/// # Errors
/// The database is away.
pub async fn snapshot(database: &Database) -> Result<Snapshot> {
    let mut tx = database.pool().begin().await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *tx)
        .await?;
    let snapshot = read(&mut tx).await?;
    tx.commit().await?;
    Ok(snapshot)
}

/// All that decisions are made from, as the change sees it. Nobody else changes it meanwhile if the
/// change has raised the revision.
///
/// # Errors
/// The database is away.
pub async fn within(change: &mut Change) -> Result<Snapshot> {
    read(change.connection()).await
}

async fn read(connection: &mut PgConnection) -> Result<Snapshot> {
    let revision = sqlx::query_scalar!("SELECT revision FROM access_revision")
        .fetch_one(&mut *connection)
        .await?;
    let subjects = sqlx::query!(
        r#"SELECT s.id AS "id!", s.kind AS "kind!", s.name AS "name!", s.disabled_at IS NOT NULL AS "disabled!", a.home_team,
                  ARRAY(SELECT m.team_id FROM team_members m JOIN subjects t ON t.id = m.team_id
                        WHERE m.member_id = s.id AND t.disabled_at IS NULL ORDER BY m.team_id) AS "teams!"
           FROM subjects s LEFT JOIN accounts a ON a.id = s.id"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut snapshot = Snapshot { revision, ..Snapshot::default() };
    for row in subjects {
        let kind = SubjectKind::parse(&row.kind)
            .ok_or_else(|| Error::inconsistent("subjects", "kind", row.id))?;
        let id = SubjectId(row.id);
        snapshot.names.insert(Subject { kind, name: row.name.clone() }, id);
        let actor = match kind {
            SubjectKind::User => ActorKind::User,
            SubjectKind::Service => ActorKind::Service,
            SubjectKind::Team | SubjectKind::Group => continue,
        };
        if row.disabled {
            continue;
        }
        let teams = row.teams.into_iter().map(SubjectId).collect();
        snapshot.homes.extend(row.home_team.map(|team| (id, SubjectId(team))));
        snapshot.principals.push(Principal {
            id,
            actor: Actor { kind: actor, name: row.name.into() },
            teams,
        });
    }
    snapshot.grants = grants::all(&mut *connection).await?;
    let policies = sqlx::query!("SELECT name, text FROM policies ORDER BY name");
    let policies = policies.fetch_all(&mut *connection).await?;
    snapshot.policies = policies.into_iter().map(|row| (row.name, row.text)).collect();
    Ok(snapshot)
}

/// What decisions look at of a thing, deleted or not; absent where there is none of that name.
///
/// # Errors
/// The database is away.
pub async fn target(database: &Database, resource: &Resource) -> Result<Option<Target>> {
    match resource {
        Resource::Platform => Ok(Some(Target::of(Place::Everything))),
        Resource::Model(name) => model(database, name).await,
        Resource::Endpoint(name) => match name.parse() {
            Ok(endpoint) => self::endpoint(database, &endpoint).await,
            Err(_) => Ok(None),
        },
        Resource::Experiment(id) => match id.parse() {
            Ok(id) => experiment(database, id).await,
            Err(_) => Ok(None),
        },
        Resource::Team(name) => team(database, name).await,
    }
}

/// The team that owns a model, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn team_of_model(change: &mut Change, id: ModelId) -> Result<Option<SubjectId>> {
    let query = sqlx::query_scalar!("SELECT team_id FROM models WHERE id = $1", id.0);
    Ok(query.fetch_one(change.connection()).await?.map(SubjectId))
}

/// The team that owns an endpoint, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn team_of_endpoint(change: &mut Change, id: EndpointId) -> Result<Option<SubjectId>> {
    let query = sqlx::query_scalar!("SELECT team_id FROM endpoints WHERE id = $1", id.0);
    Ok(query.fetch_one(change.connection()).await?.map(SubjectId))
}

/// The team that owns an experiment, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn team_of_experiment(
    change: &mut Change,
    id: ExperimentId,
) -> Result<Option<SubjectId>> {
    let query = sqlx::query_scalar!("SELECT team_id FROM experiments WHERE id = $1", id.0);
    Ok(query.fetch_one(change.connection()).await?.map(SubjectId))
}

/// The platform, and all teams, models, endpoints and experiments that are not deleted: what a dry
/// run asks about.
///
/// # Errors
/// The database is away.
pub async fn targets(database: &Database) -> Result<Vec<Target>> {
    let mut targets = vec![Target::of(Place::Everything)];
    let rows = sqlx::query!("SELECT id, name FROM subjects WHERE kind = 'team' ORDER BY name");
    for row in rows.fetch_all(database.pool()).await? {
        targets.push(owned(Place::Team(SubjectId(row.id)), &row.name, Some(row.id)));
    }
    let rows = sqlx::query!(
        r#"SELECT m.id, m.name, m.team_id,
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM model_tags WHERE model_id = m.id) AS "tags!"
           FROM models m WHERE m.deleted_at IS NULL ORDER BY m.name"#
    );
    for row in rows.fetch_all(database.pool()).await? {
        let tags = tags("model_tags", row.id, row.tags)?;
        let place = Place::Model(ModelId(row.id));
        targets.push(Target { tags, ..owned(place, &row.name, row.team_id) });
    }
    let rows = sqlx::query!("SELECT id, name, env, team_id FROM endpoints ORDER BY name, env");
    for row in rows.fetch_all(database.pool()).await? {
        let wrong = |_| Error::inconsistent("endpoints", "name", row.id);
        let (name, env) = (row.name.parse().map_err(wrong)?, row.env.parse().map_err(wrong)?);
        let (id, team) = (EndpointId(row.id), row.team_id.map(SubjectId));
        targets.push(of_endpoint(id, &EndpointRef { name, env }, team));
    }
    let rows = sqlx::query!(
        r#"SELECT e.id, e.team_id,
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM experiment_tags
                   WHERE experiment_id = e.id) AS "tags!"
           FROM experiments e WHERE e.deleted_at IS NULL ORDER BY e.id"#
    );
    for row in rows.fetch_all(database.pool()).await? {
        let id = ExperimentId(row.id);
        let tags = serde_json::from_value(row.tags)
            .map_err(|_| Error::inconsistent("experiment_tags", "value", id))?;
        let target = owned(Place::Experiment(id), &id.to_string(), row.team_id);
        targets.push(Target { tags, ..target });
    }
    Ok(targets)
}

async fn model(database: &Database, name: &str) -> Result<Option<Target>> {
    // One that is there stands before those of that name that were deleted.
    let row = sqlx::query!(
        r#"SELECT m.id, m.team_id,
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM model_tags WHERE model_id = m.id) AS "tags!"
           FROM models m WHERE m.name = $1 COLLATE "C"
           ORDER BY m.deleted_at IS NOT NULL, m.deleted_at DESC LIMIT 1"#,
        name
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| {
        let tags = tags("model_tags", row.id, row.tags)?;
        Ok(Target { tags, ..owned(Place::Model(ModelId(row.id)), name, row.team_id) })
    })
    .transpose()
}

async fn endpoint(database: &Database, endpoint: &EndpointRef) -> Result<Option<Target>> {
    let row = sqlx::query!(
        r#"SELECT id, team_id FROM endpoints WHERE name = $1 COLLATE "C" AND env = $2 COLLATE "C""#,
        endpoint.name.as_str(),
        endpoint.env.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| of_endpoint(EndpointId(row.id), endpoint, row.team_id.map(SubjectId))))
}

/// What decisions look at of an endpoint.
#[must_use]
pub fn of_endpoint(id: EndpointId, endpoint: &EndpointRef, team: Option<SubjectId>) -> Target {
    let (name, env) = (Some(endpoint.to_string()), Some(endpoint.env.clone()));
    Target { name, team, env, ..Target::of(Place::Endpoint(id)) }
}

async fn experiment(database: &Database, id: ExperimentId) -> Result<Option<Target>> {
    let row = sqlx::query!(
        r#"SELECT e.team_id,
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM experiment_tags
                   WHERE experiment_id = e.id) AS "tags!"
           FROM experiments e WHERE e.id = $1"#,
        id.0
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| {
        let tags = serde_json::from_value(row.tags)
            .map_err(|_| Error::inconsistent("experiment_tags", "value", id))?;
        Ok(Target { tags, ..owned(Place::Experiment(id), &id.to_string(), row.team_id) })
    })
    .transpose()
}

async fn team(database: &Database, name: &str) -> Result<Option<Target>> {
    let id = sqlx::query_scalar!(
        r#"SELECT id FROM subjects WHERE kind = 'team' AND name = $1 COLLATE "C""#,
        name
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(id.map(|id| owned(Place::Team(SubjectId(id)), name, Some(id))))
}

fn owned(place: Place, name: &str, team: Option<Uuid>) -> Target {
    Target { name: Some(name.to_owned()), team: team.map(SubjectId), ..Target::of(place) }
}

fn tags(
    table: &'static str,
    id: Uuid,
    value: serde_json::Value,
) -> Result<BTreeMap<String, String>> {
    serde_json::from_value(value).map_err(|_| Error::inconsistent(table, "value", id))
}
