//! Stages: where a version stands on its way to production, and who moved it there when.

use domain::{Actor, ModelId, RequestId, Stage, Timestamp, VersionId};

use crate::{
    Change, Result, history,
    models::one,
    versions::{self, Version},
};

/// One move of a version from stage to stage.
#[derive(Debug, Clone)]
pub struct Move {
    /// Its place among all moves of the model.
    pub id: i64,
    /// What was done together has one number.
    pub transition: i64,
    /// The version's number.
    pub version: i32,
    /// The stage that it was in; absent where it came back from being deleted.
    pub from: Option<Stage>,
    /// The stage that it is in; absent where it was deleted.
    pub to: Option<Stage>,
    /// Why.
    pub reason: Option<String>,
    /// Who, as `user:ana`.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
}

/// Who moves versions, and why: what all moves of one transition have in common.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    number: i64,
    reason: Option<&'a str>,
    by: &'a Actor,
    request: &'a RequestId,
}

impl<'a> Transition<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(
        change: &mut Change,
        reason: Option<&'a str>,
        by: &'a Actor,
        request: &'a RequestId,
    ) -> Result<Self> {
        let number = sqlx::query_scalar!(r#"SELECT nextval('moves') AS "number!""#)
            .fetch_one(change.connection())
            .await?;
        Ok(Self { number, reason, by, request })
    }

    /// Moves a version that the change has locked to a stage, and writes its history. The caller has
    /// checked that this is a move at all.
    ///
    /// # Errors
    /// The version is gone; the database is away.
    pub async fn set(&self, change: &mut Change, version: &Version, to: &Stage) -> Result<Move> {
        let now = change.now();
        let VersionId(id) = version.id;
        let done = sqlx::query!(
            "UPDATE model_versions SET stage = $2, updated_at = $3 WHERE id = $1",
            id,
            to.as_str(),
            now
        )
        .execute(change.connection())
        .await?;
        one("model_versions", done.rows_affected())?;
        versions::touch_model(change, version.id).await?;
        self.write(change, version, Some(&version.stage), Some(to)).await
    }

    /// Writes down that a version left its stage because it was deleted.
    ///
    /// # Errors
    /// The database is away.
    pub async fn leave(&self, change: &mut Change, version: &Version) -> Result<Move> {
        self.write(change, version, Some(&version.stage), None).await
    }

    /// Writes down that a version is in its stage again because it was restored.
    ///
    /// # Errors
    /// The database is away.
    pub async fn come_back(&self, change: &mut Change, version: &Version) -> Result<Move> {
        self.write(change, version, None, Some(&version.stage)).await
    }

    async fn write(
        &self,
        change: &mut Change,
        version: &Version,
        from: Option<&Stage>,
        to: Option<&Stage>,
    ) -> Result<Move> {
        let at = history::instant(change, version.model_id).await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO stage_history (transition, model_id, version, from_stage, to_stage, reason, actor, request_id, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             RETURNING id",
            self.number,
            version.model_id.0,
            version.number,
            from.map(Stage::as_str),
            to.map(Stage::as_str),
            self.reason,
            self.by.to_string(),
            self.request.as_str(),
            at
        )
        .fetch_one(change.connection())
        .await?;
        Ok(Move {
            id,
            transition: self.number,
            version: version.number,
            from: from.cloned(),
            to: to.cloned(),
            reason: self.reason.map(ToOwned::to_owned),
            actor: self.by.to_string(),
            request_id: self.request.to_string(),
            at,
        })
    }
}

/// All moves of the last transition to or from a stage of a model that the change has locked, in
/// their order; none where there never was one.
///
/// # Errors
/// The database is away.
pub async fn last_transition(
    change: &mut Change,
    model: ModelId,
    stage: &Stage,
) -> Result<Vec<Move>> {
    let rows = sqlx::query!(
        "SELECT id, transition, version, from_stage, to_stage, reason, actor, request_id, at
         FROM stage_history
         WHERE model_id = $1
           AND transition = (SELECT transition FROM stage_history
                             WHERE model_id = $1 AND $2 IN (from_stage, to_stage)
                             ORDER BY at DESC, id DESC LIMIT 1)
         ORDER BY id",
        model.0,
        stage.as_str()
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Move {
                id: row.id,
                transition: row.transition,
                version: row.version,
                from: history::stage(row.id, row.from_stage)?,
                to: history::stage(row.id, row.to_stage)?,
                reason: row.reason,
                actor: row.actor,
                request_id: row.request_id,
                at: row.at,
            })
        })
        .collect()
}
