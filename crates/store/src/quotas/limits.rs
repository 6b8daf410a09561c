//! The limits themselves.

use std::collections::BTreeMap;

use domain::{
    Actor, SubjectId, Timestamp,
    access::{Subject, SubjectKind},
    quota::{Amount, Holder, Key},
};

use crate::{Change, Database, Error, Result};

/// Limits by quota; what is absent is not limited here.
pub type Limits = BTreeMap<&'static str, Amount>;

/// A subject that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: SubjectId,
    /// What it is called.
    pub subject: Subject,
}

/// A limit, and whom it is set for.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Whose.
    pub holder: Holder,
    /// Which.
    pub key: Key,
    /// How much.
    pub amount: Amount,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

/// Reads a column that names a quota.
pub(super) fn key(table: &'static str, text: &str) -> Result<Key> {
    text.parse().map_err(|_| Error::inconsistent(table, "key", text))
}

/// Reads a column that holds a limit.
pub(super) fn amount(value: Option<i64>) -> Amount {
    Amount::of(value.map(i64::unsigned_abs))
}

/// Writes one.
pub(super) fn value(amount: Amount) -> Option<i64> {
    amount.limit().map(|limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// The subject of that name.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, subject: &Subject) -> Result<Option<Known>> {
    let row = sqlx::query!(
        r#"SELECT id FROM subjects WHERE kind = $1 AND name COLLATE "C" = $2"#,
        subject.kind.as_str(),
        subject.name
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Known { id: SubjectId(row.id), subject: subject.clone() }))
}

/// Whether a subject is a member of a team.
///
/// # Errors
/// The database is away.
pub async fn is_member(database: &Database, member: SubjectId, team: SubjectId) -> Result<bool> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM team_members WHERE team_id = $1 AND member_id = $2) AS "is_member!""#,
        team.0,
        member.0
    )
    .fetch_one(database.pool())
    .await?;
    Ok(row.is_member)
}

/// The limits that hold for a subject, each with whether it is its own.
///
/// # Errors
/// The database is away.
pub async fn of(
    database: &Database,
    subject: SubjectId,
) -> Result<BTreeMap<&'static str, (Amount, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT key AS "key!", value, is_own AS "is_own!" FROM effective_quotas WHERE subject_id = $1"#,
        subject.0
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| Ok((key("quotas", &row.key)?.as_str(), (amount(row.value), row.is_own))))
        .collect()
}

/// What holds for all of a kind that have no limit of their own.
///
/// # Errors
/// The database is away.
pub async fn defaults(database: &Database, kind: SubjectKind) -> Result<Limits> {
    let rows = sqlx::query!("SELECT key, value FROM quota_defaults WHERE kind = $1", kind.as_str())
        .fetch_all(database.pool())
        .await?;
    rows.into_iter()
        .map(|row| Ok((key("quota_defaults", &row.key)?.as_str(), amount(row.value))))
        .collect()
}

/// All limits that were set, defaults first. They are as many as somebody typed: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Limit>> {
    let rows = sqlx::query!(
        r#"SELECT kind AS "kind!", NULL AS "name?: String", key AS "key!", value, set_by AS "set_by!", set_at AS "set_at!"
           FROM quota_defaults
           UNION ALL
           SELECT s.kind, s.name, q.key, q.value, q.set_by, q.set_at
           FROM quotas q JOIN subjects s ON s.id = q.subject_id
           ORDER BY 2 NULLS FIRST, 1, 3"#
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = SubjectKind::parse(&row.kind)
                .ok_or_else(|| Error::inconsistent("subjects", "kind", &row.kind))?;
            let holder = match row.name {
                Some(name) => Holder::Subject(Subject { kind, name }),
                None => Holder::Default(kind),
            };
            let (key, amount) = (key("quotas", &row.key)?, amount(row.value));
            Ok(Limit { holder, key, amount, set_by: row.set_by, set_at: row.set_at })
        })
        .collect()
}

/// The limits that were set for a subject or a kind, locked until the change ends. `None` if there is
/// no such subject.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, holder: &Holder) -> Result<Option<Limits>> {
    let rows: Vec<(String, Option<i64>)> = match holder {
        Holder::Subject(subject) => {
            let found = sqlx::query!(
                r#"SELECT id FROM subjects WHERE kind = $1 AND name COLLATE "C" = $2 FOR NO KEY UPDATE"#,
                subject.kind.as_str(),
                subject.name
            )
            .fetch_optional(change.connection())
            .await?;
            let Some(found) = found else { return Ok(None) };
            sqlx::query!("SELECT key, value FROM quotas WHERE subject_id = $1", found.id)
                .fetch_all(change.connection())
                .await?
                .into_iter()
                .map(|row| (row.key, row.value))
                .collect()
        }
        Holder::Default(kind) => sqlx::query!(
            "SELECT key, value FROM quota_defaults WHERE kind = $1 ORDER BY key FOR UPDATE",
            kind.as_str()
        )
        .fetch_all(change.connection())
        .await?
        .into_iter()
        .map(|row| (row.key, row.value))
        .collect(),
    };
    let limits = rows
        .into_iter()
        .map(|(text, value)| Ok((key("quotas", &text)?.as_str(), amount(value))))
        .collect::<Result<_>>()?;
    Ok(Some(limits))
}

/// Sets a limit, or takes it away. It holds from now on, whatever is there already.
///
/// # Errors
/// There is no such subject; the database is away.
pub async fn set(
    change: &mut Change,
    holder: &Holder,
    key: Key,
    amount: Option<Amount>,
    by: &Actor,
) -> Result<()> {
    let (now, by, key) = (change.now(), by.to_string(), key.as_str());
    match (holder, amount) {
        (Holder::Subject(subject), Some(amount)) => {
            let done = sqlx::query!(
                r#"INSERT INTO quotas (subject_id, key, value, set_by, set_at)
                   SELECT id, $3, $4, $5, $6 FROM subjects WHERE kind = $1 AND name COLLATE "C" = $2
                   ON CONFLICT (subject_id, key) DO UPDATE SET value = $4, set_by = $5, set_at = $6"#,
                subject.kind.as_str(),
                subject.name,
                key,
                value(amount),
                by,
                now
            )
            .execute(change.connection())
            .await?;
            crate::models::one("quotas", done.rows_affected())
        }
        (Holder::Subject(subject), None) => {
            sqlx::query!(
                r#"DELETE FROM quotas USING subjects s
                   WHERE s.id = subject_id AND s.kind = $1 AND s.name COLLATE "C" = $2 AND key = $3"#,
                subject.kind.as_str(),
                subject.name,
                key
            )
            .execute(change.connection())
            .await?;
            Ok(())
        }
        (Holder::Default(kind), Some(amount)) => {
            sqlx::query!(
                "INSERT INTO quota_defaults (kind, key, value, set_by, set_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (kind, key) DO UPDATE SET value = $3, set_by = $4, set_at = $5",
                kind.as_str(),
                key,
                value(amount),
                by,
                now
            )
            .execute(change.connection())
            .await?;
            Ok(())
        }
        (Holder::Default(kind), None) => {
            sqlx::query!(
                "DELETE FROM quota_defaults WHERE kind = $1 AND key = $2",
                kind.as_str(),
                key
            )
            .execute(change.connection())
            .await?;
            Ok(())
        }
    }
}
