//! History: every move of a model's aliases and of its versions' stages, in one order, and how they
//! stood at any moment.
//!
//! Moves are numbered by one sequence and written while the model is locked. [`instant`] stamps them
//! so that within a model a later number never has an earlier instant, whichever clock said it.

use domain::{AliasName, Cursor, Limit, ModelId, Page, Problem, Stage, Timestamp};

use crate::{Change, Database, Error, Result, aliases, stages};

/// One move.
#[derive(Debug, Clone)]
pub enum Move {
    /// An alias was pointed elsewhere.
    Alias(aliases::Move),
    /// A version went from stage to stage, or came or went.
    Stage(stages::Move),
}

impl Move {
    const fn key(&self) -> (i64, Timestamp) {
        match self {
            Self::Alias(done) => (done.id, done.at),
            Self::Stage(done) => (done.id, done.at),
        }
    }
}

/// Which moves; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of this alias. With a stage as well: those of either.
    pub alias: Option<AliasName>,
    /// Those to or from this stage.
    pub stage: Option<Stage>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Not after.
    pub as_of: Option<Timestamp>,
}

/// A row of either table: of an alias it has versions, of a stage stages.
struct Row {
    id: i64,
    alias: Option<String>,
    revision: Option<i32>,
    from_version: Option<i32>,
    to_version: Option<i32>,
    transition: Option<i64>,
    version: Option<i32>,
    from_stage: Option<String>,
    to_stage: Option<String>,
    reason: Option<String>,
    actor: String,
    request_id: String,
    at: Timestamp,
}

impl TryFrom<Row> for Move {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, from_version: from, to_version: to, reason, actor, request_id, at, .. } = row;
        match (row.alias, row.revision, row.transition, row.version) {
            (Some(alias), Some(revision), ..) => {
                let alias =
                    alias.parse().map_err(|_| Error::inconsistent("alias_history", "alias", id))?;
                let done =
                    aliases::Move { id, alias, revision, from, to, reason, actor, request_id, at };
                Ok(Self::Alias(done))
            }
            (_, _, Some(transition), Some(version)) => {
                let (from, to) = (stage(id, row.from_stage)?, stage(id, row.to_stage)?);
                let done = stages::Move {
                    id,
                    transition,
                    version,
                    from,
                    to,
                    reason,
                    actor,
                    request_id,
                    at,
                };
                Ok(Self::Stage(done))
            }
            _ => Err(Error::inconsistent("stage_history", "version", id)),
        }
    }
}

/// A stage as a row of the history has it.
pub(crate) fn stage(id: i64, text: Option<String>) -> Result<Option<Stage>> {
    let parsed = text.as_deref().map(str::parse).transpose();
    parsed.map_err(|_: Problem| Error::inconsistent("stage_history", "stage", id))
}

/// The instant of a move that a change makes of a model that it has locked: the change's own, but
/// never before that of an earlier move.
pub(crate) async fn instant(change: &mut Change, model: ModelId) -> Result<Timestamp> {
    let now = change.now();
    let found = sqlx::query_scalar!(
        r#"SELECT greatest($2::timestamptz, (SELECT max(at) FROM alias_history WHERE model_id = $1),
                           (SELECT max(at) FROM stage_history WHERE model_id = $1)) AS "at!""#,
        model.0,
        now
    )
    .fetch_one(change.connection())
    .await?;
    Ok(found)
}

/// Lists moves, newest first.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn list(
    database: &Database,
    model: ModelId,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Move>> {
    let before = cursor.map(position).transpose()?;
    let rows = sqlx::query_as!(
        Row,
        r#"(SELECT id AS "id!", alias, revision, from_version, to_version, NULL::bigint AS transition,
                   NULL::integer AS version, NULL::text AS from_stage, NULL::text AS to_stage,
                   reason, actor AS "actor!", request_id AS "request_id!", at AS "at!"
            FROM alias_history
            WHERE model_id = $1 AND (alias = $2 OR ($2::text IS NULL AND $3::text IS NULL))
              AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
              AND ($6::timestamptz IS NULL OR at <= $6)
              AND ($7::timestamptz IS NULL OR (at, id) < ($7, $8::bigint))
            ORDER BY at DESC, id DESC LIMIT $9)
           UNION ALL
           (SELECT id, NULL, NULL, NULL, NULL, transition, version, from_stage, to_stage, reason, actor, request_id, at
            FROM stage_history
            WHERE model_id = $1 AND ($3 IN (from_stage, to_stage) OR ($2 IS NULL AND $3 IS NULL))
              AND ($4 IS NULL OR at >= $4) AND ($5 IS NULL OR at < $5) AND ($6 IS NULL OR at <= $6)
              AND ($7 IS NULL OR (at, id) < ($7, $8))
            ORDER BY at DESC, id DESC LIMIT $9)
           ORDER BY "at!" DESC, "id!" DESC LIMIT $9"#,
        model.0,
        filter.alias.as_ref().map(AliasName::as_str),
        filter.stage.as_ref().map(Stage::as_str),
        filter.since,
        filter.until,
        filter.as_of,
        before.map(|(at, _)| at),
        before.map(|(_, id)| id),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let moves = rows.into_iter().map(Move::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(moves, limit, |done| {
        let (id, at) = done.key();
        format!("{}/{id}", at.timestamp_micros())
    }))
}

/// Where a page of this list begins.
fn position(cursor: &Cursor) -> Result<(Timestamp, i64)> {
    let foreign = || Problem::invalid("cursor", "the cursor is not of this list");
    let (at, id) = cursor.key_as_pair()?;
    let at = at.parse().ok().and_then(Timestamp::from_timestamp_micros).ok_or_else(foreign)?;
    Ok((at, id.parse().map_err(|_| foreign())?))
}

/// The move that each alias had behind it at a moment, by alias; those that pointed nowhere are left out.
///
/// # Errors
/// The database is away.
pub async fn aliases_at(
    database: &Database,
    model: ModelId,
    at: Timestamp,
) -> Result<Vec<aliases::Move>> {
    let rows = sqlx::query!(
        r#"SELECT h.id, a.alias, h.revision, h.from_version, h.to_version, h.reason, h.actor, h.request_id, h.at
           FROM aliases a
           CROSS JOIN LATERAL (SELECT * FROM alias_history
                               WHERE model_id = a.model_id AND alias = a.alias AND at <= $2
                               ORDER BY at DESC, id DESC LIMIT 1) AS h
           WHERE a.model_id = $1 AND h.to_version IS NOT NULL
           ORDER BY a.alias"#,
        model.0,
        at
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |_: Problem| Error::inconsistent("aliases", "alias", model);
            Ok(aliases::Move {
                id: row.id,
                alias: row.alias.parse().map_err(wrong)?,
                revision: row.revision,
                from: row.from_version,
                to: row.to_version,
                reason: row.reason,
                actor: row.actor,
                request_id: row.request_id,
                at: row.at,
            })
        })
        .collect()
}

/// The move that brought each version to the stage that it was in at a moment, by stage, then by
/// version. Those that were where versions begin, or deleted, are left out.
///
/// # Errors
/// The database is away.
pub async fn stages_at(
    database: &Database,
    model: ModelId,
    at: Timestamp,
) -> Result<Vec<stages::Move>> {
    let rows = sqlx::query!(
        r#"SELECT h.* FROM (SELECT DISTINCT ON (version) * FROM stage_history
                            WHERE model_id = $1 AND at <= $2
                            ORDER BY version, at DESC, id DESC) AS h
           WHERE h.to_stage IS NOT NULL AND h.to_stage <> $3
           ORDER BY h.to_stage COLLATE "C", h.version"#,
        model.0,
        at,
        Stage::NONE
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(stages::Move {
                id: row.id,
                transition: row.transition,
                version: row.version,
                from: stage(row.id, row.from_stage)?,
                to: stage(row.id, row.to_stage)?,
                reason: row.reason,
                actor: row.actor,
                request_id: row.request_id,
                at: row.at,
            })
        })
        .collect()
}

/// The stage that a version which was there by then was in at a moment; absent where it was deleted.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn stage_at(
    database: &Database,
    model: ModelId,
    version: i32,
    at: Timestamp,
) -> Result<Option<Stage>> {
    // Before its first move it was where that one took it from.
    let row = sqlx::query!(
        r#"SELECT before.id IS NOT NULL AS "moved!", before.to_stage AS "to_stage?",
                  coalesce(after.from_stage, v.stage) AS "stage!"
           FROM model_versions v
           LEFT JOIN LATERAL (SELECT id, to_stage FROM stage_history
                              WHERE model_id = v.model_id AND version = v.number AND at <= $3
                              ORDER BY at DESC, id DESC LIMIT 1) AS before ON true
           LEFT JOIN LATERAL (SELECT from_stage FROM stage_history
                              WHERE model_id = v.model_id AND version = v.number AND at > $3
                              ORDER BY at, id LIMIT 1) AS after ON true
           WHERE v.model_id = $1 AND v.number = $2"#,
        model.0,
        version,
        at
    )
    .fetch_one(database.pool())
    .await?;
    stage(i64::from(version), if row.moved { row.to_stage } else { Some(row.stage) })
}

/// The newest version that was there at a moment.
///
/// # Errors
/// The database is away.
pub async fn latest_version_at(
    database: &Database,
    model: ModelId,
    at: Timestamp,
) -> Result<Option<i32>> {
    let found = sqlx::query_scalar!(
        "SELECT v.number FROM model_versions v
         WHERE v.model_id = $1 AND v.created_at <= $2
           AND (SELECT to_stage IS NULL FROM stage_history
                WHERE model_id = v.model_id AND version = v.number AND at <= $2
                ORDER BY at DESC, id DESC LIMIT 1) IS NOT TRUE
         ORDER BY v.number DESC
         LIMIT 1",
        model.0,
        at
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(found)
}
