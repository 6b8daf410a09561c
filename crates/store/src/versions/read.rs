//! Reading versions.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    AliasName, Cursor, Digest, FileEntry, Limit, Manifest, ModelId, ModelName, Page, Stage,
    Timestamp, VersionId, pickle::Policy, tracking::LoggedModelId,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Lineage, Origin, Packaging, Trust, Version, batching, isolation};
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
    findings: Option<Value>,
    policy: Option<Value>,
    trusted_by: Option<String>,
    trusted_at: Option<Timestamp>,
    trust_reason: Option<String>,
    batchable: bool,
    native: Option<Value>,
    max_batch: Option<i32>,
    batch_wait_micros: i32,
    isolation: Option<String>,
    stage: String,
    description: String,
    run_id: Option<String>,
    dataset_digest: Option<String>,
    git_commit: Option<String>,
    source_url: Option<String>,
    source: Option<String>,
    is_external: bool,
    logged_model_id: Option<uuid::Uuid>,
    run_link: Option<String>,
    flavors: Option<Value>,
    loader_module: Option<String>,
    mlmodel: Option<Value>,
    python: Option<Value>,
    progress: Option<String>,
    notes: Vec<String>,
    tags: Value,
    aliases: Vec<String>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What a column holds as JSON.
fn read<T: DeserializeOwned>(
    id: uuid::Uuid,
    column: &'static str,
    value: Option<Value>,
) -> Result<Option<T>> {
    let read = value.map(serde_json::from_value).transpose();
    read.map_err(|_| Error::inconsistent("model_versions", column, id))
}

impl TryFrom<Row> for Version {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        const TABLE: &str = "model_versions";
        let wrong = |column| move |_| Error::inconsistent(TABLE, column, row.id);
        let policy = match row.policy {
            Some(policy) => serde_json::from_value(policy)
                .map_err(|_| Error::inconsistent("platform_settings", "value", "pickle"))?,
            None => Policy::default(),
        };
        let trust = row.trusted_by.zip(row.trusted_at).zip(row.trust_reason);
        let trust = trust.map(|((by, at), reason)| Box::new(Trust { by, at, reason }));
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
            reason: row.reason.or(row.progress),
            model_file: row.model_file,
            facts: read(row.id, "facts", row.facts)?,
            signature: read(row.id, "signature", row.signature)?,
            input_example: row.input_example,
            findings: read(row.id, "findings", row.findings)?,
            policy: if trust.is_some() { policy.for_trusted() } else { policy },
            trust,
            batchable: row.batchable,
            native: read(row.id, "native", row.native)?,
            batching: batching(row.id, row.max_batch, row.batch_wait_micros)?,
            isolation: isolation("model_versions", row.id, row.isolation.as_deref())?,
            stage: row.stage.parse().map_err(wrong("stage"))?,
            description: row.description,
            lineage: Lineage {
                run_id: row.run_id,
                dataset_digest: row.dataset_digest,
                git_commit: row.git_commit,
                source_url: row.source_url,
            },
            origin: Origin {
                source: row.source,
                is_external: row.is_external,
                logged_model_id: row.logged_model_id.map(LoggedModelId),
                run_link: row.run_link,
            },
            packaging: Packaging {
                flavors: row.flavors,
                loader_module: row.loader_module,
                mlmodel: read(row.id, "mlmodel", row.mlmodel)?,
                python: read(row.id, "python", row.python)?,
                notes: row.notes,
            },
            tags: tags("version_tags", row.id, row.tags)?,
            aliases: row.aliases,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// `select_version!("WHERE …", arguments)`: every read of a version gathers the same columns,
/// and finds those that are not deleted, of models that are not.
macro_rules! select_version {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        select_version!(deleted: " AND v.deleted_at IS NULL ", $rest $(, $argument)*)
    };
    (deleted: $deleted:literal, $rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT v.id, v.model_id, m.name AS model, v.number, v.digest, v.size, v.status, v.servable, v.runtime,
                      v.reason, v.model_file, v.facts, v.signature, v.input_example, v.batchable, v.native, v.max_batch, v.batch_wait_micros, v.isolation, v.stage,
                      v.description, v.run_id, v.dataset_digest, v.git_commit, v.source_url, v.source, v.is_external,
                      v.logged_model_id, v.run_link, v.flavors, v.loader_module, v.mlmodel, v.python, v.notes, v.findings, v.created_by,
                      v.trusted_by, v.trusted_at, v.trust_reason,
                      v.created_at, v.updated_at,
                      (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM version_tags WHERE version_id = v.id) AS "tags!",
                      (SELECT value FROM platform_settings WHERE key = 'pickle') AS policy,
                      (SELECT progress FROM trials WHERE version_id = v.id) AS progress,
                      ARRAY(SELECT alias FROM aliases WHERE version_id = v.id ORDER BY alias) AS "aliases!"
               FROM model_versions v
               JOIN models m ON m.id = v.model_id AND m.deleted_at IS NULL"# + $deleted + $rest
            $(, $argument)*
        )
    };
}

/// The versions of these ids, in this order; those that are absent or deleted are left out.
///
/// # Errors
/// The database is away.
pub async fn load(database: &Database, ids: &[VersionId]) -> Result<Vec<Version>> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = select_version!("WHERE v.id = ANY($1) ORDER BY array_position($1, v.id)", &ids)
        .fetch_all(database.pool())
        .await?;
    rows.into_iter().map(Version::try_from).collect()
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

/// The version of that number, also where it is deleted and not yet purged.
///
/// # Errors
/// The database is away.
pub async fn get_even_deleted(
    database: &Database,
    model: &ModelName,
    number: i32,
) -> Result<Option<Version>> {
    let row = select_version!(deleted: " ", "WHERE m.name = $1 AND v.number = $2", model.as_str(), number)
        .fetch_optional(database.pool())
        .await?;
    row.map(Version::try_from).transpose()
}

/// The versions that aliases point to, in this order; absent where there is no such model, or it has
/// no such alias.
///
/// # Errors
/// The database is away.
pub async fn get_by_aliases(
    database: &Database,
    asked: &[(ModelName, AliasName)],
) -> Result<Vec<Option<Arc<Version>>>> {
    let unique: BTreeSet<&(ModelName, AliasName)> = asked.iter().collect();
    let (models, aliases): (Vec<String>, Vec<String>) = unique
        .into_iter()
        .map(|(model, alias)| (model.as_str().to_owned(), alias.as_str().to_owned()))
        .unzip();
    // One look into the indexes for each, however many models there are.
    let rows = select_version!(
        r#"JOIN (SELECT DISTINCT a.version_id
                 FROM unnest($1::text[], $2::text[]) AS asked (model, alias),
                      LATERAL (SELECT version_id FROM models n JOIN aliases ON model_id = n.id
                               WHERE n.name COLLATE "C" = asked.model AND n.deleted_at IS NULL
                                 AND aliases.alias = asked.alias LIMIT 1) a) named
           ON named.version_id = v.id"#,
        &models,
        &aliases
    )
    .fetch_all(database.pool())
    .await?;
    let found = rows
        .into_iter()
        .map(|row| Version::try_from(row).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let of = |(model, alias): &(ModelName, AliasName)| {
        let is_it = |version: &&Arc<Version>| {
            version.model == *model && version.aliases.iter().any(|set| set == alias.as_str())
        };
        found.iter().find(is_it).cloned()
    };
    Ok(asked.iter().map(of).collect())
}

/// The version of that id.
///
/// # Errors
/// The database is away.
pub async fn get_by_id(database: &Database, id: VersionId) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.id = $1", id.0).fetch_optional(database.pool()).await?;
    row.map(Version::try_from).transpose()
}

/// The version of that id, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn find(change: &mut Change, id: VersionId) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.id = $1", id.0).fetch_optional(change.connection()).await?;
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

/// The version of that number, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn find_by_number(
    change: &mut Change,
    model: ModelId,
    number: i32,
) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.model_id = $1 AND v.number = $2", model.0, number)
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
        "SELECT number FROM model_versions WHERE model_id = $1 AND deleted_at IS NULL ORDER BY number DESC LIMIT $2",
        model.0,
        limit
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

/// The newest version in a stage.
///
/// # Errors
/// The database is away.
pub async fn get_by_stage(
    database: &Database,
    model: &ModelName,
    stage: &Stage,
) -> Result<Option<Version>> {
    let row = select_version!(
        "WHERE m.name = $1 AND v.stage = $2 ORDER BY v.number DESC LIMIT 1",
        model.as_str(),
        stage.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Version::try_from).transpose()
}

/// The newest version in a stage of a model that the change has locked; locked like [`lock`].
///
/// # Errors
/// The database is away.
pub async fn lock_newest_in_stage(
    change: &mut Change,
    model: ModelId,
    stage: &Stage,
) -> Result<Option<Version>> {
    let row = select_version!(
        "WHERE v.model_id = $1 AND v.stage = $2 ORDER BY v.number DESC LIMIT 1 FOR NO KEY UPDATE OF v",
        model.0,
        stage.as_str()
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Version::try_from).transpose()
}

/// All versions in a stage of a model that the change has locked, oldest first; locked like [`lock`].
///
/// # Errors
/// The database is away.
pub async fn in_stage(change: &mut Change, model: ModelId, stage: &Stage) -> Result<Vec<Version>> {
    let rows = select_version!(
        "WHERE v.model_id = $1 AND v.stage = $2 ORDER BY v.number FOR NO KEY UPDATE OF v",
        model.0,
        stage.as_str()
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter().map(Version::try_from).collect()
}

/// The newest version in each stage, of each of these models: by model, then by number.
///
/// # Errors
/// The database is away.
pub async fn newest_in_stages(database: &Database, models: &[ModelId]) -> Result<Vec<Version>> {
    let ids: Vec<uuid::Uuid> = models.iter().map(|model| model.0).collect();
    let rows = select_version!(
        "WHERE v.id IN (SELECT DISTINCT ON (model_id, stage) id FROM model_versions
                        WHERE model_id = ANY($1) AND deleted_at IS NULL
                        ORDER BY model_id, stage, number DESC)
         ORDER BY v.model_id, v.number",
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter().map(Version::try_from).collect()
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

/// The files of a version: none where they are elsewhere.
///
/// # Errors
/// The database is away.
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
    if files.is_empty() {
        return Ok(Manifest::empty());
    }
    Manifest::new(files).map_err(|_| Error::inconsistent("version_files", "path", id))
}

/// A deleted version that can be restored.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// Its number in the model.
    pub number: i32,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of all its files.
    pub size: u64,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// Lists the versions of a model that are deleted and not yet purged, the last one first.
///
/// # Errors
/// The database is away.
pub async fn deleted(database: &Database, model: ModelId, limit: Limit) -> Result<Vec<Deleted>> {
    let rows = sqlx::query!(
        r#"SELECT id, number, digest, size, deleted_at AS "deleted_at!" FROM model_versions
           WHERE model_id = $1 AND deleted_at IS NOT NULL
           ORDER BY deleted_at DESC, number DESC LIMIT $2"#,
        model.0,
        limit.get()
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Deleted {
                number: row.number,
                digest: digest("model_versions", row.id, &row.digest)?,
                size: row.size.unsigned_abs(),
                deleted_at: row.deleted_at,
            })
        })
        .collect()
}
