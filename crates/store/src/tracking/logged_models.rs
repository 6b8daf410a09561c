//! Logged models: what runs put out since MLflow 3, with params, tags and the metrics of all runs
//! that measured them.

use std::collections::{BTreeMap, HashMap};

use domain::{
    Actor, Problem, Timestamp,
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use sqlx::types::Uuid;

use crate::{
    Change, Database, Error, Result,
    models::{Tags, tags},
};

/// A logged model.
#[derive(Debug, Clone)]
pub struct LoggedModel {
    /// Its id.
    pub id: LoggedModelId,
    /// The experiment that it is in.
    pub experiment: ExperimentId,
    /// What it is called; not its alone.
    pub name: String,
    /// The run that made it.
    pub source_run: Option<RunId>,
    /// What kind of model its maker says that it is.
    pub model_type: Option<String>,
    /// Whether its files are all there, in MLflow's words.
    pub status: String,
    /// Why, where they are not.
    pub status_message: Option<String>,
    /// Where its files are.
    pub artifact_uri: String,
    /// What it was made with.
    pub params: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Tags,
    /// What runs measured of it.
    pub metrics: Vec<Metric>,
    /// The names and numbers of the versions that were registered from it.
    pub registrations: Vec<(String, i32)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was made, finalised or deleted.
    pub updated_at: Timestamp,
}

/// What a run measured of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub key: String,
    /// How much; may be NaN or infinite.
    pub value: f64,
    /// When, as the run said.
    pub timestamp: i64,
    /// At which step.
    pub step: i64,
    /// Which run.
    pub run: RunId,
    /// On which dataset, by name and digest.
    pub dataset: Option<(String, Option<String>)>,
}

/// What a new logged model is made of.
#[derive(Debug, Clone)]
pub struct NewLoggedModel {
    /// Its id, which its artifact URI names.
    pub id: LoggedModelId,
    /// The experiment that it is in.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// The run that makes it.
    pub source_run: Option<RunId>,
    /// What kind of model it is.
    pub model_type: Option<String>,
    /// Where its files will be.
    pub artifact_uri: String,
    /// What it is made with.
    pub params: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Tags,
}

/// Where an experiment keeps its files, and whether it is deleted; it stays until the change ends.
///
/// # Errors
/// The database is away.
pub async fn location(
    change: &mut Change,
    experiment: ExperimentId,
) -> Result<Option<(String, bool)>> {
    let row = sqlx::query!(
        r#"SELECT artifact_location, deleted_at IS NOT NULL AS "deleted!"
           FROM experiments WHERE id = $1 FOR KEY SHARE"#,
        experiment.0
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| (row.artifact_location, row.deleted)))
}

/// The experiment of a logged model, deleted ones only if they count.
///
/// # Errors
/// The database is away.
pub async fn home(
    database: &Database,
    id: LoggedModelId,
    deleted_too: bool,
) -> Result<Option<ExperimentId>> {
    let row = sqlx::query!(
        "SELECT experiment_id FROM logged_models WHERE id = $1 AND ($2 OR deleted_at IS NULL)",
        id.0,
        deleted_too
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| ExperimentId(row.experiment_id)))
}

/// The logged models of these ids, deleted or not, in this order; those that are absent are left out.
///
/// # Errors
/// The database is away.
pub async fn get_all(database: &Database, ids: &[LoggedModelId]) -> Result<Vec<LoggedModel>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT l.id, l.experiment_id, l.name, l.source_run_id, l.model_type, l.status, l.status_message,
                  l.artifact_uri, l.created_at, l.updated_at,
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM logged_model_params WHERE model_id = l.id) AS "params!",
                  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM logged_model_tags WHERE model_id = l.id) AS "tags!",
                  (SELECT coalesce(jsonb_agg(jsonb_build_array(m.name, v.number) ORDER BY m.name, v.number), '[]')
                   FROM model_versions v JOIN models m ON m.id = v.model_id
                   WHERE v.logged_model_id = l.id AND v.deleted_at IS NULL AND m.deleted_at IS NULL) AS "registrations!"
           FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place) JOIN logged_models l USING (id)
           ORDER BY asked.place"#,
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    let mut metrics = metrics(database, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let registrations: Vec<(String, i32)> = serde_json::from_value(row.registrations)
                .map_err(|_| Error::inconsistent("model_versions", "number", row.id))?;
            Ok(LoggedModel {
                id: LoggedModelId(row.id),
                experiment: ExperimentId(row.experiment_id),
                name: row.name,
                source_run: row.source_run_id.map(RunId),
                model_type: row.model_type,
                status: row.status,
                status_message: row.status_message,
                artifact_uri: row.artifact_uri,
                params: tags("logged_model_params", row.id, row.params)?,
                tags: tags("logged_model_tags", row.id, row.tags)?,
                metrics: metrics.remove(&row.id).unwrap_or_default(),
                registrations,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// Apart from the rest, since JSON has no NaN.
async fn metrics(database: &Database, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Metric>>> {
    let rows = sqlx::query!(
        "SELECT model_id, key, value, timestamp, step, run_id, dataset_name, dataset_digest
         FROM logged_model_metrics WHERE model_id = ANY($1) ORDER BY model_id, key, timestamp, step, run_id",
        ids
    )
    .fetch_all(database.pool())
    .await?;
    let mut metrics: HashMap<Uuid, Vec<Metric>> = HashMap::new();
    for row in rows {
        metrics.entry(row.model_id).or_default().push(Metric {
            key: row.key,
            value: row.value,
            timestamp: row.timestamp,
            step: row.step,
            run: RunId(row.run_id),
            dataset: row.dataset_name.map(|name| (name, row.dataset_digest)),
        });
    }
    Ok(metrics)
}

/// Makes a logged model, whose files are yet to come.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, new: &NewLoggedModel, by: &Actor) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO logged_models
             (id, experiment_id, name, source_run_id, model_type, status, artifact_uri, owner, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 'LOGGED_MODEL_PENDING', $6, $7, $8, $8)",
        new.id.0,
        new.experiment.0,
        new.name,
        new.source_run.map(|run| run.0),
        new.model_type,
        new.artifact_uri,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    let (keys, values) = columns(&new.params);
    sqlx::query!(
        "INSERT INTO logged_model_params (model_id, key, value) SELECT $1, * FROM unnest($2::text[], $3::text[])",
        new.id.0,
        &keys,
        &values
    )
    .execute(change.connection())
    .await?;
    let (keys, values) = columns(&new.tags);
    sqlx::query!(
        "INSERT INTO logged_model_tags (model_id, key, value) SELECT $1, * FROM unnest($2::text[], $3::text[])",
        new.id.0,
        &keys,
        &values
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

fn columns(pairs: &BTreeMap<String, String>) -> (Vec<String>, Vec<String>) {
    pairs.clone().into_iter().unzip()
}

/// Says how the upload of a model's files ended. `false` if the model is gone.
///
/// # Errors
/// The database is away.
pub async fn set_status(change: &mut Change, id: LoggedModelId, status: &str) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE logged_models SET status = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        status,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says how the upload of a model's files ended elsewhere, and why if it ended badly.
///
/// # Errors
/// The model is gone; the database is away.
pub async fn set_outcome(
    change: &mut Change,
    id: LoggedModelId,
    status: &str,
    message: Option<&str>,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE logged_models SET status = $2, status_message = $3 WHERE id = $1",
        id.0,
        status,
        message
    )
    .execute(change.connection())
    .await?;
    crate::models::one("logged_models", done.rows_affected())
}

/// The experiment of a logged model, deleted or not, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: LoggedModelId) -> Result<Option<ExperimentId>> {
    let row = sqlx::query!(
        "SELECT experiment_id FROM logged_models WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| ExperimentId(row.experiment_id)))
}

/// Deletes a logged model, until its retention time is over. `false` if it is gone already.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: LoggedModelId) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE logged_models SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets tags; others stay.
///
/// # Errors
/// The database is away.
pub async fn set_tags(database: &Database, id: LoggedModelId, tags: &Tags) -> Result<()> {
    let (keys, values) = columns(tags);
    sqlx::query!(
        "INSERT INTO logged_model_tags (model_id, key, value)
         SELECT id, key, value
         FROM logged_models, unnest($2::text[], $3::text[]) AS given (key, value)
         WHERE id = $1 AND deleted_at IS NULL
         ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
        id.0,
        &keys,
        &values
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Deletes a tag. `false` if there is none of that key.
///
/// # Errors
/// The database is away.
pub async fn delete_tag(database: &Database, id: LoggedModelId, key: &str) -> Result<bool> {
    let done =
        sqlx::query!("DELETE FROM logged_model_tags WHERE model_id = $1 AND key = $2", id.0, key)
            .execute(database.pool())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Logs params, all or none. The same value again is fine.
///
/// # Errors
/// A param has another value already; the database is away.
pub async fn log_params(
    database: &Database,
    id: LoggedModelId,
    params: &BTreeMap<String, String>,
) -> Result<()> {
    let (keys, values) = columns(params);
    let mut tx = database.pool().begin().await?;
    sqlx::query!(
        "INSERT INTO logged_model_params (model_id, key, value)
         SELECT id, key, value
         FROM logged_models, unnest($2::text[], $3::text[]) AS given (key, value)
         WHERE id = $1 AND deleted_at IS NULL
         ON CONFLICT DO NOTHING",
        id.0,
        &keys,
        &values
    )
    .execute(&mut *tx)
    .await?;
    // A statement of its own: it sees what somebody else committed while the first one waited.
    let differs = sqlx::query!(
        "SELECT p.key, p.value
         FROM logged_model_params p JOIN unnest($2::text[], $3::text[]) AS given (key, value) USING (key)
         WHERE p.model_id = $1 AND p.value <> given.value LIMIT 1",
        id.0,
        &keys,
        &values
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = differs {
        let shown: String = row.value.chars().take(200).collect();
        let message = format!(
            "Changing param values is not allowed. Param with key='{}' was already logged with value='{shown}' for logged model '{id}'",
            row.key
        );
        return Err(Problem::invalid("params", message).into());
    }
    tx.commit().await?;
    Ok(())
}
