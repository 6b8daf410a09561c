//! Imports from MLflow servers: which servers, and what of them is here under which id of ours.

use domain::{Actor, ImportKind, ImportSourceId, Timestamp};
use uuid::Uuid;

use crate::{Change, Database, Error, Result};

/// A server that was imported from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its id.
    pub id: ImportSourceId,
    /// Where it answers.
    pub url: String,
    /// Who named it first, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct SourceRow {
    id: Uuid,
    url: String,
    created_by: String,
    created_at: Timestamp,
}

impl From<SourceRow> for Source {
    fn from(SourceRow { id, url, created_by, created_at }: SourceRow) -> Self {
        Self { id: ImportSourceId(id), url, created_by, created_at }
    }
}

/// Something that was carried over, at least in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What the source calls it.
    pub theirs: String,
    /// Our id; of a stage or an alias what was taken over last.
    pub ours: String,
    /// When the source made it, in milliseconds since 1970.
    pub born: Option<i64>,
    /// The keys of the tags that were taken over.
    pub tags: Vec<String>,
    /// What the source said when all of it had been carried; absent while parts are missing.
    pub mark: Option<String>,
}

/// The source of that id.
///
/// # Errors
/// The database is away.
pub async fn source(database: &Database, id: ImportSourceId) -> Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        "SELECT id, url, created_by, created_at FROM import_sources WHERE id = $1",
        id.0
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(Source::from))
}

/// The source at that address.
///
/// # Errors
/// The database is away.
pub async fn by_url(database: &Database, url: &str) -> Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        "SELECT id, url, created_by, created_at FROM import_sources WHERE url = $1",
        url
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(Source::from))
}

/// Remembers a source. `false` if it is known already.
///
/// # Errors
/// The database is away.
pub async fn insert_source(change: &mut Change, url: &str, by: &Actor) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "INSERT INTO import_sources (id, url, created_by, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (url) DO NOTHING",
        ImportSourceId::new().0,
        url,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whoever else imports from this source waits until the change ends. Absent if there is no such source.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: ImportSourceId) -> Result<Option<Source>> {
    let row = sqlx::query_as!(
        SourceRow,
        "SELECT id, url, created_by, created_at FROM import_sources WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(Source::from))
}

/// What is known of these.
///
/// # Errors
/// The database is away.
pub async fn find(
    database: &Database,
    source: ImportSourceId,
    kind: ImportKind,
    theirs: &[String],
) -> Result<Vec<Imported>> {
    let rows = sqlx::query_as!(
        Imported,
        "SELECT theirs, ours, born, tags, mark FROM imported
         WHERE source_id = $1 AND kind = $2 AND theirs = ANY($3) ORDER BY theirs",
        source.0,
        kind.as_str(),
        theirs
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows)
}

/// What is known of those that begin so.
///
/// # Errors
/// The database is away.
pub async fn beginning(
    database: &Database,
    source: ImportSourceId,
    kind: ImportKind,
    with: &str,
) -> Result<Vec<Imported>> {
    let rows = sqlx::query_as!(
        Imported,
        "SELECT theirs, ours, born, tags, mark FROM imported
         WHERE source_id = $1 AND kind = $2 AND starts_with(theirs, $3) ORDER BY theirs",
        source.0,
        kind.as_str(),
        with
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows)
}

/// What is known of one, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn get(
    change: &mut Change,
    source: ImportSourceId,
    kind: ImportKind,
    theirs: &str,
) -> Result<Option<Imported>> {
    let row = sqlx::query_as!(
        Imported,
        "SELECT theirs, ours, born, tags, mark FROM imported
         WHERE source_id = $1 AND kind = $2 AND theirs = $3",
        source.0,
        kind.as_str(),
        theirs
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row)
}

/// From where something of ours was imported, if it was.
///
/// # Errors
/// The database is away.
pub async fn origin(change: &mut Change, kind: ImportKind, ours: &str) -> Result<Option<String>> {
    let url = sqlx::query_scalar!(
        "SELECT url FROM imported JOIN import_sources ON import_sources.id = source_id
         WHERE kind = $1 AND ours = $2 ORDER BY imported.updated_at DESC LIMIT 1",
        kind.as_str(),
        ours
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(url)
}

/// Remembers that something is here, in part at least: what its mark was holds no more.
///
/// # Errors
/// The database is away.
pub async fn put(
    change: &mut Change,
    source: ImportSourceId,
    kind: ImportKind,
    item: &Imported,
) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO imported (source_id, kind, theirs, ours, born, tags, mark, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (source_id, kind, theirs) DO UPDATE
         SET ours = excluded.ours, born = excluded.born, tags = excluded.tags, mark = excluded.mark,
             updated_at = excluded.updated_at",
        source.0,
        kind.as_str(),
        item.theirs,
        item.ours,
        item.born,
        &item.tags,
        item.mark,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Remembers where a pointer was put last: bookkeeping, the move itself is the change.
///
/// # Errors
/// The database is away.
pub async fn point(
    database: &Database,
    source: ImportSourceId,
    kind: ImportKind,
    theirs: &str,
    ours: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO imported (source_id, kind, theirs, ours, updated_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (source_id, kind, theirs) DO UPDATE
         SET ours = excluded.ours, updated_at = excluded.updated_at",
        source.0,
        kind.as_str(),
        theirs,
        ours,
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Forgets where a pointer was put: bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn forget(
    database: &Database,
    source: ImportSourceId,
    kind: ImportKind,
    theirs: &str,
) -> Result<()> {
    sqlx::query!(
        "DELETE FROM imported WHERE source_id = $1 AND kind = $2 AND theirs = $3",
        source.0,
        kind.as_str(),
        theirs
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Forgets the versions, stages and aliases of a model that is not here any more.
///
/// # Errors
/// The database is away.
pub async fn forget_model(change: &mut Change, source: ImportSourceId, model: &str) -> Result<()> {
    sqlx::query!(
        "DELETE FROM imported
         WHERE source_id = $1
           AND (kind IN ('version', 'stage') AND starts_with(theirs, $2 || '/')
                OR kind = 'alias' AND starts_with(theirs, $2 || '@')
                   AND position('@' IN substr(theirs, char_length($2) + 2)) = 0)",
        source.0,
        model
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Notes that all of these is carried, each with what the source said of it: bookkeeping. Answers
/// how many of them are known.
///
/// # Errors
/// The database is away.
pub async fn mark(
    database: &Database,
    source: ImportSourceId,
    kind: ImportKind,
    marks: &[(String, String)],
) -> Result<u64> {
    let (theirs, marks): (Vec<String>, Vec<String>) = marks.iter().cloned().unzip();
    let done = sqlx::query!(
        "UPDATE imported SET mark = given.mark, updated_at = $5
         FROM unnest($3::text[], $4::text[]) AS given (theirs, mark)
         WHERE source_id = $1 AND kind = $2 AND imported.theirs = given.theirs",
        source.0,
        kind.as_str(),
        &theirs,
        &marks,
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

/// Stamps what was made in this change with the instants that the source tells of it.
///
/// # Errors
/// The database is away.
pub async fn stamp(
    change: &mut Change,
    what: Stamped,
    created_at: Timestamp,
    updated_at: Timestamp,
) -> Result<()> {
    let done = match what {
        Stamped::Experiment(id) => {
            sqlx::query!(
                "UPDATE experiments SET created_at = $2, updated_at = $3 WHERE id = $1",
                id,
                created_at,
                updated_at
            )
            .execute(change.connection())
            .await?
        }
        Stamped::LoggedModel(id) => {
            sqlx::query!(
                "UPDATE logged_models SET created_at = $2, updated_at = $3 WHERE id = $1",
                id,
                created_at,
                updated_at
            )
            .execute(change.connection())
            .await?
        }
        Stamped::Model(id) => {
            sqlx::query!(
                "UPDATE models SET created_at = $2, updated_at = $3 WHERE id = $1",
                id,
                created_at,
                updated_at
            )
            .execute(change.connection())
            .await?
        }
        Stamped::Version(id) => {
            sqlx::query!(
                "UPDATE model_versions SET created_at = $2, updated_at = $3 WHERE id = $1",
                id,
                created_at,
                updated_at
            )
            .execute(change.connection())
            .await?
        }
    };
    crate::models::one("imported", done.rows_affected())
}

/// What can be stamped, by id.
#[derive(Debug, Clone, Copy)]
pub enum Stamped {
    /// An experiment.
    Experiment(i64),
    /// A logged model.
    LoggedModel(Uuid),
    /// A model.
    Model(Uuid),
    /// A version.
    Version(Uuid),
}

/// Gives a version that was made in this change the number that it has at the source. `last_version`
/// is the model's from before.
///
/// # Errors
/// The number is taken (conflict); the database is away.
pub async fn renumber(
    change: &mut Change,
    model: domain::ModelId,
    version: domain::VersionId,
    number: i32,
    last_version: i32,
) -> Result<()> {
    sqlx::query!("UPDATE model_versions SET number = $2 WHERE id = $1", version.0, number)
        .execute(change.connection())
        .await
        .map_err(|error| {
            if crate::error::breaks(&error, "model_versions_model_id_number_key") {
                let message = format!("it has a version {number} already, perhaps a deleted one");
                return domain::Problem::conflict(message).at("version").into();
            }
            Error::from(error)
        })?;
    sqlx::query!(
        "UPDATE models SET last_version = greatest($2::integer, $3::integer) WHERE id = $1",
        model.0,
        number,
        last_version
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
