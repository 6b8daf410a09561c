//! Model versions: immutable file trees, and what is known of them.

use domain::{
    Actor, AliasName, Cursor, Digest, FileEntry, Limit, Manifest, ModelId, ModelName, Page,
    Problem, Runtime, Servable, Signature, Stage, Timestamp, VersionId, VersionStatus,
    onnx::OnnxFacts,
};
use serde_json::{Value, json};

use crate::{
    Change, Database, Error, Result,
    audit::digest,
    error::breaks,
    models::{Tags, one, tags},
};

/// Where a version comes from, as its author tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The run that trained it.
    pub run_id: Option<String>,
    /// The digest of what it was trained on.
    pub dataset_digest: Option<String>,
    /// The commit of the training code.
    pub git_commit: Option<String>,
    /// Anywhere else.
    pub source_url: Option<String>,
}

/// A version of a model.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id.
    pub id: VersionId,
    /// Its model.
    pub model_id: ModelId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number in the model, from 1.
    pub number: i32,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of all its files.
    pub size: u64,
    /// What is known of its bytes and its trial.
    pub status: VersionStatus,
    /// Whether an endpoint may serve it.
    pub servable: Servable,
    /// What runs it.
    pub runtime: Runtime,
    /// Why it is not servable.
    pub reason: Option<String>,
    /// The file that the runtime loads.
    pub model_file: Option<String>,
    /// What an ONNX file says of itself.
    pub facts: Option<OnnxFacts>,
    /// What goes in and comes out.
    pub signature: Option<Signature>,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// Whether rows of several requests may be run together, as the trial found.
    pub batchable: bool,
    /// MLflow's stage.
    pub stage: Stage,
    /// What is special about it.
    pub description: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Its tags.
    pub tags: Tags,
    /// The aliases that point to it now.
    pub aliases: Vec<String>,
    /// Who registered it.
    pub created_by: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When what is known of it last changed.
    pub updated_at: Timestamp,
}

impl Version {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "model": self.model, "version": self.number, "digest": self.digest, "status": self.status,
            "servable": self.servable, "stage": self.stage, "description": self.description, "tags": self.tags,
        })
    }
}

/// What a new version is made of.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// Its files; their blobs are there.
    pub manifest: Manifest,
    /// What runs it.
    pub runtime: Runtime,
    /// The file that the runtime loads.
    pub model_file: Option<String>,
    /// What an ONNX file says of itself.
    pub facts: Option<OnnxFacts>,
    /// What goes in and comes out.
    pub signature: Option<Signature>,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// Why no trial is needed to know that it is not servable; absent where there is a trial.
    pub not_servable: Option<String>,
    /// What is special about it.
    pub description: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Its tags.
    pub tags: Tags,
}

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

/// The version of that id, as the change sees it; locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: VersionId) -> Result<Option<Version>> {
    let row = select_version!("WHERE v.id = $1 FOR UPDATE OF v", id.0)
        .fetch_optional(change.connection())
        .await?;
    row.map(Version::try_from).transpose()
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
    let before = cursor.map(|cursor| cursor.key().parse::<i32>()).transpose().map_err(|_| {
        Error::Refused(Problem::invalid("cursor", "the cursor is not of this list"))
    })?;
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

/// Makes the next version of a model that the change has locked, and queues its trial if it needs one.
///
/// # Errors
/// A file's blob is not there (invalid, with its path); the database is away.
pub async fn insert(
    change: &mut Change,
    model: ModelId,
    new: &NewVersion,
    by: &Actor,
) -> Result<Version> {
    let (id, now) = (VersionId::new(), change.now());
    let number = sqlx::query!(
        "UPDATE models SET last_version = last_version + 1, updated_at = $2 WHERE id = $1 RETURNING last_version",
        model.0,
        now
    )
    .fetch_one(change.connection())
    .await?
    .last_version;
    let (status, servable) = match new.not_servable {
        Some(_) => (VersionStatus::Ready, Servable::No),
        None => (VersionStatus::Pending, Servable::Checking),
    };
    let digest = new.manifest.digest();
    let facts = new.facts.as_ref().map(to_json).transpose()?;
    let signature = new.signature.as_ref().map(to_json).transpose()?;
    sqlx::query!(
        "INSERT INTO model_versions
             (id, model_id, number, digest, size, status, servable, runtime, reason, model_file, facts, signature,
              input_example, description, run_id, dataset_digest, git_commit, source_url, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)",
        id.0,
        model.0,
        number,
        digest.as_bytes().as_slice(),
        size(new.manifest.size())?,
        status.as_str(),
        servable.as_str(),
        new.runtime.as_str(),
        new.not_servable,
        new.model_file,
        facts,
        signature,
        new.input_example,
        new.description,
        new.lineage.run_id,
        new.lineage.dataset_digest,
        new.lineage.git_commit,
        new.lineage.source_url,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    insert_files(change, id, &new.manifest).await?;
    insert_tags(change, id, &new.tags).await?;
    if new.not_servable.is_none() {
        sqlx::query!("INSERT INTO trials (version_id, queued_at) VALUES ($1, $2)", id.0, now)
            .execute(change.connection())
            .await?;
    }
    lock(change, id).await?.ok_or(Error::Affected { table: "model_versions", affected: 0 })
}

async fn insert_files(change: &mut Change, id: VersionId, manifest: &Manifest) -> Result<()> {
    let mut paths = Vec::new();
    let mut digests = Vec::new();
    let mut sizes = Vec::new();
    for (path, entry) in manifest.files() {
        paths.push(path.to_string());
        digests.push(entry.digest.as_bytes().to_vec());
        sizes.push(size(entry.size)?);
    }
    sqlx::query!(
        "INSERT INTO version_files (version_id, path, digest, size)
         SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::bigint[])",
        id.0,
        &paths,
        &digests,
        &sizes
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "version_files_digest_fkey") {
            // Between the caller's look and this row, collection took a blob.
            Error::Refused(
                Problem::invalid("files", "a file's bytes are not here any more")
                    .hint("upload the files again"),
            )
        } else {
            error.into()
        }
    })?;
    Ok(())
}

async fn insert_tags(change: &mut Change, id: VersionId, tags: &Tags) -> Result<()> {
    let (keys, values): (Vec<String>, Vec<String>) = tags.clone().into_iter().unzip();
    sqlx::query!(
        "INSERT INTO version_tags (version_id, key, value) SELECT $1, * FROM unnest($2::text[], $3::text[])",
        id.0,
        &keys,
        &values
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Replaces what may change of a version: description, stage and all tags.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn update(
    change: &mut Change,
    id: VersionId,
    description: &str,
    stage: Stage,
    tags: &Tags,
) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE model_versions SET description = $2, stage = $3, updated_at = $4 WHERE id = $1",
        id.0,
        description,
        stage.as_str(),
        now
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())?;
    sqlx::query!("DELETE FROM version_tags WHERE version_id = $1", id.0)
        .execute(change.connection())
        .await?;
    insert_tags(change, id, tags).await
}

/// What a trial found.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialOutcome {
    /// It can serve.
    Ready {
        /// Whether rows of several requests may be run together.
        batchable: bool,
    },
    /// It cannot.
    Rejected {
        /// Why, in words.
        reason: String,
    },
}

/// Writes down what a trial found and takes the version off the queue. `false` if somebody else
/// did so before.
///
/// # Errors
/// The database is away.
pub async fn finish_trial(
    change: &mut Change,
    id: VersionId,
    outcome: &TrialOutcome,
) -> Result<bool> {
    let (status, servable, reason, batchable) = match outcome {
        TrialOutcome::Ready { batchable } => {
            (VersionStatus::Ready, Servable::Yes, None, *batchable)
        }
        TrialOutcome::Rejected { reason } => {
            (VersionStatus::Rejected, Servable::No, Some(reason.as_str()), false)
        }
    };
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE model_versions SET status = $2, servable = $3, reason = $4, batchable = $5, updated_at = $6
         WHERE id = $1 AND status = 'pending'",
        id.0,
        status.as_str(),
        servable.as_str(),
        reason,
        batchable,
        now
    )
    .execute(change.connection())
    .await?;
    sqlx::query!("DELETE FROM trials WHERE version_id = $1", id.0)
        .execute(change.connection())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// What needs a version: aliases as `alias champion`, endpoints as `endpoint fraud`, past releases
/// included. At most 20.
///
/// # Errors
/// The database is away.
pub async fn dependents(change: &mut Change, id: VersionId) -> Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"SELECT 'alias ' || alias AS "what!" FROM aliases WHERE version_id = $1
           UNION
           SELECT 'endpoint ' || CASE env WHEN 'production' THEN name ELSE name || '.' || env END
           FROM endpoints
           WHERE pinned_version = $1
              OR EXISTS (SELECT FROM release_versions WHERE endpoint_id = endpoints.id AND version_id = $1)
           ORDER BY 1
           LIMIT 20"#,
        id.0
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| row.what).collect())
}

/// Deletes a version that nothing needs. Its number is not given again.
///
/// # Errors
/// Something still needs it (see [`dependents`]); the database is away.
pub async fn delete(change: &mut Change, id: VersionId) -> Result<()> {
    let done = sqlx::query!("DELETE FROM model_versions WHERE id = $1", id.0)
        .execute(change.connection())
        .await?;
    one("model_versions", done.rows_affected())
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|_| Error::inconsistent("model_versions", "facts", "a new row"))
}

/// A size as Postgres keeps it.
pub(crate) fn size(bytes: u64) -> Result<i64> {
    i64::try_from(bytes)
        .map_err(|_| Error::Refused(Problem::invalid("files", "the files are larger than 8 EiB")))
}
