//! Walks the chain from its beginning, or from what was archived last, and checks every step.

use std::collections::BTreeMap;

use domain::{
    Digest,
    audit::{Damage, Fault, Link, Recorded, Seal, check},
};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    digest,
    row::{Row, select_events},
    seals::{Head, SealRow},
};
use crate::{Database, Error, Result};

/// Seals that are read at a time, and events.
const SEALS: i64 = 500;
const EVENTS: i64 = 4_000;

/// What a walk found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Where the chain stands, as far as it is good.
    pub link: Link,
    /// How many events are as they were sealed.
    pub checked: i64,
    /// How many events are older, and in archives.
    pub archived: i64,
    /// How many events wait to be sealed.
    pub unsealed: i64,
    /// The first thing that is wrong.
    pub first_bad: Option<Fault>,
    /// How many of the checkpoints are of seals that were archived, and were not compared.
    pub uncompared: usize,
}

/// Several seals, and the rows that stand in the places of their events.
pub(super) struct Stretch {
    pub(super) seals: Vec<Seal>,
    rows: Vec<Row>,
    /// The xid and id of the last event of each seal.
    ends: Vec<(String, i64)>,
}

/// Checked seals, with their events.
pub(super) struct Steps {
    /// Each seal and its events, as they were digested.
    pub(super) good: Vec<(Seal, Vec<Vec<u8>>)>,
    pub(super) link: Link,
    pub(super) fault: Option<Fault>,
}

/// Everything at one moment, in memory that does not grow with the trail.
pub(super) struct Walk {
    tx: Transaction<'static, Postgres>,
    head: Head,
    /// The last seal to walk to.
    last: i64,
}

impl Walk {
    /// Begins where the chain begins here, and goes to its end, or to that seal.
    pub(super) async fn begin(database: &Database, until: Option<i64>) -> Result<Self> {
        let mut tx = database.pool().begin().await?;
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *tx)
            .await?;
        let archive = sqlx::query!(
            r#"SELECT seal, hash, total, last_xid::text AS "xid!", last_id
               FROM audit_archives ORDER BY seal DESC LIMIT 1"#
        )
        .fetch_optional(&mut *tx)
        .await?;
        let head = match archive {
            None => Head::beginning(),
            Some(row) => {
                let hash = digest("audit_archives", row.seal, &row.hash)?;
                let link = Link { seal: row.seal, total: row.total, hash };
                Head { link, xid: row.xid, id: row.last_id }
            }
        };
        let row = sqlx::query!("SELECT max(number) AS last FROM audit_seals").fetch_one(&mut *tx);
        let last = row.await?.last.unwrap_or(head.link.seal);
        Ok(Self { tx, head, last: until.map_or(last, |until| until.min(last)) })
    }

    pub(super) const fn start(&self) -> Link {
        self.head.link
    }

    /// The next stretch, or the fault that keeps us from reading one. Absent at the end.
    pub(super) async fn next(&mut self) -> Result<Option<std::result::Result<Stretch, Fault>>> {
        let expected = self.head.link.seal + 1;
        let rows = sqlx::query_as!(
            SealRow,
            r#"SELECT number, previous, events, hashes, last_xid::text AS "xid!", last_id AS id, total,
                      CASE WHEN sealed_at BETWEEN '0001-01-01' AND '9999-12-31' THEN sealed_at ELSE 'epoch' END
                          AS "sealed_at!",
                      hash
               FROM audit_seals
               WHERE number > $1 AND number <= $2 AND (total <= $3 OR number = $1 + 1)
               ORDER BY number"#,
            self.head.link.seal,
            self.last.min(self.head.link.seal.saturating_add(SEALS)),
            self.head.link.total.saturating_add(EVENTS)
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let bad = |damage| Ok(Some(Err(Fault { seal: expected, event: None, damage })));
        let (mut seals, mut ends) = (Vec::with_capacity(rows.len()), Vec::new());
        for (row, number) in rows.into_iter().zip(expected..) {
            let end = (row.xid.clone(), row.id);
            match Seal::try_from(row) {
                Ok(seal) if seal.number == number => seals.push(seal),
                // Those before it come first.
                Ok(_) | Err(Error::Inconsistent { .. }) if !seals.is_empty() => break,
                Ok(_) => return bad(Damage::SealMissing),
                Err(Error::Inconsistent { .. }) => return bad(Damage::SealChanged),
                Err(error) => return Err(error),
            }
            ends.push(end);
        }
        let Some((xid, id)) = ends.last().cloned() else {
            return if self.head.link.seal < self.last {
                bad(Damage::SealMissing)
            } else {
                Ok(None)
            };
        };
        let sealed: usize = seals.iter().map(|seal| seal.events.len()).sum();
        // One more shows that more are there than were sealed.
        let most = i64::try_from(sealed).unwrap_or(i64::MAX - 1) + 1;
        let rows = events(&mut self.tx, &self.head, &xid, id, most).await?;
        if let Some(last) = seals.last() {
            self.head = Head { link: last.link(), xid, id };
        }
        Ok(Some(Ok(Stretch { seals, rows, ends })))
    }

    /// How many events stand behind the last seal.
    async fn unsealed(&mut self) -> Result<i64> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "count!" FROM audit_events WHERE (xid, id) > ($1::text::xid8, $2)"#,
            self.head.xid,
            self.head.id
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(row.count)
    }

    /// An event that stands before the beginning, where none is left.
    async fn before_the_beginning(&mut self) -> Result<Option<i64>> {
        let row = sqlx::query!(
            "SELECT id FROM audit_events WHERE (xid, id) <= ($1::text::xid8, $2) ORDER BY xid, id LIMIT 1",
            self.head.xid,
            self.head.id
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(row.map(|row| row.id))
    }
}

async fn events(
    connection: &mut PgConnection,
    after: &Head,
    xid: &str,
    id: i64,
    most: i64,
) -> Result<Vec<Row>> {
    let rows = select_events!(
        "WHERE (xid, id) > ($1::text::xid8, $2) AND (xid, id) <= ($3::text::xid8, $4)
         ORDER BY audit_events.xid, id LIMIT $5",
        after.xid,
        after.id,
        xid,
        id,
        most
    );
    Ok(rows.fetch_all(connection).await?)
}

impl Stretch {
    /// Checks it against how far the chain had come. Computes, for long: not on a thread that serves.
    pub(super) fn check(self, after: Link) -> Steps {
        let mut rows = self.rows.into_iter().peekable();
        let mut steps =
            Steps { good: Vec::with_capacity(self.seals.len()), link: after, fault: None };
        let last = self.seals.len();
        for (at, (seal, (xid, id))) in self.seals.into_iter().zip(self.ends).enumerate() {
            let end = (xid.parse::<u64>().unwrap_or_default(), id);
            let (mut found, mut written) = (Vec::new(), Vec::new());
            while let Some(row) = rows.next_if(|row| {
                at + 1 == last || (row.xid.parse::<u64>().unwrap_or_default(), row.id) <= end
            }) {
                let id = row.id;
                let event = Recorded::try_from(row).ok().map(|event| {
                    let mut out = Vec::with_capacity(768);
                    event.write(&mut out);
                    out
                });
                found.push((id, event.as_deref().map(Digest::of)));
                written.push(event.unwrap_or_default());
            }
            match check(&steps.link, &seal, &found) {
                Ok(link) => steps.link = link,
                Err(fault) => {
                    steps.fault = Some(fault);
                    break;
                }
            }
            steps.good.push((seal, written));
        }
        steps
    }
}

/// Verifies the chain and that it agrees with checkpoints: those given, and those kept here.
/// `progress` hears how many events were checked, and of how many.
///
/// # Errors
/// The database is away.
pub async fn verify(
    database: &Database,
    checkpoints: &[Link],
    mut progress: impl FnMut(i64, i64),
) -> Result<Verified> {
    let mut walk = Walk::begin(database, None).await?;
    let start = walk.start();
    let mut marks: BTreeMap<i64, Vec<Link>> = BTreeMap::new();
    let kept = super::checkpoints::links(&mut walk.tx).await?;
    for link in kept.iter().chain(checkpoints) {
        marks.entry(link.seal).or_default().push(*link);
    }
    let agrees = |link: &Link| {
        let marked = marks.get(&link.seal);
        marked.is_none_or(|marked| marked.iter().all(|mark| mark == link))
    };
    let rewritten = |seal| Fault { seal, event: None, damage: Damage::Rewritten };
    let of = super::seals::newest(&mut walk.tx).await?.link.total - start.total;
    let mut first_bad = match walk.before_the_beginning().await? {
        Some(event) => {
            Some(Fault { seal: start.seal, event: Some(event), damage: Damage::Inserted })
        }
        None => (!agrees(&start)).then(|| rewritten(start.seal)),
    };
    let mut link = start;
    // While one stretch is checked, the next one is read.
    let mut checking = None;
    while first_bad.is_none() {
        let next = walk.next().await?;
        if let Some(checked) = checking.take() {
            let steps: Steps = joined(checked).await?;
            let disagrees =
                steps.good.iter().map(|(seal, _)| seal.link()).find(|link| !agrees(link));
            if let Some(other) = disagrees {
                first_bad = Some(rewritten(other.seal));
                break;
            }
            link = steps.link;
            first_bad = steps.fault;
            progress(link.total - start.total, of);
        }
        match next {
            _ if first_bad.is_some() => {}
            None => break,
            Some(Err(fault)) => first_bad = Some(fault),
            Some(Ok(stretch)) => {
                let after = link;
                checking = Some(tokio::task::spawn_blocking(move || stretch.check(after)));
            }
        }
    }
    if let (None, Some(seal)) = (first_bad, marks.keys().find(|seal| **seal > link.seal)) {
        first_bad = Some(Fault { seal: *seal, event: None, damage: Damage::Cut });
    }
    let unsealed = walk.unsealed().await?;
    let uncompared = checkpoints.iter().filter(|mark| mark.seal < start.seal).count();
    let checked = link.total - start.total;
    Ok(Verified { link, checked, archived: start.total, unsealed, first_bad, uncompared })
}

/// What a thread made.
pub(super) async fn joined<T>(task: tokio::task::JoinHandle<T>) -> Result<T> {
    // Only a panic ends it early, and the panic was logged.
    task.await.map_err(|_| domain::Problem::internal().into())
}
