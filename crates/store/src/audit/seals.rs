//! Sealing: events become links of the chain.
//!
//! A transaction that began early may commit late. So only events of transactions that are older
//! than every one still running are sealed, in order of (xid, id): no event can come in before them
//! any more. No writer waits for this, and this waits for no writer.
//!
//! Bookkeeping, no governed change: it says nothing that the events do not.

use domain::{
    Digest,
    audit::{Link, Recorded, Seal},
};
use sqlx::PgConnection;

use super::{
    digest,
    row::{Row, select_events},
};
use crate::{Database, Error, Result};

/// The most events in a seal.
const MOST: i64 = 1_000;

/// What of all advisory locks is ours: `audit` and a number, as bytes.
const LOCK: i64 = 0x0061_7564_6974_0001;

/// What [`seal`] did.
#[derive(Debug, Clone, Copy)]
pub struct Sealed {
    /// How far the chain has come.
    pub link: Link,
    /// Whether there was as much to seal as fits: then there is likely more.
    pub is_full: bool,
}

/// Where a chain stands, and which event is its last one.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) link: Link,
    pub(super) xid: String,
    pub(super) id: i64,
}

impl Head {
    pub(super) fn beginning() -> Self {
        Self { link: Link::BEGINNING, xid: "0".to_owned(), id: 0 }
    }
}

/// Seals what can be sealed, up to as much as fits into one seal. Absent where another process is
/// just doing it. Whoever is killed on the way leaves no trace: one seal is one transaction.
///
/// # Errors
/// The database is away.
pub async fn seal(database: &Database) -> Result<Option<Sealed>> {
    let mut tx = database.pool().begin().await?;
    let lock = sqlx::query!(r#"SELECT pg_try_advisory_xact_lock($1) AS "mine!""#, LOCK);
    if !lock.fetch_one(&mut *tx).await?.mine {
        return Ok(None);
    }
    let head = newest(&mut tx).await?;
    let rows = select_events!(
        "WHERE (xid, id) > ($1::text::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY audit_events.xid, id LIMIT $3",
        head.xid,
        head.id,
        MOST
    )
    .fetch_all(&mut *tx)
    .await?;
    let Some(last) = rows.last() else {
        return Ok(Some(Sealed { link: head.link, is_full: false }));
    };
    let (last_xid, last_id) = (last.xid.clone(), last.id);
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= MOST);
    let events: Vec<_> = rows
        .into_iter()
        .map(|row| Recorded::try_from(row).map(|event| (event.id, event.digest())))
        .collect::<Result<_>>()?;
    let seal = Seal::next(&head.link, events, database.now());
    let ids: Vec<_> = seal.events.iter().map(|(id, _)| *id).collect();
    let hashes: Vec<u8> = seal.events.iter().flat_map(|(_, digest)| *digest.as_bytes()).collect();
    sqlx::query!(
        "INSERT INTO audit_seals (number, previous, events, hashes, last_xid, last_id, total, sealed_at, hash)
         VALUES ($1, $2, $3, $4, $5::text::xid8, $6, $7, $8, $9)",
        seal.number,
        seal.previous.as_bytes().as_slice(),
        &ids,
        hashes,
        last_xid,
        last_id,
        seal.total,
        seal.sealed_at,
        seal.hash.as_bytes().as_slice()
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Sealed { link: seal.link(), is_full }))
}

/// How far the chain has come.
pub(super) async fn newest(connection: &mut PgConnection) -> Result<Head> {
    let row = sqlx::query!(
        r#"SELECT number AS "number!", hash AS "hash!", total AS "total!", xid AS "xid!", id AS "id!"
           FROM ((SELECT number, hash, total, last_xid::text AS xid, last_id AS id
                  FROM audit_seals ORDER BY number DESC LIMIT 1)
                 UNION ALL
                 (SELECT seal, hash, total, last_xid::text, last_id
                  FROM audit_archives ORDER BY seal DESC LIMIT 1)) ends
           ORDER BY number DESC LIMIT 1"#
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Head::beginning()) };
    let hash = digest("audit_seals", row.number, &row.hash)?;
    let link = Link { seal: row.number, total: row.total, hash };
    Ok(Head { link, xid: row.xid, id: row.id })
}

/// A row of `audit_seals`.
pub(super) struct SealRow {
    pub(super) number: i64,
    pub(super) previous: Vec<u8>,
    pub(super) events: Vec<i64>,
    pub(super) hashes: Vec<u8>,
    pub(super) xid: String,
    pub(super) id: i64,
    pub(super) total: i64,
    pub(super) sealed_at: domain::Timestamp,
    pub(super) hash: Vec<u8>,
}

impl TryFrom<SealRow> for Seal {
    type Error = Error;

    fn try_from(row: SealRow) -> Result<Self> {
        let read = |bytes: &[u8]| digest("audit_seals", row.number, bytes);
        let (hashes, rest) = row.hashes.as_chunks::<32>();
        let is_whole = hashes.len() == row.events.len() && rest.is_empty();
        if !is_whole || row.events.last() != Some(&row.id) {
            return Err(Error::inconsistent("audit_seals", "hashes", row.number));
        }
        let hashes = hashes.iter().map(|hash| Digest::from_bytes(*hash));
        Ok(Self {
            number: row.number,
            previous: read(&row.previous)?,
            hash: read(&row.hash)?,
            events: row.events.into_iter().zip(hashes).collect(),
            total: row.total,
            sealed_at: row.sealed_at,
        })
    }
}
