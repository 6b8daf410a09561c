//! What flows: leases of token buckets and of counts, that a process uses up by itself.
//!
//! All of it is bookkeeping. Time is the database's, which all processes share; where it runs
//! backwards nothing flows in until it is where it was seen last, which is forgotten at once.

use std::time::Duration;

use domain::{
    SubjectId, Timestamp,
    access::{Subject, SubjectKind},
    quota::{Amount, Bucket, Key},
};

use super::limits::{amount, key};
use crate::{Database, Error, Result};

/// What limits the flow of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Whose.
    pub id: SubjectId,
    /// What it is called.
    pub subject: Subject,
    /// How fast, if that is limited.
    pub rate: Option<Bucket>,
    /// How much in a period.
    pub counts: Vec<(Key, u64)>,
}

/// All subjects whose flow is limited.
///
/// # Errors
/// The database is away.
pub async fn meters(database: &Database) -> Result<Vec<Meter>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.kind, s.name, q.key AS "key!", q.value
           FROM effective_quotas q JOIN subjects s ON s.id = q.subject_id
           WHERE q.key IN ('requests_per_second', 'burst', 'predictions_per_month', 'captured_rows_per_day', 'tracking_points_per_day')
             AND q.value IS NOT NULL
           ORDER BY s.id"#
    )
    .fetch_all(database.pool())
    .await?;
    let mut meters: Vec<Meter> = Vec::new();
    let mut limits: Vec<(Key, u64)> = Vec::new();
    let finish = |meters: &mut Vec<Meter>, limits: &mut Vec<(Key, u64)>| {
        if let Some(meter) = meters.last_mut() {
            let of = |key| limits.iter().find(|(found, _)| *found == key).map(|(_, value)| *value);
            meter.rate = of(Key::RequestsPerSecond).map(|rate| Bucket::new(rate, of(Key::Burst)));
            limits.retain(|(key, _)| !matches!(key, Key::RequestsPerSecond | Key::Burst));
            meter.counts = std::mem::take(limits);
        }
    };
    for row in rows {
        if meters.last().is_none_or(|meter| meter.id.0 != row.id) {
            finish(&mut meters, &mut limits);
            let kind = SubjectKind::parse(&row.kind)
                .ok_or_else(|| Error::inconsistent("subjects", "kind", row.id))?;
            let subject = Subject { kind, name: row.name };
            meters.push(Meter { id: SubjectId(row.id), subject, rate: None, counts: Vec::new() });
        }
        if let Amount::AtMost(limit) = amount(row.value) {
            limits.push((key("quotas", &row.key)?, limit));
        }
    }
    finish(&mut meters, &mut limits);
    Ok(meters)
}

/// What was leased of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many tokens.
    pub granted: u64,
    /// When there will be one again, if there was not what was asked for.
    pub until_next: Duration,
}

/// Leases up to `want` tokens of a subject's bucket, and gives back what is left of the last lease.
///
/// # Errors
/// The database is away.
pub async fn lease_tokens(
    database: &Database,
    subject: SubjectId,
    bucket: Bucket,
    want: u64,
    left: u64,
) -> Result<Rate> {
    let row = sqlx::query!(
        r#"SELECT granted AS "granted!", level AS "level!" FROM lease_tokens($1, $2, $3, $4, $5)"#,
        subject.0,
        bucket.rate as f64,
        bucket.burst as f64,
        want as f64,
        left as f64
    )
    .fetch_one(database.pool())
    .await?;
    Ok(Rate { granted: row.granted as u64, until_next: bucket.until_next(row.level) })
}

/// What was leased of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// How much.
    pub granted: u64,
    /// How much all processes together have leased in this period.
    pub used: u64,
}

/// Leases up to `want` of what a quota allows in the period that began then. `owed` is what was used
/// while nobody could be asked: it is counted, whatever the limit. What is given back is owed less.
///
/// # Errors
/// The database is away.
pub async fn lease_count(
    database: &Database,
    subject: SubjectId,
    key: Key,
    began_at: Timestamp,
    limit: u64,
    want: u64,
    owed: i64,
) -> Result<Granted> {
    let [limit, want] = [limit, want].map(|it| i64::try_from(it).unwrap_or(i64::MAX));
    let row = sqlx::query!(
        r#"SELECT granted AS "granted!", total AS "total!" FROM lease_count($1, $2, $3, $4, $5, $6)"#,
        subject.0,
        key.as_str(),
        began_at,
        limit,
        want,
        owed
    )
    .fetch_one(database.pool())
    .await?;
    Ok(Granted { granted: row.granted.unsigned_abs(), used: row.total.unsigned_abs() })
}

/// How much of a count is leased in the period that began then.
///
/// # Errors
/// The database is away.
pub async fn counted(
    database: &Database,
    subject: SubjectId,
    key: Key,
    began_at: Timestamp,
) -> Result<u64> {
    let row = sqlx::query!(
        "SELECT used FROM quota_counts WHERE subject_id = $1 AND key = $2 AND began_at = $3",
        subject.0,
        key.as_str(),
        began_at
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map_or(0, |row| row.used.unsigned_abs()))
}
