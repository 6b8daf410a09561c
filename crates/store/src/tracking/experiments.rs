//! Experiments: what runs belong to.

use std::collections::BTreeMap;

use domain::{
    Actor, FilePath, Problem, Resource, SubjectId, Timestamp,
    tracking::{ExperimentId, Tag},
};
use serde_json::{Value, json};

use super::files;
use crate::{Change, Database, Error, Result, error::breaks, models::one};

/// An experiment.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// What it is called; deleted ones keep their name.
    pub name: String,
    /// Where the files of its runs lie.
    pub artifact_location: String,
    /// Who owns it, as `user:ana`.
    pub owner: String,
    /// The team that owns it, by name.
    pub team: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last renamed, deleted or restored.
    pub updated_at: Timestamp,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Timestamp>,
}

impl Experiment {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({"experiment": self.id.to_string(), "name": self.name, "team": self.team, "deleted": self.deleted_at.is_some()})
    }
}

struct Row {
    id: i64,
    name: String,
    artifact_location: String,
    owner: String,
    team: Option<String>,
    tags: Value,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Experiment {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: ExperimentId(row.id),
            name: row.name,
            artifact_location: row.artifact_location,
            owner: row.owner,
            team: row.team,
            tags: serde_json::from_value(row.tags)
                .map_err(|_| Error::inconsistent("experiment_tags", "value", row.id))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
        })
    }
}

/// `select_experiment!("WHERE …", arguments)`: every read gathers the same columns.
macro_rules! select_experiment {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT e.id, e.name, e.artifact_location, e.owner,
                      (SELECT name FROM subjects WHERE id = e.team_id) AS team, e.created_at, e.updated_at, e.deleted_at,
                      (SELECT coalesce(jsonb_object_agg(key, value), '{}')
                       FROM experiment_tags WHERE experiment_id = e.id) AS "tags!"
               FROM experiments e "# + $rest
            $(, $argument)*
        )
    };
}

/// The experiment of that id, deleted or not.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, id: ExperimentId) -> Result<Option<Experiment>> {
    let row = select_experiment!("WHERE e.id = $1", id.0).fetch_optional(database.pool()).await?;
    row.map(Experiment::try_from).transpose()
}

/// The team that owns an experiment, if one does.
///
/// # Errors
/// The database is away.
pub async fn team(database: &Database, id: ExperimentId) -> Result<Option<SubjectId>> {
    let row = sqlx::query!("SELECT team_id FROM experiments WHERE id = $1", id.0)
        .fetch_optional(database.pool())
        .await?;
    Ok(row.and_then(|row| row.team_id).map(SubjectId))
}

/// The experiment of that name, deleted or not.
///
/// # Errors
/// The database is away.
pub async fn by_name(database: &Database, name: &str) -> Result<Option<Experiment>> {
    let row = select_experiment!(r#"WHERE e.name = $1 COLLATE "C""#, name)
        .fetch_optional(database.pool())
        .await?;
    row.map(Experiment::try_from).transpose()
}

/// The experiments of these ids that are there, deleted or not, in no order.
///
/// # Errors
/// The database is away.
pub async fn load(database: &Database, ids: &[ExperimentId]) -> Result<Vec<Experiment>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = select_experiment!("WHERE e.id = ANY($1)", &ids).fetch_all(database.pool()).await?;
    rows.into_iter().map(Experiment::try_from).collect()
}

/// The experiment of that id, deleted or not, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: ExperimentId) -> Result<Option<Experiment>> {
    let row = select_experiment!("WHERE e.id = $1 FOR NO KEY UPDATE OF e", id.0)
        .fetch_optional(change.connection())
        .await?;
    row.map(Experiment::try_from).transpose()
}

/// Makes an experiment. Without an `artifact_location`, its files lie with us, below its id.
///
/// # Errors
/// The name is taken (conflict); the database is away.
pub async fn insert(
    change: &mut Change,
    name: &str,
    artifact_location: Option<&str>,
    (owner, team): (&Actor, Option<SubjectId>),
    tags: &[Tag],
) -> Result<ExperimentId> {
    let now = change.now();
    let id = loop {
        // A number that an import took is left out.
        let made = sqlx::query!(
            r#"INSERT INTO experiments (id, name, artifact_location, owner, team_id, created_at, updated_at)
               SELECT id, $1, coalesce($2, 'mlflow-artifacts:/' || id), $3, $5, $4, $4
               FROM nextval(pg_get_serial_sequence('experiments', 'id')) AS id
               ON CONFLICT (id) DO NOTHING
               RETURNING id"#,
            name,
            artifact_location,
            owner.to_string(),
            now,
            team.map(|team| team.0)
        )
        .fetch_optional(change.connection())
        .await
        .map_err(|error| taken(error, name))?;
        if let Some(row) = made {
            break ExperimentId(row.id);
        }
    };
    touch(change, id);
    for tag in tags {
        set_tag(change, id, tag).await?;
    }
    Ok(id)
}

/// Makes an experiment of this id, whose files lie with us. `false` if the id is taken.
///
/// # Errors
/// The name is taken (conflict); the database is away.
pub async fn insert_as(
    change: &mut Change,
    id: ExperimentId,
    name: &str,
    (owner, team): (&Actor, Option<SubjectId>),
) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "INSERT INTO experiments (id, name, artifact_location, owner, team_id, created_at, updated_at)
         VALUES ($1, $2, 'mlflow-artifacts:/' || $1::bigint, $3, $5, $4, $4)
         ON CONFLICT (id) DO NOTHING",
        id.0,
        name,
        owner.to_string(),
        now,
        team.map(|team| team.0)
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    touch(change, id);
    Ok(done.rows_affected() == 1)
}

/// The id of the experiment of that name, deleted or not, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn id_of(change: &mut Change, name: &str) -> Result<Option<ExperimentId>> {
    let row = sqlx::query!(r#"SELECT id FROM experiments WHERE name = $1 COLLATE "C""#, name)
        .fetch_optional(change.connection())
        .await?;
    Ok(row.map(|row| ExperimentId(row.id)))
}

/// Whose folder a path lies in. Until the change ends nobody else takes a folder.
///
/// # Errors
/// The database is away.
pub async fn reserve(change: &mut Change, path: &FilePath) -> Result<Option<ExperimentId>> {
    sqlx::query!("LOCK TABLE experiments IN SHARE ROW EXCLUSIVE MODE")
        .execute(change.connection())
        .await?;
    files::home_within(change.connection(), path).await
}

fn taken(error: sqlx::Error, name: &str) -> Error {
    if breaks(&error, "experiments_name") {
        let message = format!("Experiment(name={name}) already exists");
        let hint = "a deleted experiment keeps its name until its retention time is over";
        return Error::Refused(Problem::conflict(message).at("name").hint(hint));
    }
    error.into()
}

/// Renames an experiment.
///
/// # Errors
/// The name is taken (conflict); the database is away.
pub async fn rename(change: &mut Change, id: ExperimentId, name: &str) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE experiments SET name = $2, updated_at = $3 WHERE id = $1",
        id.0,
        name,
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    one("experiments", done.rows_affected())
}

/// Deletes an experiment with its runs, until it is restored.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: ExperimentId) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE experiments SET deleted_at = $2, updated_at = $2 WHERE id = $1",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    one("experiments", done.rows_affected())?;
    sqlx::query!(
        "UPDATE runs SET deleted_at = $2, updated_at = $2 WHERE experiment_id = $1 AND deleted_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Restores an experiment with all its runs.
///
/// # Errors
/// The database is away.
pub async fn restore(change: &mut Change, id: ExperimentId) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE experiments SET deleted_at = NULL, updated_at = $2 WHERE id = $1",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    one("experiments", done.rows_affected())?;
    sqlx::query!(
        "UPDATE runs SET deleted_at = NULL, updated_at = $2 WHERE experiment_id = $1 AND deleted_at IS NOT NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// What decisions look at is to be read again.
fn touch(change: &mut Change, id: ExperimentId) {
    change.touch(&Resource::Experiment(id.to_string()));
}

/// Sets a tag.
///
/// # Errors
/// The database is away.
pub async fn set_tag(change: &mut Change, id: ExperimentId, tag: &Tag) -> Result<()> {
    touch(change, id);
    sqlx::query!(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
        id.0,
        tag.key,
        tag.value
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a tag. `false` if there is none of that key.
///
/// # Errors
/// The database is away.
pub async fn delete_tag(change: &mut Change, id: ExperimentId, key: &str) -> Result<bool> {
    touch(change, id);
    let done = sqlx::query!(
        "DELETE FROM experiment_tags WHERE experiment_id = $1 AND key = $2",
        id.0,
        key
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
