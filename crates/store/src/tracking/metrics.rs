//! Metrics of runs: the points, and of each metric the latest value.

use domain::{
    Problem,
    tracking::{LoggedModelId, Metric, RunId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Result, error::breaks};

/// Adds points; one that is there already is the same point. The latest value of a metric is that of
/// the greatest (step, timestamp, value), where NaN counts as 0, as MLflow keeps it.
pub(super) async fn insert(
    connection: &mut PgConnection,
    run: RunId,
    metrics: &[Metric],
) -> Result<()> {
    if metrics.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = metrics.iter().map(|metric| metric.key.clone()).collect();
    let values: Vec<f64> = metrics.iter().map(|metric| metric.value).collect();
    let timestamps: Vec<i64> = metrics.iter().map(|metric| metric.timestamp).collect();
    let steps: Vec<i64> = metrics.iter().map(|metric| metric.step).collect();
    // The conflicting row is always written, even with what it holds: that locks it, so the
    // comparison is with what it holds then, and it answers its number.
    sqlx::query!(
        r#"WITH given AS (
             SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::float8[])
                           AS given (key, step, timestamp, value)
           ), latest AS (
             SELECT DISTINCT ON (key COLLATE "C") key, step, timestamp, value FROM given
             ORDER BY key COLLATE "C", step DESC, timestamp DESC, coalesce(nullif(value, 'NaN'), 0) DESC
           ), series AS (
             INSERT INTO run_metrics AS kept (run_id, key, step, timestamp, value)
             SELECT $1, key, step, timestamp, value FROM latest ORDER BY key COLLATE "C"
             ON CONFLICT (run_id, key) DO UPDATE SET (step, timestamp, value) = (
               SELECT step, timestamp, value
               FROM (VALUES (kept.step, kept.timestamp, kept.value),
                            (excluded.step, excluded.timestamp, excluded.value)) AS candidates (step, timestamp, value)
               ORDER BY step DESC, timestamp DESC, coalesce(nullif(value, 'NaN'), 0) DESC LIMIT 1)
             RETURNING series, key
           )
           INSERT INTO metric_points (series, step, timestamp, value)
           SELECT series, step, timestamp, value FROM given JOIN series USING (key)
           ON CONFLICT DO NOTHING"#,
        run.0,
        &keys,
        &steps,
        &timestamps,
        &values
    )
    .execute(&mut *connection)
    .await?;
    insert_of_models(connection, run, metrics).await
}

/// Adds what metrics say about the logged models that they name.
pub(super) async fn insert_of_models(
    connection: &mut PgConnection,
    run: RunId,
    metrics: &[Metric],
) -> Result<()> {
    let metrics: Vec<(LoggedModelId, &Metric)> =
        metrics.iter().filter_map(|metric| Some((metric.model?, metric))).collect();
    if metrics.is_empty() {
        return Ok(());
    }
    let models: Vec<Uuid> = metrics.iter().map(|(model, _)| model.0).collect();
    let keys: Vec<String> = metrics.iter().map(|(_, metric)| metric.key.clone()).collect();
    let values: Vec<f64> = metrics.iter().map(|(_, metric)| metric.value).collect();
    let timestamps: Vec<i64> = metrics.iter().map(|(_, metric)| metric.timestamp).collect();
    let steps: Vec<i64> = metrics.iter().map(|(_, metric)| metric.step).collect();
    let names: Vec<Option<String>> =
        metrics.iter().map(|(_, metric)| metric.dataset_name.clone()).collect();
    let digests: Vec<Option<String>> =
        metrics.iter().map(|(_, metric)| metric.dataset_digest.clone()).collect();
    sqlx::query!(
        r#"INSERT INTO logged_model_metrics
             (run_id, model_id, key, timestamp, step, value, dataset_name, dataset_digest)
           SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::float8[], $7::text[], $8::text[])
                             AS given (model_id, key, timestamp, step, value, dataset_name, dataset_digest)
           ORDER BY model_id, key COLLATE "C", timestamp, step
           ON CONFLICT DO NOTHING"#,
        run.0,
        &models,
        &keys,
        &timestamps,
        &steps,
        &values,
        &names as &[Option<String>],
        &digests as &[Option<String>]
    )
    .execute(connection)
    .await
    .map_err(|error| {
        if breaks(&error, "logged_model_metrics_model_id_fkey") {
            let message = "a metric names a logged model (`model_id`) that is not there";
            return Problem::new(domain::ErrorCode::NotFound, message).at("model_id").into();
        }
        crate::Error::from(error)
    })?;
    Ok(())
}
