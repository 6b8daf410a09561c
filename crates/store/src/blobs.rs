//! Blobs and uploads: which bytes are here, under which key. The bytes are in `artifacts`.
//!
//! All of it is bookkeeping: what is governed are the versions that name blobs.

use chrono::TimeDelta;
use domain::{Actor, BlobKey, Digest, Timestamp, UploadId};
use sqlx::PgConnection;

use crate::{Database, Error, Result, audit::digest, versions::size};

/// Where a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its key.
    pub key: BlobKey,
    /// How many bytes.
    pub size: u64,
    /// Whether its bytes were found changed.
    pub corrupt: bool,
}

/// An object to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Its key.
    pub key: BlobKey,
    /// How many bytes; 0 where its upload did not end.
    pub size: u64,
    /// The id of its upload in parts, if it was one that did not end.
    pub multipart_id: Option<String>,
}

/// Some blobs or objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heap {
    /// How many.
    pub count: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

impl Heap {
    /// What Postgres counted and summed.
    pub(crate) const fn of(count: i64, bytes: i64) -> Self {
        Self { count: count.unsigned_abs(), bytes: bytes.unsigned_abs() }
    }
}

/// Where a blob lies, if it is here.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, digest: &Digest) -> Result<Option<Blob>> {
    let row = sqlx::query!(
        "SELECT key, size, corrupt_at FROM blobs WHERE digest = $1",
        digest.as_bytes().as_slice()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| {
        let size =
            u64::try_from(row.size).map_err(|_| Error::inconsistent("blobs", "size", digest))?;
        Ok(Blob { key: BlobKey(row.key), size, corrupt: row.corrupt_at.is_some() })
    })
    .transpose()
}

/// Which of these blobs are here and whole, with their sizes; they are kept from collection for a
/// while, since the caller is about to name them.
///
/// # Errors
/// The database is away.
pub async fn touch(database: &Database, digests: &[Digest]) -> Result<Vec<(Digest, u64)>> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.as_bytes().to_vec()).collect();
    let rows = sqlx::query!(
        "UPDATE blobs SET touched_at = $2 WHERE digest = ANY($1) AND corrupt_at IS NULL RETURNING digest, size",
        &digests,
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let digest = digest("blobs", "a row", &row.digest)?;
            let size = u64::try_from(row.size)
                .map_err(|_| Error::inconsistent("blobs", "size", digest))?;
            Ok((digest, size))
        })
        .collect()
}

/// Begins an upload: its object key is leased, so that what is left of it if we die is deleted.
///
/// # Errors
/// The database is away.
pub async fn begin_upload(
    database: &Database,
    by: &Actor,
    lease: TimeDelta,
) -> Result<(UploadId, BlobKey)> {
    let (id, key) = (UploadId::new(), BlobKey::new());
    sqlx::query!(
        "INSERT INTO uploads (id, key, actor, leased_until) VALUES ($1, $2, $3, $4)",
        id.0,
        key.0,
        by.to_string(),
        database.now() + lease
    )
    .execute(database.pool())
    .await?;
    Ok((id, key))
}

/// Keeps an upload alive. `false` if its lease had ended and it was given up.
///
/// # Errors
/// The database is away.
pub async fn renew_upload(database: &Database, upload: UploadId, lease: TimeDelta) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE uploads SET leased_until = $2 WHERE id = $1",
        upload.0,
        database.now() + lease
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that an upload goes in parts, before the first is sent. `false` if it was given up.
///
/// # Errors
/// The database is away.
pub async fn note_multipart(
    database: &Database,
    upload: UploadId,
    multipart_id: &str,
) -> Result<bool> {
    let done =
        sqlx::query!("UPDATE uploads SET multipart_id = $2 WHERE id = $1", upload.0, multipart_id)
            .execute(database.pool())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an upload whose object is whole: the blob is here from now on. If the same bytes were here
/// before, the new object is doomed; if those were corrupt, it takes their place. Answers the
/// blob's key, absent if the upload had been given up.
///
/// # Errors
/// The database is away.
pub async fn finish_upload(
    database: &Database,
    upload: UploadId,
    digest: &Digest,
    bytes: u64,
) -> Result<Option<BlobKey>> {
    let mut tx = database.pool().begin().await?;
    let kept = finish_within(&mut tx, database.now(), upload, digest, bytes).await?;
    tx.commit().await?;
    Ok(kept)
}

/// Does what [`finish_upload`] does, as a part of a transaction.
pub(crate) async fn finish_within(
    tx: &mut PgConnection,
    now: Timestamp,
    upload: UploadId,
    digest: &Digest,
    bytes: u64,
) -> Result<Option<BlobKey>> {
    let Some(ours) = sqlx::query!("DELETE FROM uploads WHERE id = $1 RETURNING key", upload.0)
        .fetch_optional(&mut *tx)
        .await?
    else {
        return Ok(None);
    };
    let bytes = size(bytes)?;
    // Locks the row, ours or the one that was there, until we know which key is right.
    let before = sqlx::query!(
        "INSERT INTO blobs (digest, key, size, created_at, touched_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (digest) DO UPDATE SET touched_at = excluded.touched_at
         RETURNING key, corrupt_at",
        digest.as_bytes().as_slice(),
        ours.key,
        bytes,
        now
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut kept = before.key;
    if before.key != ours.key {
        let mut doomed = ours.key;
        if before.corrupt_at.is_some() {
            (kept, doomed) = (ours.key, before.key);
            sqlx::query!(
                "UPDATE blobs SET key = $2, corrupt_at = NULL WHERE digest = $1",
                digest.as_bytes().as_slice(),
                kept
            )
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query!(
            "INSERT INTO doomed_objects (key, size, delete_at) VALUES ($1, $2, $3)",
            doomed,
            bytes,
            now
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(Some(BlobKey(kept)))
}

/// Gives an upload up: its object is doomed.
///
/// # Errors
/// The database is away.
pub async fn abandon_upload(database: &Database, upload: UploadId) -> Result<()> {
    sqlx::query!(
        "WITH gone AS (DELETE FROM uploads WHERE id = $1 RETURNING key, multipart_id)
         INSERT INTO doomed_objects (key, size, multipart_id, delete_at)
         SELECT key, 0, multipart_id, $2 FROM gone",
        upload.0,
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Notes that a blob's bytes are not what they were: it is not served any more. `true` the first time.
///
/// # Errors
/// The database is away.
pub async fn mark_corrupt(database: &Database, digest: &Digest, key: BlobKey) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE blobs SET corrupt_at = $3 WHERE digest = $1 AND key = $2 AND corrupt_at IS NULL",
        digest.as_bytes().as_slice(),
        key.0,
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Dooms the objects of uploads whose lease ended. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn expire_uploads(database: &Database) -> Result<u64> {
    let done = sqlx::query!(
        "WITH gone AS (DELETE FROM uploads WHERE leased_until < $1 RETURNING key, multipart_id)
         INSERT INTO doomed_objects (key, size, multipart_id, delete_at)
         SELECT key, 0, multipart_id, $1 FROM gone",
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

/// Dooms blobs that neither a version nor a run nor kept rows name and that nobody touched since `untouched_since`: at most
/// `limit` at once, their objects to be deleted after `grace`. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn collect(
    database: &Database,
    untouched_since: Timestamp,
    grace: TimeDelta,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "WITH unnamed AS (
             SELECT digest FROM blobs b
             WHERE touched_at < $1
               AND NOT EXISTS (SELECT FROM version_files f WHERE f.digest = b.digest)
               AND NOT EXISTS (SELECT FROM tracked_files f WHERE f.digest = b.digest)
               AND NOT EXISTS (SELECT FROM capture_segments s WHERE s.digest = b.digest)
             LIMIT $3
             FOR UPDATE SKIP LOCKED
         ), gone AS (
             DELETE FROM blobs WHERE digest IN (SELECT digest FROM unnamed) RETURNING key, size
         )
         INSERT INTO doomed_objects (key, size, delete_at) SELECT key, size, $2 FROM gone",
        untouched_since,
        database.now() + grace,
        limit
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

/// Doomed objects whose time has come.
///
/// # Errors
/// The database is away.
pub async fn due(database: &Database, limit: i64) -> Result<Vec<Doomed>> {
    let rows = sqlx::query!(
        "SELECT key, size, multipart_id FROM doomed_objects WHERE delete_at <= $1 ORDER BY delete_at LIMIT $2",
        database.now(),
        limit
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Doomed {
            key: BlobKey(row.key),
            size: row.size.unsigned_abs(),
            multipart_id: row.multipart_id,
        })
        .collect())
}

/// Lets no doomed object stay longer than `grace` from now.
///
/// # Errors
/// The database is away.
pub async fn hasten(database: &Database, grace: TimeDelta) -> Result<()> {
    sqlx::query!(
        "UPDATE doomed_objects SET delete_at = $1 WHERE delete_at > $1",
        database.now() + grace
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Notes that a doomed object is deleted. `false` if another collector did so first.
///
/// # Errors
/// The database is away.
pub async fn forget(database: &Database, key: BlobKey) -> Result<bool> {
    let done = sqlx::query!("DELETE FROM doomed_objects WHERE key = $1", key.0)
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The objects that are doomed and not deleted yet: all of them, and those whose time will have
/// come at that instant.
///
/// # Errors
/// The database is away.
pub async fn doomed(database: &Database, at: Timestamp) -> Result<(Heap, Heap)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "all!", coalesce(sum(size), 0)::bigint AS "bytes!",
                  count(*) FILTER (WHERE delete_at <= $1) AS "due!",
                  coalesce(sum(size) FILTER (WHERE delete_at <= $1), 0)::bigint AS "due_bytes!"
           FROM doomed_objects"#,
        at
    )
    .fetch_one(database.pool())
    .await?;
    Ok((Heap::of(row.all, row.bytes), Heap::of(row.due, row.due_bytes)))
}
