//! Runs: what an experiment is made of.

use std::collections::{BTreeMap, HashMap};

use domain::{
    Timestamp,
    tracking::{
        Dataset, DatasetInput, ExperimentId, LoggedModelId, Metric, Param, RunId, RunStatus, Tag,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Change, Database, Error, Result, models::one};

/// A run, without what it logged.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// Who started it, as its client said.
    pub user_id: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it started, in milliseconds since 1970, as its client said.
    pub start_time: Option<i64>,
    /// When it ended, in milliseconds since 1970, as its client said.
    pub end_time: Option<i64>,
    /// Where its files lie.
    pub artifact_uri: String,
    /// Who owns it, as `user:ana`.
    pub owner: String,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Timestamp>,
}

impl Run {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "run": self.id.to_string(), "name": self.name, "status": self.status,
            "end_time": self.end_time, "deleted": self.deleted_at.is_some(),
        })
    }
}

/// A run with what it logged.
#[derive(Debug, Clone)]
pub struct RunData {
    /// The run itself.
    pub run: Run,
    /// Of each metric the latest value, by key.
    pub metrics: Vec<Metric>,
    /// By key.
    pub params: Vec<Param>,
    /// By key.
    pub tags: Vec<Tag>,
    /// The datasets that it read, in the order in which it said so.
    pub datasets: Vec<DatasetInput>,
    /// The logged models that it took in.
    pub inputs: Vec<LoggedModelId>,
    /// The logged models that it put out, each with its step.
    pub outputs: Vec<(LoggedModelId, i64)>,
}

struct Row {
    id: Uuid,
    experiment_id: i64,
    name: String,
    user_id: String,
    status: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    artifact_uri: String,
    owner: String,
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Run {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: RunId(row.id),
            experiment: ExperimentId(row.experiment_id),
            name: row.name,
            user_id: row.user_id,
            status: row
                .status
                .parse()
                .map_err(|_| Error::inconsistent("runs", "status", row.id))?,
            start_time: row.start_time,
            end_time: row.end_time,
            artifact_uri: row.artifact_uri,
            owner: row.owner,
            deleted_at: row.deleted_at,
        })
    }
}

/// The run of that id, deleted or not.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, id: RunId) -> Result<Option<Run>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, owner, deleted_at
         FROM runs WHERE id = $1",
        id.0
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Run::try_from).transpose()
}

/// The run of that id, deleted or not, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: RunId) -> Result<Option<Run>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, owner, deleted_at
         FROM runs WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Run::try_from).transpose()
}

/// Whole runs, deleted or not, in the order of `ids`; those that are not there are left out. One
/// statement, however many runs.
///
/// # Errors
/// The database is away.
pub async fn load(database: &Database, ids: &[RunId]) -> Result<Vec<RunData>> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT r.id, r.experiment_id, r.name, r.user_id, r.status, r.start_time, r.end_time,
                  r.artifact_uri, r.owner, r.deleted_at,
                  m.keys AS "metric_keys?: Vec<String>", m.values AS "metric_values?: Vec<f64>",
                  m.timestamps AS "metric_timestamps?: Vec<i64>", m.steps AS "metric_steps?: Vec<i64>",
                  p.keys AS "param_keys?: Vec<String>", p.values AS "param_values?: Vec<String>",
                  t.keys AS "tag_keys?: Vec<String>", t.values AS "tag_values?: Vec<String>",
                  d.inputs AS "datasets?: Value",
                  o.directions AS "directions?: Vec<String>", o.models AS "models?: Vec<Uuid>",
                  o.steps AS "steps?: Vec<i64>"
           FROM runs r,
                LATERAL (SELECT array_agg(key ORDER BY key) AS keys, array_agg(value ORDER BY key) AS values,
                                array_agg(timestamp ORDER BY key) AS timestamps, array_agg(step ORDER BY key) AS steps
                         FROM run_metrics WHERE run_id = r.id) m,
                LATERAL (SELECT array_agg(key ORDER BY key) AS keys, array_agg(value ORDER BY key) AS values
                         FROM run_params WHERE run_id = r.id) p,
                LATERAL (SELECT array_agg(key ORDER BY key) AS keys, array_agg(value ORDER BY key) AS values
                         FROM run_tags WHERE run_id = r.id) t,
                LATERAL (SELECT jsonb_agg(jsonb_build_object(
                                    'name', name, 'digest', digest, 'source_type', source_type,
                                    'source', source, 'schema', schema, 'profile', profile, 'tags', tags)
                                ORDER BY position, dataset_id) AS inputs
                         FROM run_datasets JOIN datasets ON datasets.id = dataset_id WHERE run_id = r.id) d,
                LATERAL (SELECT array_agg(direction ORDER BY model_id) AS directions,
                                array_agg(model_id ORDER BY model_id) AS models,
                                array_agg(step ORDER BY model_id) AS steps
                         FROM run_models WHERE run_id = r.id) o
           WHERE r.id = ANY($1)"#,
        &wanted
    )
    .fetch_all(database.pool())
    .await?;
    let mut found = HashMap::new();
    for row in rows {
        let id = row.id;
        let (inputs, outputs) = models(row.directions, row.models, row.steps);
        let data = RunData {
            metrics: metrics(
                row.metric_keys,
                row.metric_values,
                row.metric_timestamps,
                row.metric_steps,
            ),
            params: pairs(row.param_keys, row.param_values, |key, value| Param { key, value }),
            tags: pairs(row.tag_keys, row.tag_values, |key, value| Tag { key, value }),
            datasets: datasets(id, row.datasets)?,
            inputs,
            outputs,
            run: Run::try_from(Row {
                id,
                experiment_id: row.experiment_id,
                name: row.name,
                user_id: row.user_id,
                status: row.status,
                start_time: row.start_time,
                end_time: row.end_time,
                artifact_uri: row.artifact_uri,
                owner: row.owner,
                deleted_at: row.deleted_at,
            })?,
        };
        found.insert(id, data);
    }
    Ok(wanted.iter().filter_map(|id| found.remove(id)).collect())
}

fn pairs<T>(
    keys: Option<Vec<String>>,
    values: Option<Vec<String>>,
    make: impl Fn(String, String) -> T,
) -> Vec<T> {
    let values = values.unwrap_or_default();
    keys.unwrap_or_default().into_iter().zip(values).map(|(key, value)| make(key, value)).collect()
}

fn metrics(
    keys: Option<Vec<String>>,
    values: Option<Vec<f64>>,
    timestamps: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
) -> Vec<Metric> {
    let when = timestamps.unwrap_or_default().into_iter().zip(steps.unwrap_or_default());
    let points = values.unwrap_or_default().into_iter().zip(when);
    keys.unwrap_or_default()
        .into_iter()
        .zip(points)
        .map(|(key, (value, (timestamp, step)))| Metric {
            key,
            value,
            timestamp,
            step,
            model: None,
            dataset_name: None,
            dataset_digest: None,
        })
        .collect()
}

type Models = (Vec<LoggedModelId>, Vec<(LoggedModelId, i64)>);

fn models(
    directions: Option<Vec<String>>,
    models: Option<Vec<Uuid>>,
    steps: Option<Vec<i64>>,
) -> Models {
    let (mut inputs, mut outputs) = Models::default();
    let models = models.unwrap_or_default().into_iter().zip(steps.unwrap_or_default());
    for (direction, (model, step)) in directions.unwrap_or_default().into_iter().zip(models) {
        if direction == "input" {
            inputs.push(LoggedModelId(model));
        } else {
            outputs.push((LoggedModelId(model), step));
        }
    }
    (inputs, outputs)
}

#[derive(serde::Deserialize)]
struct DatasetRow {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
    tags: BTreeMap<String, String>,
}

fn datasets(run: Uuid, rows: Option<Value>) -> Result<Vec<DatasetInput>> {
    let Some(rows) = rows else { return Ok(Vec::new()) };
    let rows: Vec<DatasetRow> = serde_json::from_value(rows)
        .map_err(|_| Error::inconsistent("run_datasets", "tags", run))?;
    let input = |row: DatasetRow| DatasetInput {
        dataset: Dataset {
            name: row.name,
            digest: row.digest,
            source_type: row.source_type,
            source: row.source,
            schema: row.schema,
            profile: row.profile,
        },
        tags: row.tags,
    };
    Ok(rows.into_iter().map(input).collect())
}

/// Adds a new run.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, run: &Run, tags: &[Tag]) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO runs (id, experiment_id, name, user_id, status, start_time, end_time, artifact_uri,
                           owner, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        run.id.0,
        run.experiment.0,
        run.name,
        run.user_id,
        run.status.as_str(),
        run.start_time,
        run.end_time,
        run.artifact_uri,
        run.owner,
        now
    )
    .execute(change.connection())
    .await?;
    super::log::set_tags(change.connection(), run.id, tags).await
}

/// Changes a run's name, status and end time to those of `run`, and the tag that repeats its name.
///
/// # Errors
/// It is gone; the database is away.
pub async fn update(change: &mut Change, run: &Run) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE runs SET name = $2, status = $3, end_time = $4, updated_at = $5 WHERE id = $1",
        run.id.0,
        run.name,
        run.status.as_str(),
        run.end_time,
        now
    )
    .execute(change.connection())
    .await?;
    one("runs", done.rows_affected())
}

/// Repeats a run's name in its tag.
///
/// # Errors
/// The database is away.
pub async fn tag_name(change: &mut Change, run: &Run) -> Result<()> {
    let tag = Tag { key: domain::tracking::RUN_NAME_TAG.to_owned(), value: run.name.clone() };
    super::log::set_tags(change.connection(), run.id, &[tag]).await
}

/// Deletes a run until it is restored, or restores it.
///
/// # Errors
/// It is gone; the database is away.
pub async fn set_deleted(change: &mut Change, id: RunId, deleted: bool) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE runs SET deleted_at = CASE WHEN $2 THEN $3::timestamptz END, updated_at = $3 WHERE id = $1",
        id.0,
        deleted,
        now
    )
    .execute(change.connection())
    .await?;
    one("runs", done.rows_affected())
}
