//! Files of kept rows: which there are, and which of them hold an inference or a subject.

use domain::{Digest, EndpointId, EndpointRef, Timestamp, VersionId};
use uuid::Uuid;

use crate::{Change, Database, Error, Result, audit::digest, versions::size};

/// Files that go at once.
const AT_ONCE: i64 = 500;

/// A file of kept rows, of one version behind one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its id.
    pub id: Uuid,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The version.
    pub version: VersionId,
    /// When its first row was answered.
    pub from: Timestamp,
    /// When its last row was.
    pub to: Timestamp,
    /// How many rows it has.
    pub rows: i64,
    /// How many bytes.
    pub bytes: u64,
    /// Its bytes.
    pub digest: Digest,
    /// Keyed hashes of the inferences in it.
    pub ids: Vec<i64>,
    /// Keyed hashes of the subjects in it.
    pub subjects: Vec<i64>,
}

/// What leads to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// An inference.
    Inference(i64),
    /// A subject.
    Subject(i64),
}

impl Hash {
    const fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Inference(hash) => (Some(hash), None),
            Self::Subject(hash) => (None, Some(hash)),
        }
    }
}

struct Row {
    id: Uuid,
    endpoint_id: Uuid,
    version_id: Uuid,
    from_at: Timestamp,
    to_at: Timestamp,
    rows: i64,
    bytes: i64,
    digest: Vec<u8>,
    ids: Vec<i64>,
    subjects: Vec<i64>,
}

impl Row {
    fn read(self) -> Result<Segment> {
        Ok(Segment {
            id: self.id,
            endpoint: EndpointId(self.endpoint_id),
            version: VersionId(self.version_id),
            from: self.from_at,
            to: self.to_at,
            rows: self.rows,
            bytes: self.bytes.unsigned_abs(),
            digest: digest("capture_segments", self.id, &self.digest)?,
            ids: self.ids,
            subjects: self.subjects,
        })
    }
}

/// Notes a file whose bytes are a blob by now. `false` if its endpoint is gone.
///
/// # Errors
/// The database is away.
pub async fn insert(database: &Database, segment: &Segment) -> Result<bool> {
    let mut connection = database.pool().acquire().await?;
    insert_within(&mut connection, database.now(), segment).await
}

async fn insert_within(
    connection: &mut sqlx::PgConnection,
    now: Timestamp,
    segment: &Segment,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO capture_segments
             (id, endpoint_id, version_id, from_at, to_at, rows, bytes, digest, ids, subjects, written_at)
         SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM endpoints WHERE id = $2 FOR KEY SHARE
         ON CONFLICT (id) DO NOTHING",
        segment.id,
        segment.endpoint.0,
        segment.version.0,
        segment.from,
        segment.to,
        segment.rows,
        size(segment.bytes)?,
        segment.digest.as_bytes().as_slice(),
        &segment.ids,
        &segment.subjects,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The files that hold an inference or a subject, of one endpoint or of all, the newest first.
///
/// # Errors
/// The database is away.
pub async fn holding(
    database: &Database,
    endpoint: Option<EndpointId>,
    hash: Hash,
) -> Result<Vec<Segment>> {
    let (inference, subject) = hash.columns();
    let rows = match (inference, subject) {
        (Some(hash), _) => {
            sqlx::query_as!(
            Row,
            "SELECT id, endpoint_id, version_id, from_at, to_at, rows, bytes, digest, ids, subjects
                 FROM capture_segments
                 WHERE ids @> ARRAY[$1::bigint] AND ($2::uuid IS NULL OR endpoint_id = $2)
                 ORDER BY id DESC",
            hash,
            endpoint.map(|id| id.0)
        )
            .fetch_all(database.pool())
            .await?
        }
        (None, hash) => {
            sqlx::query_as!(
            Row,
            "SELECT id, endpoint_id, version_id, from_at, to_at, rows, bytes, digest, ids, subjects
                 FROM capture_segments
                 WHERE subjects @> ARRAY[$1::bigint] AND ($2::uuid IS NULL OR endpoint_id = $2)
                 ORDER BY id DESC",
            hash.unwrap_or_default(),
            endpoint.map(|id| id.0)
        )
            .fetch_all(database.pool())
            .await?
        }
    };
    rows.into_iter().map(Row::read).collect()
}

/// An endpoint's files that have rows of that time, the newest first; at most `limit`, from the file
/// `behind` on where it is given.
///
/// # Errors
/// The database is away.
pub async fn between(
    database: &Database,
    endpoint: EndpointId,
    (since, until): (Timestamp, Timestamp),
    behind: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Segment>> {
    // Files are made in the order of their ids; one that is written anew gets a new one.
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, endpoint_id, version_id, from_at, to_at, rows, bytes, digest, ids, subjects
         FROM capture_segments
         WHERE endpoint_id = $1 AND to_at >= $2 AND from_at < $3 AND ($4::uuid IS NULL OR id <= $4)
         ORDER BY id DESC LIMIT $5",
        endpoint.0,
        since,
        until,
        behind,
        limit
    );
    rows.fetch_all(database.pool()).await?.into_iter().map(Row::read).collect()
}

/// The endpoints that have a file with that hash.
///
/// # Errors
/// The database is away.
pub async fn endpoints(database: &Database, hash: i64) -> Result<Vec<EndpointRef>> {
    let rows = sqlx::query!(
        "SELECT name, env FROM endpoints
         WHERE id IN (SELECT endpoint_id FROM capture_segments WHERE ids @> ARRAY[$1::bigint])
         ORDER BY id",
        hash
    )
    .fetch_all(database.pool())
    .await?;
    let read = |name: String, env: String| {
        let wrong = |_| Error::inconsistent("endpoints", "name", &name);
        Ok(EndpointRef { name: name.parse().map_err(wrong)?, env: env.parse().map_err(wrong)? })
    };
    rows.into_iter().map(|row| read(row.name, row.env)).collect()
}

/// Puts another file in the place of one, or nothing. `false` if that one is not there any more:
/// somebody else was first.
///
/// # Errors
/// The database is away.
pub async fn replace(change: &mut Change, old: &Segment, new: Option<&Segment>) -> Result<bool> {
    let now = change.now();
    let gone = sqlx::query!("DELETE FROM capture_segments WHERE id = $1", old.id)
        .execute(change.connection())
        .await?;
    if gone.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(new) = new {
        insert_within(change.connection(), now, new).await?;
    }
    doom(change, &[old.digest]).await?;
    Ok(true)
}

/// Dooms blobs that nothing names any more, without the grace of others: nobody is to find them.
async fn doom(change: &mut Change, digests: &[Digest]) -> Result<()> {
    let now = change.now();
    let digests: Vec<Vec<u8>> = digests.iter().map(|it| it.as_bytes().to_vec()).collect();
    sqlx::query!(
        "WITH gone AS (
           DELETE FROM blobs b WHERE digest = ANY($1)
             AND NOT EXISTS (SELECT FROM capture_segments s WHERE s.digest = b.digest)
             AND NOT EXISTS (SELECT FROM version_files f WHERE f.digest = b.digest)
             AND NOT EXISTS (SELECT FROM tracked_files f WHERE f.digest = b.digest)
           RETURNING key, size)
         INSERT INTO doomed_objects (key, size, delete_at) SELECT key, size, $2 FROM gone",
        &digests,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// What went because it was older than its endpoint's retention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Files.
    pub segments: u64,
    /// The rows in them.
    pub rows: u64,
}

/// Deletes some of the files whose last row is older than its endpoint's retention.
///
/// # Errors
/// The database is away.
pub async fn expire(change: &mut Change) -> Result<Expired> {
    let now = change.now();
    let rows = sqlx::query!(
        "WITH old AS (
           SELECT s.id FROM capture_segments s JOIN endpoint_capture c USING (endpoint_id)
           WHERE s.to_at < $1::timestamptz - make_interval(secs => c.retention_seconds::double precision)
           LIMIT $2 FOR UPDATE OF s SKIP LOCKED)
         DELETE FROM capture_segments USING old WHERE capture_segments.id = old.id
         RETURNING capture_segments.id, rows, digest",
        now,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    let mut expired = Expired::default();
    let mut digests = Vec::new();
    for row in rows {
        expired.segments += 1;
        expired.rows += row.rows.unsigned_abs();
        digests.push(digest("capture_segments", row.id, &row.digest)?);
    }
    if !digests.is_empty() {
        doom(change, &digests).await?;
    }
    Ok(expired)
}
