//! Which datasets and models a run took in and put out.

use domain::{
    ErrorCode, Problem,
    tracking::{DatasetInput, LoggedModelId},
};
use uuid::Uuid;

use super::Log;
use crate::{Error, Result, error::breaks};

/// Which way a model went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The run took it in.
    Input,
    /// The run put it out.
    Output,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl Log {
    /// Adds datasets that the run read, in this order. One of the same name and digest in the
    /// experiment is the same dataset; one that the run named before stays as it was.
    ///
    /// # Errors
    /// The database is away.
    pub async fn datasets(&mut self, inputs: &[DatasetInput]) -> Result<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let column =
            |of: fn(&DatasetInput) -> String| -> Vec<String> { inputs.iter().map(of).collect() };
        let ids: Vec<Uuid> = inputs.iter().map(|_| Uuid::now_v7()).collect();
        let names = column(|input| input.dataset.name.clone());
        let digests = column(|input| input.dataset.digest.clone());
        let schemas: Vec<_> = inputs.iter().map(|input| input.dataset.schema.clone()).collect();
        let profiles: Vec<_> = inputs.iter().map(|input| input.dataset.profile.clone()).collect();
        sqlx::query!(
            r#"INSERT INTO datasets (experiment_id, id, name, digest, source_type, source, schema, profile)
               SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
                                 AS given (id, name, digest, source_type, source, schema, profile)
               ORDER BY name COLLATE "C", digest COLLATE "C"
               ON CONFLICT (experiment_id, name, digest) DO NOTHING"#,
            self.experiment.0,
            &ids,
            &names,
            &digests,
            &column(|input| input.dataset.source_type.clone()),
            &column(|input| input.dataset.source.clone()),
            &schemas as &[Option<String>],
            &profiles as &[Option<String>]
        )
        .execute(&mut *self.tx)
        .await?;
        let tags: Vec<_> = inputs.iter().map(|input| serde_json::json!(input.tags)).collect();
        sqlx::query!(
            r#"INSERT INTO run_datasets (run_id, dataset_id, tags, position)
               SELECT $1, datasets.id, given.tags,
                      given.ordinal + (SELECT coalesce(max(position) + 1, 0) FROM run_datasets WHERE run_id = $1)
               FROM unnest($3::text[], $4::text[], $5::jsonb[]) WITH ORDINALITY AS given (name, digest, tags, ordinal)
               JOIN datasets ON experiment_id = $2 AND datasets.name = given.name AND datasets.digest = given.digest
               ORDER BY given.ordinal
               ON CONFLICT (run_id, dataset_id) DO NOTHING"#,
            self.run.0,
            self.experiment.0,
            &names,
            &digests,
            &tags
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Adds logged models that the run took in or put out, each at a step. Again is as good as once.
    ///
    /// # Errors
    /// One of them is not there; the database is away.
    pub async fn models(
        &mut self,
        direction: Direction,
        models: &[(LoggedModelId, i64)],
    ) -> Result<()> {
        let (ids, steps): (Vec<Uuid>, Vec<i64>) =
            models.iter().map(|(model, step)| (model.0, *step)).unzip();
        sqlx::query!(
            "INSERT INTO run_models (run_id, direction, model_id, step)
             SELECT $1, $2, * FROM unnest($3::uuid[], $4::bigint[]) AS given (model_id, step)
             ORDER BY model_id
             ON CONFLICT (run_id, direction, model_id) DO NOTHING",
            self.run.0,
            direction.as_str(),
            &ids,
            &steps
        )
        .execute(&mut *self.tx)
        .await
        .map_err(|error| {
            if breaks(&error, "run_models_model_id_fkey") {
                let message = "one of `models` names a logged model that is not there";
                return Problem::new(ErrorCode::NotFound, message).at("models").into();
            }
            Error::from(error)
        })?;
        Ok(())
    }
}
