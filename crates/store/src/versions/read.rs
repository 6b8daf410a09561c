//! Reading versions.

use domain::{
    AliasName, Cursor, Digest, FileEntry, Limit, Manifest, ModelId, ModelName, Page, Timestamp,
    VersionId,
};
use serde_json::Value;

use super::{Lineage, Version};
use crate::{Change, Database, Error, Result, audit::digest, models::tags};

struct Row {
    id: uuid::Uuid,
    model_id: uuid::Uuid,
    model: String,
    number: i32,
    digest: Vec<u8>,
    size: i64,
    status: String,
    servable: String,
    runtime: String,
    reason: Option<String>,
    model_file: Option<String>,
    facts: Option<Value>,
    signature: Option<Value>,
    input_example: Option<Value>,
    batchable: bool,
    stage: String,
    description: String,
    run_id: Option<String>,
    dataset_digest: Option<String>,
    git_commit: Option<String>,
    source_url: Option<String>,
    tags: Value,
    aliases: Vec<String>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Version {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        const TABLE: &str = "model_versions";
        let wrong = |column| move |_| Error::inconsistent(TABLE, column, row.id);
        let broken = |column| move |_| Error::inconsistent(TABLE, column, row.id);
        Ok(Self {
            id: VersionId(row.id),
            model_id: ModelId(row.model_id),
            model: row.model.parse().map_err(wrong("model"))?,
            number: row.number,
            digest: digest(TABLE, row.id, &row.digest)?,
            size: u64::try_from(row.size)
                .map_err(|_| Error::inconsistent(TABLE, "size", row.id))?,
            status: row.status.parse().map_err(wrong("status"))?,
            servable: row.servable.parse().map_err(wrong("servable"))?,
            runtime: row.runtime.parse().map_err(wrong("runtime"))?,
            reason: row.reason,
            model_file: row.model_file,
            facts: row.facts.map(serde_json::from_value).transpose().map_err(broken("facts"))?,
            signature: row
                .signature
                .map(serde_json::from_value)
                .transpose()
                .map_err(broken("signature"))?,
            input_example: row.input_example,
            batchable: row.batchable,
            stage: row.stage.parse().map_err(wrong("stage"))?,
            description: row.description,
            lineage: Lineage {
                run_id: row.run_id,
                dataset_digest: row.dataset_digest,
                git_commit: row.git_commit,
                source_url: row.source_url,
            },
            tags: tags("version_tags", row.id, row.tags)?,
            aliases: row.aliases,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// `select_version!("WHERE …", arguments)`: every read of a version gathers the same columns.
macro_rules! select_version {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT v.id, v.model_id, m.name AS model, v.number, v.digest, v.size, v.status, v.servable, v.runtime,
                      v.reason, v.model_file, v.facts, v.signature, v.input_example, v.batchable, v.stage,
                      v.description, v.run_id, v.dataset_digest, v.git_commit, v.source_url, v.created_by,
                      v.created_at, v.updated_at,
                      (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM version_tags WHERE version_id = v.id) AS "tags!",
                      ARRAY(SELECT alias FROM aliases WHERE version_id = v.id ORDER BY alias) AS "aliases!"
               FROM model_versions v JOIN models m ON m.id = v.model_id "# + $rest
            $(, $argument)*
        )
    };
}

/// The version of that number.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, model: &ModelName, number: i32) -> Result<Option<Version>> {
    let row = select_version!("WHERE m.name = $1 AND v.number = $2", model.as_str(), number)
        .fetch_optional(database.pool())
        .await?;
    row.map(Version::try_from).transpose()
}

/// The version that an alias points to.
///
/// # Errors
/// The database is away.
pub async fn get_by_alias(
    database: &Database,
    model: &ModelName,
    alias: &AliasName,
) -> Result<Option<Version>> {
    let row = select_version!(
        "JOIN aliases a ON a.version_id = v.id WHERE m.name = $1 AND a.alias = $2",
        model.as_str(),
        alias.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Version::try_from).transpose()
}

/// The version of that id.
///
/// # Errors
/// The database is away.
pub async fn get_by_id(database: &Database, id: VersionId) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.id = $1", id.0).fetch_optional(database.pool()).await?;
    row.map(Version::try_from).transpose()
}

/// The version of that id, as the change sees it; locked until the change ends, but not against
/// rows that refer to it.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: VersionId) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.id = $1 FOR NO KEY UPDATE OF v", id.0)
        .fetch_optional(change.connection())
        .await?;
    row.map(Version::try_from).transpose()
}

/// The version of that number, as the change sees it; locked like [`lock`].
///
/// # Errors
/// The database is away.
pub async fn lock_by_number(
    change: &mut Change,
    model: ModelId,
    number: i32,
) -> Result<Option<Version>> {
    let row = select_version!(
        "WHERE v.model_id = $1 AND v.number = $2 FOR NO KEY UPDATE OF v",
        model.0,
        number
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Version::try_from).transpose()
}

/// The numbers of a model's newest versions, newest first, as the change sees them.
///
/// # Errors
/// The database is away.
pub async fn newest(change: &mut Change, model: ModelId, limit: i64) -> Result<Vec<i32>> {
    let rows = sqlx::query!(
        "SELECT number FROM model_versions WHERE model_id = $1 ORDER BY number DESC LIMIT $2",
        model.0,
        limit
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

/// The newest version with these very files, as the change sees it; a rejected one does not count
/// if another is there.
///
/// # Errors
/// The database is away.
pub async fn find_by_digest(
    change: &mut Change,
    model: ModelId,
    digest: &Digest,
) -> Result<Option<Version>> {
    let row = select_version!(
        "WHERE v.model_id = $1 AND v.digest = $2 ORDER BY (v.status = 'rejected'), v.number DESC LIMIT 1",
        model.0,
        digest.as_bytes().as_slice()
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Version::try_from).transpose()
}

/// Lists a model's versions, newest first.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn list(
    database: &Database,
    model: ModelId,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Version>> {
    let before = cursor.map(Cursor::key_as::<i32>).transpose()?;
    let rows = select_version!(
        "WHERE v.model_id = $1 AND ($2::integer IS NULL OR v.number < $2) ORDER BY v.number DESC LIMIT $3",
        model.0,
        before,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let versions = rows.into_iter().map(Version::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(versions, limit, |version| version.number.to_string()))
}

/// The files of a version.
///
/// # Errors
/// The version is gone (a tree without files is none); the database is away.
pub async fn manifest(database: &Database, id: VersionId) -> Result<Manifest> {
    let rows =
        sqlx::query!("SELECT path, digest, size FROM version_files WHERE version_id = $1", id.0)
            .fetch_all(database.pool())
            .await?;
    let files = rows
        .into_iter()
        .map(|row| {
            let path =
                row.path.parse().map_err(|_| Error::inconsistent("version_files", "path", id))?;
            let size = u64::try_from(row.size)
                .map_err(|_| Error::inconsistent("version_files", "size", id))?;
            Ok((path, FileEntry { digest: digest("version_files", id, &row.digest)?, size }))
        })
        .collect::<Result<Vec<_>>>()?;
    Manifest::new(files).map_err(|_| Error::inconsistent("version_files", "path", id))
}
