//! Uploads whose parts clients send straight to S3, and the file that each becomes.
//!
//! Until its bytes are a blob, an upload also has a lease in [`crate::blobs`], under the same id:
//! what a forgotten one left on S3 is deleted as that of any other.

use chrono::TimeDelta;
use domain::{BlobKey, FileEntry, FilePath, UploadId, tracking::ExperimentId};

use crate::{Database, Error, Result, blobs, tracking::files};

/// What somebody finds who wants to put the parts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No such upload to that path.
    Absent,
    /// Somebody else is at it.
    Busy,
    /// The file is there.
    Done,
    /// It is theirs to complete.
    Ours(Parts),
}

/// Parts to be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The key of the object that they become.
    pub key: BlobKey,
    /// S3's id of the upload.
    pub multipart_id: String,
    /// How many there are.
    pub parts: u16,
}

/// Notes what an upload, begun with [`blobs::begin_upload`], is to become.
///
/// # Errors
/// The database is away.
pub async fn begin(
    database: &Database,
    upload: UploadId,
    path: &FilePath,
    parts: u16,
    expires: TimeDelta,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO direct_uploads (id, path, parts, expires_at) VALUES ($1, $2, $3, $4)",
        upload.0,
        path.as_str(),
        i32::from(parts),
        database.now() + expires
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Claims an upload to that path for a while, to complete it.
///
/// # Errors
/// The database is away.
pub async fn claim(
    database: &Database,
    upload: UploadId,
    path: &FilePath,
    lease: TimeDelta,
) -> Result<Claim> {
    let now = database.now();
    let row = sqlx::query!(
        "UPDATE direct_uploads d SET completing_until = $4 FROM uploads u
         WHERE d.id = $1 AND d.path = $2 AND d.completed_at IS NULL
           AND (d.completing_until IS NULL OR d.completing_until < $3) AND u.id = d.id
         RETURNING u.key, u.multipart_id, d.parts",
        upload.0,
        path.as_str(),
        now,
        now + lease
    )
    .fetch_optional(database.pool())
    .await?;
    if let Some(row) = row {
        let parts = u16::try_from(row.parts)
            .map_err(|_| Error::inconsistent("direct_uploads", "parts", upload))?;
        return Ok(match row.multipart_id {
            Some(multipart_id) => Claim::Ours(Parts { key: BlobKey(row.key), multipart_id, parts }),
            // Whoever began it died before S3 had given it an id.
            None => Claim::Absent,
        });
    }
    let row = sqlx::query!(
        r#"SELECT completed_at IS NOT NULL AS "done!",
                  EXISTS (SELECT FROM uploads u WHERE u.id = d.id) AS "open!"
           FROM direct_uploads d WHERE id = $1 AND path = $2"#,
        upload.0,
        path.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(match row {
        Some(row) if row.done => Claim::Done,
        Some(row) if row.open => Claim::Busy,
        Some(_) | None => Claim::Absent,
    })
}

/// Keeps a claim, and with it the upload. `false` if the upload was given up.
///
/// # Errors
/// The database is away.
pub async fn renew(database: &Database, upload: UploadId, lease: TimeDelta) -> Result<bool> {
    let done = sqlx::query!(
        "WITH claim AS (UPDATE direct_uploads SET completing_until = $2 WHERE id = $1)
         UPDATE uploads SET leased_until = greatest(leased_until, $2) WHERE id = $1",
        upload.0,
        database.now() + lease
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a claim back: the next one may try.
///
/// # Errors
/// The database is away.
pub async fn release(database: &Database, upload: UploadId) -> Result<()> {
    sqlx::query!("UPDATE direct_uploads SET completing_until = NULL WHERE id = $1", upload.0)
        .execute(database.pool())
        .await?;
    Ok(())
}

/// Makes a blob of an upload's object and puts the file at its path, both or neither. `false` if
/// the upload is not there any more.
///
/// # Errors
/// As [`files::put`].
pub async fn finish(
    database: &Database,
    upload: UploadId,
    experiment: ExperimentId,
    path: &FilePath,
    entry: &FileEntry,
) -> Result<bool> {
    let now = database.now();
    let mut tx = database.pool().begin().await?;
    if blobs::finish_within(&mut tx, now, upload, &entry.digest, entry.size).await?.is_none() {
        return Ok(false);
    }
    files::put_within(&mut tx, now, experiment, path, entry).await?;
    sqlx::query!("UPDATE direct_uploads SET completed_at = $2 WHERE id = $1", upload.0, now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Gives an upload to that path up: its parts are doomed. `false` if there is none in progress.
///
/// # Errors
/// The database is away.
pub async fn abandon(database: &Database, upload: UploadId, path: &FilePath) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM direct_uploads WHERE id = $1 AND path = $2 AND completed_at IS NULL",
        upload.0,
        path.as_str()
    )
    .execute(database.pool())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    blobs::abandon_upload(database, upload).await?;
    Ok(true)
}

/// Forgets uploads that nobody will ask for any more. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn expire(database: &Database) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM direct_uploads WHERE expires_at < $1", database.now())
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected())
}
