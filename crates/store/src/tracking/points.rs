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

/// The experiments that these runs belong to, each once; of runs that are not there, none.
///
/// # Errors
/// The database is away.
pub async fn homes(database: &Database, runs: &[RunId]) -> Result<Vec<ExperimentId>> {
    let homes = sqlx::query_scalar!(
        "SELECT DISTINCT experiment_id FROM runs WHERE id = ANY($1)",
        &ids(runs)
    )
    .fetch_all(database.pool())
    .await?;
    Ok(homes.into_iter().map(ExperimentId).collect())
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
/// first of each of `most` parts of the same size, and the last of all.
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
    // The points of a series are read in the order of their index and counted as they pass.
    let rows = sqlx::query_as!(
        Row,
        r#"WITH wanted AS (
             SELECT m.series, m.run_id, s.size, s.size / $5 AS part, s.size % $5 AS longer
             FROM run_metrics m, LATERAL (
               SELECT count(*) AS size FROM metric_points p
               WHERE p.series = m.series AND ($3::bigint IS NULL OR p.step BETWEEN $3 AND $4::bigint)) s
             WHERE m.run_id = ANY($1) AND m.key = $2)
           SELECT w.run_id, p.timestamp, p.step, p.value
           FROM wanted w, LATERAL (
             SELECT step, timestamp, value,
                    row_number() OVER (ORDER BY step, timestamp, value) - 1 AS place
             FROM metric_points
             WHERE series = w.series AND ($3::bigint IS NULL OR step BETWEEN $3 AND $4::bigint)) p
           WHERE CASE
             WHEN w.size <= $5 THEN TRUE
             WHEN p.place = w.size - 1 THEN TRUE
             WHEN p.place < w.longer * (w.part + 1) THEN p.place % (w.part + 1) = 0
             ELSE (p.place - w.longer) % w.part = 0 END
           ORDER BY array_position($1, w.run_id), p.step, p.timestamp, p.value"#,
        &ids(runs),
        key,
        range.map(|(first, _)| first),
        range.map(|(_, last)| last),
        most
    )
    .fetch_all(database.pool())
    .await?;
    Ok(with_last_in_place(rows.into_iter().map(Point::from).collect(), most))
}

/// Where a run has one point more than asked for, its last takes the place of the one before.
fn with_last_in_place(points: Vec<Point>, most: i64) -> Vec<Point> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut kept = Vec::with_capacity(points.len());
    for run in points.chunk_by(|one, next| one.run == next.run) {
        match run {
            [firsts @ .., _, last] if run.len() > most => {
                kept.extend_from_slice(firsts);
                kept.push(*last);
            }
            _ => kept.extend_from_slice(run),
        }
    }
    kept
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
