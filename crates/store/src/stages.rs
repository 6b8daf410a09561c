//! Stages: where a version stands on its way to production, and who moved it there when.

use domain::{
    Actor, Cursor, Limit, ModelId, Page, Problem, RequestId, Stage, Timestamp, VersionId,
};

use crate::{Change, Database, Error, Result, models::one, versions::Version};

/// One move of a version from stage to stage.
#[derive(Debug, Clone)]
pub struct Move {
    /// Its place among all moves.
    pub id: i64,
    /// The version's number.
    pub version: i32,
    /// The stage that it was in.
    pub from: Stage,
    /// The stage that it is in.
    pub to: Stage,
    /// Why.
    pub reason: Option<String>,
    /// Who, as `user:ana`.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
}

/// Moves a version that the change has locked to a stage, and writes its history. The caller has
/// checked that this is a move at all.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set(
    change: &mut Change,
    version: &Version,
    to: &Stage,
    reason: Option<&str>,
    by: &Actor,
    request: &RequestId,
) -> Result<Move> {
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
    let row = sqlx::query!(
        "INSERT INTO stage_history (model_id, version, from_stage, to_stage, reason, actor, request_id, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id",
        version.model_id.0,
        version.number,
        version.stage.as_str(),
        to.as_str(),
        reason,
        by.to_string(),
        request.as_str(),
        now
    )
    .fetch_one(change.connection())
    .await?;
    Ok(Move {
        id: row.id,
        version: version.number,
        from: version.stage.clone(),
        to: to.clone(),
        reason: reason.map(ToOwned::to_owned),
        actor: by.to_string(),
        request_id: request.to_string(),
        at: now,
    })
}

/// Lists the moves to and from a stage, newest first; of all stages where none is given.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn history(
    database: &Database,
    model: ModelId,
    stage: Option<&Stage>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Move>> {
    let before = cursor.map(Cursor::key_as::<i64>).transpose()?;
    let rows = sqlx::query!(
        "SELECT id, version, from_stage, to_stage, reason, actor, request_id, at
         FROM stage_history
         WHERE model_id = $1 AND ($2::text IS NULL OR $2 IN (from_stage, to_stage))
           AND ($3::bigint IS NULL OR id < $3)
         ORDER BY id DESC
         LIMIT $4",
        model.0,
        stage.map(Stage::as_str),
        before,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let moves = rows
        .into_iter()
        .map(|row| {
            let wrong = |_: Problem| Error::inconsistent("stage_history", "to_stage", row.id);
            Ok(Move {
                id: row.id,
                version: row.version,
                from: row.from_stage.parse().map_err(wrong)?,
                to: row.to_stage.parse().map_err(wrong)?,
                reason: row.reason,
                actor: row.actor,
                request_id: row.request_id,
                at: row.at,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(moves, limit, |done| done.id.to_string()))
}
