//! Sketches by the minute, as many gateways write them.
//!
//! A part that was written is numbered, so that it counts once however often it is sent.

use chrono::TimeDelta;
use domain::{EndpointId, NodeId, Timestamp, VersionId};
use sqlx::PgConnection;

use super::failures::{self, Failures};
use crate::{Database, Error, Result};

/// Rows that are deleted at once.
const AT_ONCE: i64 = 10_000;

/// What a column is of. What was answered and what shadows answered are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Inputs of requests that the version answered.
    Input,
    /// Its answers.
    Output,
    /// Inputs that it saw as a shadow.
    ShadowInput,
    /// What it answered to them, and nobody got.
    ShadowOutput,
}

impl Role {
    const ALL: [Self; 4] = [Self::Input, Self::Output, Self::ShadowInput, Self::ShadowOutput];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::ShadowInput => "shadow_input",
            Self::ShadowOutput => "shadow_output",
        }
    }
}

/// Which column of what, in which minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// The minute's beginning.
    pub minute: Timestamp,
    /// Of which version.
    pub version: VersionId,
    /// Of what the column is.
    pub role: Role,
    /// What it is called.
    pub name: String,
}

/// One column's sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// Which column.
    pub key: Key,
    /// How many rows it saw.
    pub rows: i64,
    /// It, as the monitor writes it.
    pub bytes: Vec<u8>,
}

/// What a node saw, as it writes it down in one go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Distributions.
    pub sketches: Vec<Sketch>,
    /// Requests that are in none.
    pub failures: Vec<Failures>,
}

/// How two sketches become one; absent where they cannot.
pub type Merge = fn(&[u8], &[u8]) -> Option<Vec<u8>>;

/// Adds what a node saw, as its part number `epoch`; absent if that part was added before. Else the
/// number of sketches that could not be merged with those that were there, which stay as they were.
///
/// # Errors
/// The database is away: then the same part may be sent again.
pub async fn add(
    database: &Database,
    node: NodeId,
    epoch: i64,
    part: &Part,
    merge: Merge,
) -> Result<Option<usize>> {
    let mut tx = database.pool().begin().await?;
    let is_new = sqlx::query!(
        "INSERT INTO capture_flushes AS f (node_id, epoch, flushed_at) VALUES ($1, $2, $3)
         ON CONFLICT (node_id) DO UPDATE SET epoch = $2, flushed_at = $3 WHERE f.epoch < $2",
        node.0,
        epoch,
        database.now()
    )
    .execute(&mut *tx)
    .await?;
    if is_new.rows_affected() == 0 {
        return Ok(None);
    }
    // One writer at a time: of two that find no row each would write its own.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('capture_sketches')) IS NULL AS locked")
        .fetch_one(&mut *tx)
        .await?;
    failures::add(&mut tx, &part.failures).await?;
    let mut part = part.sketches.clone();
    // What an endpoint's deletion took along is of no use any more.
    let alive = alive(&mut tx, &part).await?;
    part.retain(|sketch| alive.contains(&sketch.key.endpoint.0));
    let there = there(&mut tx, &part).await?;
    let mut odd = 0;
    part.retain_mut(|sketch| {
        let Some(before) = there.iter().find(|before| before.key == sketch.key) else {
            return true;
        };
        match merge(&before.bytes, &sketch.bytes) {
            Some(merged) => {
                sketch.rows = sketch.rows.saturating_add(before.rows);
                sketch.bytes = merged;
                true
            }
            None => {
                odd += 1;
                false
            }
        }
    });
    write(&mut tx, &part).await?;
    tx.commit().await?;
    Ok(Some(odd))
}

async fn alive(tx: &mut PgConnection, part: &[Sketch]) -> Result<Vec<uuid::Uuid>> {
    let ids: Vec<_> = part.iter().map(|sketch| sketch.key.endpoint.0).collect();
    // Held, so that none is deleted before its sketches are written.
    let rows = sqlx::query_scalar!(
        "SELECT id FROM endpoints WHERE id = ANY($1) ORDER BY id FOR KEY SHARE",
        &ids
    );
    Ok(rows.fetch_all(tx).await?)
}

/// The columns of many keys, to be unnested.
struct Keys {
    endpoints: Vec<uuid::Uuid>,
    minutes: Vec<Timestamp>,
    versions: Vec<uuid::Uuid>,
    roles: Vec<String>,
    names: Vec<String>,
}

impl Keys {
    fn of(part: &[Sketch]) -> Self {
        let keys = || part.iter().map(|sketch| &sketch.key);
        Self {
            endpoints: keys().map(|key| key.endpoint.0).collect(),
            minutes: keys().map(|key| key.minute).collect(),
            versions: keys().map(|key| key.version.0).collect(),
            roles: keys().map(|key| key.role.as_str().to_owned()).collect(),
            names: keys().map(|key| key.name.clone()).collect(),
        }
    }
}

async fn there(tx: &mut PgConnection, part: &[Sketch]) -> Result<Vec<Sketch>> {
    let keys = Keys::of(part);
    let rows = sqlx::query_as!(
        Row,
        "SELECT endpoint_id, minute, version_id, role, name, rows, sketch
         FROM capture_sketches
         JOIN unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[])
              AS wanted (endpoint_id, minute, version_id, role, name)
              USING (endpoint_id, minute, version_id, role, name)",
        &keys.endpoints,
        &keys.minutes,
        &keys.versions,
        &keys.roles,
        &keys.names
    );
    rows.fetch_all(tx).await?.into_iter().map(Row::read).collect()
}

async fn write(tx: &mut PgConnection, part: &[Sketch]) -> Result<()> {
    let keys = Keys::of(part);
    let rows: Vec<i64> = part.iter().map(|sketch| sketch.rows).collect();
    let bytes: Vec<Vec<u8>> = part.iter().map(|sketch| sketch.bytes.clone()).collect();
    sqlx::query!(
        "INSERT INTO capture_sketches (endpoint_id, minute, version_id, role, name, rows, sketch)
         SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
                              $6::bigint[], $7::bytea[])
         ON CONFLICT (endpoint_id, minute, version_id, role, name)
           DO UPDATE SET rows = excluded.rows, sketch = excluded.sketch",
        &keys.endpoints,
        &keys.minutes,
        &keys.versions,
        &keys.roles,
        &keys.names,
        &rows,
        &bytes
    )
    .execute(tx)
    .await?;
    Ok(())
}

struct Row {
    endpoint_id: uuid::Uuid,
    minute: Timestamp,
    version_id: uuid::Uuid,
    role: String,
    name: String,
    rows: i64,
    sketch: Vec<u8>,
}

impl Row {
    fn read(self) -> Result<Sketch> {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == self.role);
        let wrong = || Error::inconsistent("capture_sketches", "role", self.endpoint_id);
        let role = role.ok_or_else(wrong)?;
        let (endpoint, version) = (EndpointId(self.endpoint_id), VersionId(self.version_id));
        let key = Key { endpoint, minute: self.minute, version, role, name: self.name };
        Ok(Sketch { key, rows: self.rows, bytes: self.sketch })
    }
}

/// An endpoint's sketches of some time, by minute, version and name.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Sketch>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT endpoint_id, minute, version_id, role, name, rows, sketch FROM capture_sketches
           WHERE endpoint_id = $1 AND minute >= $2 AND minute < $3
           ORDER BY minute, version_id, role, name COLLATE "C""#,
        endpoint.0,
        since,
        until
    );
    rows.fetch_all(database.pool()).await?.into_iter().map(Row::read).collect()
}

/// Deletes some of what is older than its endpoint's retention; tells how many.
///
/// # Errors
/// The database is away.
pub async fn expire(database: &Database) -> Result<u64> {
    let default = domain::capture::Settings::default().retention;
    let default = i64::try_from(default.as_secs()).unwrap_or(i64::MAX);
    let now = database.now();
    let done = sqlx::query!(
        "WITH old AS (
           SELECT s.ctid FROM capture_sketches s LEFT JOIN endpoint_capture c USING (endpoint_id)
           WHERE s.minute < $1::timestamptz - make_interval(secs => coalesce(c.retention_seconds, $2)::double precision)
           LIMIT $3 FOR UPDATE OF s SKIP LOCKED)
         DELETE FROM capture_sketches WHERE ctid IN (SELECT ctid FROM old)",
        now,
        default,
        AT_ONCE
    )
    .execute(database.pool())
    .await?;
    sqlx::query!(
        "WITH old AS (
           SELECT f.ctid FROM capture_failures f LEFT JOIN endpoint_capture c USING (endpoint_id)
           WHERE f.minute < $1::timestamptz - make_interval(secs => coalesce(c.retention_seconds, $2)::double precision)
           LIMIT $3 FOR UPDATE OF f SKIP LOCKED)
         DELETE FROM capture_failures WHERE ctid IN (SELECT ctid FROM old)",
        now,
        default,
        AT_ONCE
    )
    .execute(database.pool())
    .await?;
    // A gateway that has not written for that long is gone.
    sqlx::query!("DELETE FROM capture_flushes WHERE flushed_at < $1", now - TimeDelta::days(30))
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected())
}
