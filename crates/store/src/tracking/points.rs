//! All points of a metric, as they were logged.

use domain::tracking::{ExperimentId, RunId};
use uuid::Uuid;

use crate::{Database, Result};

/// A point of a metric of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The run that logged it.
    pub run: RunId,
    /// When, in milliseconds since 1970, as its client said.
    pub timestamp: i64,
    /// At which step.
    pub step: i64,
    /// Its value; NaN and the infinities are values.
    pub value: f64,
}

struct Row {
    run_id: Uuid,
    timestamp: i64,
    step: i64,
    value: f64,
}

impl From<Row> for Point {
    fn from(row: Row) -> Self {
        Self { run: RunId(row.run_id), timestamp: row.timestamp, step: row.step, value: row.value }
    }
}

/// These runs, in this order, with the experiments that they belong to; those that are not there are
/// left out.
///
/// # Errors
/// The database is away.
pub async fn homes(database: &Database, runs: &[RunId]) -> Result<Vec<(RunId, ExperimentId)>> {
    let homes = sqlx::query!(
        "SELECT id, experiment_id FROM runs WHERE id = ANY($1) ORDER BY array_position($1, id)",
        &ids(runs)
    )
    .fetch_all(database.pool())
    .await?;
    Ok(homes.into_iter().map(|row| (RunId(row.id), ExperimentId(row.experiment_id))).collect())
}

/// The points of a metric of a run in order of timestamp, step and value, from behind one on.
///
/// # Errors
/// The database is away.
pub async fn history(
    database: &Database,
    run: RunId,
    key: &str,
    after: Option<Point>,
    limit: Option<i64>,
) -> Result<Vec<Point>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT m.run_id, p.timestamp, p.step, p.value
         FROM run_metrics m JOIN metric_points p USING (series)
         WHERE m.run_id = $1 AND m.key = $2
           AND ($3::bigint IS NULL OR (p.timestamp, p.step, p.value) > ($3, $4::bigint, $5::double precision))
         ORDER BY p.timestamp, p.step, p.value LIMIT $6",
        run.0,
        key,
        after.map(|point| point.timestamp),
        after.map(|point| point.step),
        after.map(|point| point.value),
        limit
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(Point::from).collect())
}

/// How many points of a metric a run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The metric.
    pub key: String,
    /// How many points.
    pub points: i64,
    /// The timestamp of the newest.
    pub newest: i64,
}

/// How many points of each of these metrics a run has, by key; of all its metrics where none is named.
///
/// # Errors
/// The database is away.
pub async fn counts(database: &Database, run: RunId, key: Option<&str>) -> Result<Vec<Count>> {
    let rows = sqlx::query_as!(
        Count,
        r#"SELECT m.key, count(*) AS "points!", max(p.timestamp) AS "newest!"
           FROM run_metrics m JOIN metric_points p USING (series)
           WHERE m.run_id = $1 AND ($2::text IS NULL OR m.key = $2)
           GROUP BY m.key ORDER BY m.key"#,
        run.0,
        key
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows)
}

/// The first points of a metric of several runs, run after run.
///
/// # Errors
/// The database is away.
pub async fn of_runs(
    database: &Database,
    runs: &[RunId],
    key: &str,
    limit: i64,
) -> Result<Vec<Point>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT m.run_id, p.timestamp, p.step, p.value
         FROM run_metrics m JOIN metric_points p USING (series)
         WHERE m.run_id = ANY($1) AND m.key = $2
         ORDER BY m.run_id, p.timestamp, p.step, p.value LIMIT $3",
        &ids(runs),
        key,
        limit
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(Point::from).collect())
}

/// Of each run at most `most` points of a metric, evenly over those whose step is in the range: the
/// first of each of `most` parts of the same size, but of the last part the last.
///
/// # Errors
/// The database is away.
pub async fn sample(
    database: &Database,
    runs: &[RunId],
    key: &str,
    range: Option<(i64, i64)>,
    most: i64,
) -> Result<Vec<Point>> {
    // The points of a series are read once, in the order of their index, into arrays, out of which
    // those that are wanted are taken by their places.
    let rows = sqlx::query_as!(
        Row,
        r#"WITH series AS MATERIALIZED (
             SELECT m.run_id, p.*, cardinality(steps) AS size,
                    cardinality(steps) / $5::bigint AS part, cardinality(steps) % $5::bigint AS longer
             FROM run_metrics m, LATERAL (
               SELECT array_agg(step ORDER BY step, timestamp, value) AS steps,
                      array_agg(timestamp ORDER BY step, timestamp, value) AS timestamps,
                      array_agg(value ORDER BY step, timestamp, value) AS values
               FROM metric_points
               WHERE series = m.series AND ($3::bigint IS NULL OR step BETWEEN $3 AND $4::bigint)) p
             WHERE m.run_id = ANY($1) AND m.key = $2)
           SELECT run_id, timestamps[place] AS "timestamp!", steps[place] AS "step!", values[place] AS "value!"
           FROM series, LATERAL (
             SELECT CASE
               WHEN size <= $5 THEN nth
               WHEN nth = $5 THEN size
               WHEN nth <= longer THEN (nth - 1) * (part + 1) + 1
               ELSE (nth - 1) * part + longer + 1 END AS place
             FROM generate_series(1, least($5, size)) nth) places
           ORDER BY array_position($1, run_id), place"#,
        &ids(runs),
        key,
        range.map(|(first, _)| first),
        range.map(|(_, last)| last),
        most
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(Point::from).collect())
}

fn ids(runs: &[RunId]) -> Vec<Uuid> {
    runs.iter().map(|run| run.0).collect()
}

/// A dataset that runs of an experiment used, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The dataset's name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// What runs used it for, if they said so.
    pub context: Option<String>,
}

/// The datasets that runs of these experiments used, at most 1000.
///
/// # Errors
/// The database is away.
pub async fn datasets(
    database: &Database,
    experiments: &[ExperimentId],
) -> Result<Vec<DatasetSummary>> {
    let ids: Vec<i64> = experiments.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT DISTINCT d.experiment_id, d.name, d.digest, i.tags ->> 'mlflow.data.context' AS context
           FROM datasets d JOIN run_datasets i ON i.dataset_id = d.id
           WHERE d.experiment_id = ANY($1)
           ORDER BY d.experiment_id, d.name, d.digest, context LIMIT 1000"#,
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DatasetSummary {
            experiment: ExperimentId(row.experiment_id),
            name: row.name,
            digest: row.digest,
            context: row.context,
        })
        .collect())
}
