//! Aliases: names that move from version to version, each move with a revision number.

use domain::{Actor, AliasName, ModelId, RequestId, Timestamp, VersionId};

use crate::{Change, Database, Error, Result, history};

/// An alias as it stands.
#[derive(Debug, Clone)]
pub struct Alias {
    /// Its name.
    pub alias: AliasName,
    /// The version that it points to; absent while it is unset.
    pub version: Option<(VersionId, i32)>,
    /// How often it has been moved.
    pub revision: i32,
    /// When it was last moved.
    pub updated_at: Timestamp,
}

/// One move of an alias.
#[derive(Debug, Clone)]
pub struct Move {
    /// Its place among all moves of the model.
    pub id: i64,
    /// The alias.
    pub alias: AliasName,
    /// Its revision after the move, from 1.
    pub revision: i32,
    /// The version that it pointed to before.
    pub from: Option<i32>,
    /// The version that it points to after; absent where it was unset.
    pub to: Option<i32>,
    /// Why.
    pub reason: Option<String>,
    /// Who, as `user:ana`.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
}

/// Lists a model's aliases that are set, by name. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, model: ModelId) -> Result<Vec<Alias>> {
    let rows = sqlx::query!(
        "SELECT a.alias, a.revision, a.updated_at, v.id, v.number
         FROM aliases a JOIN model_versions v ON v.id = a.version_id
         WHERE a.model_id = $1
         ORDER BY a.alias",
        model.0
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Alias {
                alias: row
                    .alias
                    .parse()
                    .map_err(|_| Error::inconsistent("aliases", "alias", model))?,
                version: Some((VersionId(row.id), row.number)),
                revision: row.revision,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// An alias of a model that the change has locked.
///
/// # Errors
/// The database is away.
pub async fn get(change: &mut Change, model: ModelId, alias: &AliasName) -> Result<Option<Alias>> {
    let row = sqlx::query!(
        r#"SELECT a.revision, a.updated_at, v.id AS "id?", v.number AS "number?"
           FROM aliases a LEFT JOIN model_versions v ON v.id = a.version_id
           WHERE a.model_id = $1 AND a.alias = $2"#,
        model.0,
        alias.as_str()
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| Alias {
        alias: alias.clone(),
        version: row.id.map(VersionId).zip(row.number),
        revision: row.revision,
        updated_at: row.updated_at,
    }))
}

/// Points an alias of a model that the change has locked to a version, or to none, and writes its
/// history. The caller has checked that this is a move at all.
///
/// # Errors
/// The database is away.
pub async fn set(
    change: &mut Change,
    model: ModelId,
    alias: &AliasName,
    to: Option<(VersionId, i32)>,
    reason: Option<&str>,
    by: &Actor,
    request: &RequestId,
) -> Result<Move> {
    let now = history::instant(change, model).await?;
    let from = get(change, model, alias).await?.and_then(|alias| alias.version);
    let revision = sqlx::query!(
        "INSERT INTO aliases (model_id, alias, version_id, revision, updated_at) VALUES ($1, $2, $3, 1, $4)
         ON CONFLICT (model_id, alias)
         DO UPDATE SET version_id = excluded.version_id, revision = aliases.revision + 1, updated_at = excluded.updated_at
         RETURNING revision",
        model.0,
        alias.as_str(),
        to.map(|(id, _)| id.0),
        now
    )
    .fetch_one(change.connection())
    .await?
    .revision;
    let (from, to) = (from.map(|(_, number)| number), to.map(|(_, number)| number));
    let id = sqlx::query_scalar!(
        "INSERT INTO alias_history (model_id, alias, revision, from_version, to_version, reason, actor, request_id, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING id",
        model.0,
        alias.as_str(),
        revision,
        from,
        to,
        reason,
        by.to_string(),
        request.as_str(),
        now
    )
    .fetch_one(change.connection())
    .await?;
    Ok(Move {
        id,
        alias: alias.clone(),
        revision,
        from,
        to,
        reason: reason.map(ToOwned::to_owned),
        actor: by.to_string(),
        request_id: request.to_string(),
        at: now,
    })
}

/// The last move of an alias of a model that the change has locked.
///
/// # Errors
/// The database is away.
pub async fn last_move(
    change: &mut Change,
    model: ModelId,
    alias: &AliasName,
) -> Result<Option<Move>> {
    let row = sqlx::query!(
        "SELECT id, revision, from_version, to_version, reason, actor, request_id, at
         FROM alias_history
         WHERE model_id = $1 AND alias = $2
         ORDER BY revision DESC
         LIMIT 1",
        model.0,
        alias.as_str()
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| Move {
        id: row.id,
        alias: alias.clone(),
        revision: row.revision,
        from: row.from_version,
        to: row.to_version,
        reason: row.reason,
        actor: row.actor,
        request_id: row.request_id,
        at: row.at,
    }))
}
