//! The door for what runs log in bulk.

use std::collections::BTreeMap;

use domain::{
    Problem, Timestamp,
    tracking::{Batch, ExperimentId, Metric, Param, RUN_NAME_TAG, RunId, Tag},
};
use sqlx::{PgConnection, Postgres, Transaction};

use super::metrics;
use crate::{Database, Result};

/// What a run logs, on its way: a transaction that ends well only in [`Log::commit`]. It makes no
/// audit event and no notice: what is governed is the run.
///
/// Keys are locked in their order, params before metrics before tags, so that writers to one run
/// wait for each other and never for ever.
pub struct Log {
    pub(super) tx: Transaction<'static, Postgres>,
    pub(super) run: RunId,
    pub(super) experiment: ExperimentId,
    deleted: bool,
    now: Timestamp,
}

impl Log {
    /// Begins, for a run that is there, deleted or not; absent if there is none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(database: &Database, run: RunId) -> Result<Option<Self>> {
        let mut tx = database.pool().begin().await?;
        let row = sqlx::query!("SELECT experiment_id, deleted_at FROM runs WHERE id = $1", run.0)
            .fetch_optional(&mut *tx)
            .await?;
        Ok(row.map(|row| Self {
            tx,
            run,
            experiment: ExperimentId(row.experiment_id),
            deleted: row.deleted_at.is_some(),
            now: database.now(),
        }))
    }

    /// The experiment that the run belongs to.
    #[must_use]
    pub const fn experiment(&self) -> ExperimentId {
        self.experiment
    }

    /// Whether the run is deleted: then it takes nothing.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// A param has another value already, or a metric names a logged model that is not there: then
    /// nothing of this log is kept. The database is away.
    pub async fn batch(&mut self, batch: &Batch) -> Result<()> {
        self.params(batch.params()).await?;
        metrics::insert(&mut self.tx, self.run, batch.metrics()).await?;
        let named = batch.tags().iter().rfind(|tag| tag.key == RUN_NAME_TAG);
        if let Some(tag) = named.filter(|tag| !tag.value.is_empty()) {
            sqlx::query!(
                "UPDATE runs SET name = $2, updated_at = $3 WHERE id = $1",
                self.run.0,
                tag.value,
                self.now
            )
            .execute(&mut *self.tx)
            .await?;
        }
        set_tags(&mut self.tx, self.run, batch.tags()).await
    }

    /// Adds what the run measured of logged models, which the metrics name, and nothing to its own metrics.
    ///
    /// # Errors
    /// A model is not there; the database is away.
    pub async fn of_models(&mut self, metrics: &[Metric]) -> Result<()> {
        metrics::insert_of_models(&mut self.tx, self.run, metrics).await
    }

    async fn params(&mut self, params: &[Param]) -> Result<()> {
        if params.is_empty() {
            return Ok(());
        }
        let (keys, values): (Vec<String>, Vec<String>) =
            params.iter().map(|param| (param.key.clone(), param.value.clone())).unzip();
        let made = sqlx::query!(
            r#"INSERT INTO run_params (run_id, key, value)
               SELECT $1, key, value FROM unnest($2::text[], $3::text[]) AS given (key, value)
               ORDER BY key COLLATE "C"
               ON CONFLICT (run_id, key) DO NOTHING"#,
            self.run.0,
            &keys,
            &values
        )
        .execute(&mut *self.tx)
        .await?;
        if made.rows_affected() == params.len() as u64 {
            return Ok(());
        }
        // A statement of its own: it sees what others committed while the first one waited.
        let others = sqlx::query!(
            r#"SELECT key AS "key!", given.value AS "given!", run_params.value AS kept
               FROM unnest($2::text[], $3::text[]) AS given (key, value) JOIN run_params USING (key)
               WHERE run_id = $1 AND run_params.value <> given.value
               ORDER BY key COLLATE "C" LIMIT 20"#,
            self.run.0,
            &keys,
            &values
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let begin = "Changing param values is not allowed.";
        let message = match others.as_slice() {
            [] => return Ok(()),
            [other] if params.len() == 1 => format!(
                "{begin} Param with key='{}' was already logged with value='{}' for run ID='{}'. Attempted logging new value '{}'",
                other.key,
                short(&other.kept),
                self.run,
                short(&other.given)
            ),
            others => {
                let each = others.iter().map(|other| {
                    let (kept, given) = (short(&other.kept), short(&other.given));
                    format!(
                        "{{'key': '{}', 'old_value': '{kept}', 'new_value': '{given}'}}",
                        other.key
                    )
                });
                let all = each.collect::<Vec<_>>().join(", ");
                format!("{begin} Params were already logged='[{all}]' for run ID='{}'.", self.run)
            }
        };
        Err(Problem::invalid("value", message).into())
    }

    /// Deletes a tag. `false` if there is none of that key.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_tag(&mut self, key: &str) -> Result<bool> {
        let done =
            sqlx::query!("DELETE FROM run_tags WHERE run_id = $1 AND key = $2", self.run.0, key)
                .execute(&mut *self.tx)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The value of a tag, held until this log ends, so that it can be added to.
    ///
    /// # Errors
    /// The database is away.
    pub async fn lock_tag(&mut self, key: &str) -> Result<Option<String>> {
        // The run, not the tag: the first to set it must be waited for as well.
        sqlx::query!("SELECT id FROM runs WHERE id = $1 FOR NO KEY UPDATE", self.run.0)
            .fetch_one(&mut *self.tx)
            .await?;
        let row = sqlx::query!(
            "SELECT value FROM run_tags WHERE run_id = $1 AND key = $2",
            self.run.0,
            key
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(row.map(|row| row.value))
    }

    /// Keeps all of it.
    ///
    /// # Errors
    /// The database is away; then nothing of it was kept.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        Ok(())
    }
}

/// Sets tags of a run; of a key that comes twice, the last holds. An empty name is no name.
pub(super) async fn set_tags(
    connection: &mut PgConnection,
    run: RunId,
    tags: &[Tag],
) -> Result<()> {
    let tags: BTreeMap<&str, &str> = tags
        .iter()
        .filter(|tag| tag.key != RUN_NAME_TAG || !tag.value.is_empty())
        .map(|tag| (tag.key.as_str(), tag.value.as_str()))
        .collect();
    if tags.is_empty() {
        return Ok(());
    }
    let (keys, values): (Vec<String>, Vec<String>) =
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).unzip();
    sqlx::query!(
        r#"INSERT INTO run_tags (run_id, key, value)
           SELECT $1, key, value FROM unnest($2::text[], $3::text[]) AS given (key, value)
           ORDER BY key COLLATE "C"
           ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value"#,
        run.0,
        &keys,
        &values
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn short(value: &str) -> String {
    value.chars().take(100).collect()
}
