//! Making, judging, changing and deleting versions.

use domain::pickle::{Findings, suspects};
use domain::python::Native;
use domain::quota::Key;
use domain::{
    Actor, Batching, Manifest, ModelId, Problem, Runtime, Servable, VersionId, VersionStatus,
    serving::Isolation,
};
use serde_json::Value;

use super::{NewVersion, Version, lock, size};
use crate::{
    Change, Error, Result,
    error::breaks,
    models::{Tags, one},
};

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
    let mlmodel = new.packaging.mlmodel.as_ref().map(to_json).transpose()?;
    let python = new.packaging.python.as_ref().map(to_json).transpose()?;
    let signature = new.signature.as_ref().map(to_json).transpose()?;
    sqlx::query!(
        "INSERT INTO model_versions
             (id, model_id, number, digest, size, status, servable, runtime, reason, model_file, facts, signature,
              input_example, description, run_id, dataset_digest, git_commit, source_url, created_by, created_at, updated_at,
              source, is_external, logged_model_id, run_link, flavors, loader_module, mlmodel, notes, python)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20,
                 $21, $22, $23, $24, $25, $26, $27, $28, $29)",
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
        now,
        new.origin.source,
        new.origin.is_external,
        new.origin.logged_model_id.map(|id| id.0),
        new.origin.run_link,
        new.packaging.flavors,
        new.packaging.loader_module,
        mlmodel,
        &new.packaging.notes,
        python
    )
    .execute(change.connection())
    .await?;
    change.charge(Key::Versions, id.0);
    if new.manifest.size() > 0 {
        change.charge(Key::ArtifactBytes, id.0);
    }
    insert_files(change, id, &new.manifest).await?;
    insert_tags(change, id, &new.tags).await?;
    let onnx = new.model_file.as_deref().filter(|_| new.runtime == Runtime::Onnx);
    if new.not_servable.is_none() || suspects(&new.manifest, onnx).next().is_some() {
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

/// Replaces what may change of a version but its stage: description and all tags.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn update(
    change: &mut Change,
    id: VersionId,
    description: &str,
    tags: &Tags,
) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE model_versions SET description = $2, updated_at = $3 WHERE id = $1",
        id.0,
        description,
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

/// Sets how requests for a version share runs.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_batching(change: &mut Change, id: VersionId, batching: &Batching) -> Result<()> {
    let micros = i32::try_from(batching.wait.as_micros()).unwrap_or(i32::MAX);
    let done = sqlx::query!(
        "UPDATE model_versions SET max_batch = $2, batch_wait_micros = $3, updated_at = $4 WHERE id = $1",
        id.0,
        batching.max_batch.map(|rows| i32::from(rows.get().cast_signed())),
        micros,
        change.now()
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())
}

/// Sets where a version runs; absent: as its node says.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_isolation(
    change: &mut Change,
    id: VersionId,
    isolation: Option<Isolation>,
) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE model_versions SET isolation = $2, updated_at = $3 WHERE id = $1",
        id.0,
        isolation.map(Isolation::as_str),
        change.now()
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())
}

/// Sets who lets a version's own code run, and why; absent: nobody.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_trust(
    change: &mut Change,
    id: VersionId,
    trust: Option<(&Actor, &str)>,
) -> Result<()> {
    let now = change.now();
    let (by, reason) = trust.map(|(by, reason)| (by.to_string(), reason)).unzip();
    let done = sqlx::query!(
        "UPDATE model_versions SET trusted_by = $2, trusted_at = $3, trust_reason = $4, updated_at = $5 WHERE id = $1",
        id.0,
        by,
        trust.map(|_| now),
        reason,
        now
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())
}

/// Sets one tag of a version.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_tag(change: &mut Change, id: VersionId, key: &str, value: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO version_tags (version_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
        id.0,
        key,
        value
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes one tag of a version. `false` if there is none.
///
/// # Errors
/// The database is away.
pub async fn delete_tag(change: &mut Change, id: VersionId, key: &str) -> Result<bool> {
    let done =
        sqlx::query!("DELETE FROM version_tags WHERE version_id = $1 AND key = $2", id.0, key)
            .execute(change.connection())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// What a trial found.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialOutcome {
    /// It can serve.
    Ready {
        /// Whether rows of several requests may be run together.
        batchable: bool,
    },
    /// Nothing is wrong with its bytes, but nothing here can run it.
    Unservable {
        /// Why, in words.
        reason: String,
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
        TrialOutcome::Unservable { reason } => {
            (VersionStatus::Ready, Servable::No, Some(reason.as_str()), false)
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

/// Writes down what the version's pickles would do.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_findings(change: &mut Change, id: VersionId, findings: &Findings) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE model_versions SET findings = $2, updated_at = $3 WHERE id = $1",
        id.0,
        to_json(findings)?,
        change.now()
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())
}

/// Writes down whether nodes run the version's trees by themselves.
///
/// # Errors
/// The version is gone; the database is away.
pub async fn set_native(change: &mut Change, id: VersionId, native: &Native) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE model_versions SET native = $2, updated_at = $3 WHERE id = $1",
        id.0,
        to_json(native)?,
        change.now()
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())
}

/// Notes that the model of a version changed with it.
pub(crate) async fn touch_model(change: &mut Change, id: VersionId) -> Result<()> {
    let now = change.now();
    sqlx::query!("UPDATE models SET updated_at = $2 FROM model_versions v WHERE v.id = $1 AND models.id = v.model_id", id.0, now)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Deletes a version that nothing needs, until it is restored or purged. Its number is not given
/// again.
///
/// # Errors
/// It is gone; the database is away.
pub async fn delete(change: &mut Change, id: VersionId) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE model_versions SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    one("model_versions", done.rows_affected())?;
    touch_model(change, id).await?;
    sqlx::query!("DELETE FROM trials WHERE version_id = $1", id.0)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Restores a deleted version of a model that the change has locked. `None` if it is not deleted,
/// or purged.
///
/// # Errors
/// The database is away.
pub async fn restore(change: &mut Change, model: ModelId, number: i32) -> Result<Option<Version>> {
    let now = change.now();
    let restored = sqlx::query!(
        "UPDATE model_versions SET deleted_at = NULL, updated_at = $3
         WHERE model_id = $1 AND number = $2 AND deleted_at IS NOT NULL
         RETURNING id, status",
        model.0,
        number,
        now
    )
    .fetch_optional(change.connection())
    .await?;
    let Some(row) = restored else { return Ok(None) };
    if row.status == VersionStatus::Pending.as_str() {
        sqlx::query!("INSERT INTO trials (version_id, queued_at) VALUES ($1, $2)", row.id, now)
            .execute(change.connection())
            .await?;
    }
    lock(change, VersionId(row.id)).await
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|_| Error::inconsistent("model_versions", "facts", "a new row"))
}
