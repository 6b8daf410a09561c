//! Archives: the beginning of the chain, moved into a file. What is deleted here was in the file that
//! somebody showed us the digest of; the chain goes on behind it.
//!
//! Deleting needs the rights of `bottega_owner`, which nothing else takes on while it runs.

use domain::{
    AuditEvent, Digest, Timestamp,
    audit::{
        Fault, Link,
        archive::{self, Archive, Edge, Reader},
    },
};
use sqlx::{Connection as _, PgConnection};

use super::{
    digest, insert,
    walk::{Walk, joined},
};
use crate::{Database, Error, Result, database};

/// An archive that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it holds.
    pub archive: Archive,
    /// Who made it.
    pub archived_by: String,
    /// When.
    pub archived_at: Timestamp,
}

/// The newest seal that was made before that instant and is not archived. Absent if there is none.
///
/// # Errors
/// The database is away.
pub async fn last_before(database: &Database, before: Timestamp) -> Result<Option<i64>> {
    let row = sqlx::query!(
        "SELECT number FROM audit_seals WHERE sealed_at < $1 ORDER BY number DESC LIMIT 1",
        before
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| row.number))
}

/// Reads the lines of an archive, from where the chain begins here through that seal, checking each.
pub struct Lines {
    walk: Walk,
    link: Link,
    through: i64,
    state: Place,
}

enum Place {
    Begin,
    Middle,
    Done,
}

/// Why an archive cannot be read to its end.
#[derive(Debug)]
pub enum Broken {
    /// The trail is damaged.
    Damaged(Fault),
    /// The store failed.
    Store(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Lines {
    /// The lines through that seal.
    ///
    /// # Errors
    /// The database is away.
    pub async fn through(database: &Database, seal: i64) -> Result<Self> {
        let walk = Walk::begin(database, Some(seal)).await?;
        let link = walk.start();
        Ok(Self { walk, link, through: seal, state: Place::Begin })
    }

    /// The next lines, with their ends. Absent behind the last.
    ///
    /// # Errors
    /// The trail is damaged there, or the database is away.
    pub async fn next(&mut self) -> std::result::Result<Option<Vec<u8>>, Broken> {
        match self.state {
            Place::Begin => {
                self.state = Place::Middle;
                Ok(Some(archive::edge(Edge::Begin, self.link)))
            }
            Place::Done => Ok(None),
            Place::Middle => match self.walk.next().await? {
                Some(Ok(stretch)) => {
                    let after = self.link;
                    let steps = joined(tokio::task::spawn_blocking(move || stretch.check(after)));
                    let steps = steps.await?;
                    if let Some(fault) = steps.fault {
                        return Err(Broken::Damaged(fault));
                    }
                    self.link = steps.link;
                    let mut lines = Vec::new();
                    for (seal, events) in &steps.good {
                        for event in events {
                            lines.extend_from_slice(event);
                            lines.push(b'\n');
                        }
                        lines.extend_from_slice(&archive::seal(seal));
                    }
                    Ok(Some(lines))
                }
                Some(Err(fault)) => Err(Broken::Damaged(fault)),
                None if self.link.seal < self.through => Err(Broken::Damaged(Fault {
                    seal: self.link.seal + 1,
                    event: None,
                    damage: domain::audit::Damage::SealMissing,
                })),
                None => {
                    self.state = Place::Done;
                    Ok(Some(archive::edge(Edge::End, self.link)))
                }
            },
        }
    }

    /// What the lines say, when nobody needs them.
    ///
    /// # Errors
    /// The trail is damaged, or the database is away.
    pub async fn summary(mut self) -> std::result::Result<Archive, Broken> {
        let mut reader = Reader::default();
        while let Some(lines) = self.next().await? {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                reader.line(line).map_err(Error::from)?;
            }
        }
        Ok(reader.finish().map_err(Error::from)?)
    }
}

/// Takes on the rights to delete what was archived.
#[derive(Clone)]
pub struct Archivist {
    url: String,
}

impl Archivist {
    /// `url` is the one to migrate with: its login is a member of `bottega_owner`.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// Deletes what the archive holds, and records that. `false` where the chain begins elsewhere by
    /// now, because another archive was made.
    ///
    /// # Errors
    /// The database is away, or the login may not.
    pub async fn delete(&self, at: Timestamp, made: &Archive, event: &AuditEvent) -> Result<bool> {
        let options = database::options(&self.url)?;
        let mut connection = PgConnection::connect_with(&options).await?;
        sqlx::query!("SET ROLE bottega_owner").execute(&mut connection).await?;
        let mut tx = connection.begin().await?;
        sqlx::query!("LOCK TABLE audit_archives IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *tx)
            .await?;
        let newest = sqlx::query!("SELECT max(seal) AS seal FROM audit_archives")
            .fetch_one(&mut *tx)
            .await?;
        if newest.seal.unwrap_or_default() != made.after.seal {
            return Ok(false);
        }
        let inserted = sqlx::query!(
            "INSERT INTO audit_archives
                 (seal, first_seal, last_xid, last_id, total, events, hash, digest, archived_by, archived_at)
             SELECT number, $2, last_xid, last_id, total, $3, hash, $4, $5, $6
             FROM audit_seals WHERE number = $1 AND hash = $7",
            made.through.seal,
            made.after.seal + 1,
            made.events,
            made.digest.as_bytes().as_slice(),
            event.actor.to_string(),
            at,
            made.through.hash.as_bytes().as_slice(),
        )
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query!(
            "DELETE FROM audit_events
             WHERE (xid, id) <= (SELECT last_xid, last_id FROM audit_archives WHERE seal = $1)",
            made.through.seal
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("DELETE FROM audit_seals WHERE number <= $1", made.through.seal)
            .execute(&mut *tx)
            .await?;
        insert(&mut tx, at, event).await?;
        tx.commit().await?;
        connection.close().await?;
        Ok(true)
    }
}

/// The archives that were made, oldest first. There are few.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Made>> {
    let rows = sqlx::query!(
        "SELECT seal, first_seal, total, events, hash, digest, archived_by, archived_at
         FROM audit_archives ORDER BY seal"
    )
    .fetch_all(database.pool())
    .await?;
    let mut after = Link::BEGINNING;
    rows.into_iter()
        .map(|row| {
            let hash = digest("audit_archives", row.seal, &row.hash)?;
            let through = Link { seal: row.seal, total: row.total, hash };
            let of_lines: Digest = digest("audit_archives", row.seal, &row.digest)?;
            let archive = Archive { after, through, events: row.events, digest: of_lines };
            after = through;
            Ok(Made { archive, archived_by: row.archived_by, archived_at: row.archived_at })
        })
        .collect()
}
