//! Which user somebody is whom a provider knows.

use domain::{Actor, IdentityId, Problem, SubjectId, Timestamp};

use crate::{Change, Database, Error, Result, error::breaks};

/// Somebody at a provider, and the user that they are here.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The provider.
    pub issuer: String,
    /// What the provider calls them, for good.
    pub subject: String,
    /// The user.
    pub user: String,
    /// Who said so, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When they last logged in so.
    pub last_login_at: Option<Timestamp>,
}

/// A user as whoever logs in finds them.
#[derive(Debug, Clone)]
pub struct Found {
    /// Their id.
    pub account: SubjectId,
    /// Their name.
    pub user: String,
    /// Whether they are kept out.
    pub disabled: bool,
}

/// The user whom a provider calls so.
///
/// # Errors
/// The database is away.
pub async fn find(change: &mut Change, issuer: &str, subject: &str) -> Result<Option<Found>> {
    let row = sqlx::query!(
        r#"SELECT i.account_id, s.name, s.disabled_at IS NOT NULL AS "disabled!"
           FROM oidc_identities i JOIN subjects s ON s.id = i.account_id
           WHERE i.issuer = $1 COLLATE "C" AND i.subject = $2 COLLATE "C""#,
        issuer,
        subject
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| Found {
        account: SubjectId(row.account_id),
        user: row.name,
        disabled: row.disabled,
    }))
}

/// Says which user somebody is.
///
/// # Errors
/// They are one already; the database is away.
pub async fn insert(
    change: &mut Change,
    issuer: &str,
    subject: &str,
    account: SubjectId,
    by: &Actor,
) -> Result<IdentityId> {
    let (id, now) = (IdentityId::new(), change.now());
    sqlx::query!(
        "INSERT INTO oidc_identities (id, issuer, subject, account_id, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id.0,
        issuer,
        subject,
        account.0,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "oidc_identities_key") {
            return Problem::conflict(format!("`{subject}` of {issuer} is a user already"))
                .at("subject")
                .hint("bottega oidc identities list tells which; bottega oidc identities unlink ends it")
                .into();
        }
        Error::from(error)
    })?;
    Ok(id)
}

/// Notes that somebody logs in.
///
/// # Errors
/// The database is away.
pub async fn touch(change: &mut Change, issuer: &str, subject: &str) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        r#"UPDATE oidc_identities SET last_login_at = $3
           WHERE issuer = $1 COLLATE "C" AND subject = $2 COLLATE "C""#,
        issuer,
        subject,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// All of them by user, at most `limit`.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, user: Option<&str>, limit: i64) -> Result<Vec<Identity>> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.issuer, i.subject, s.name, i.created_by, i.created_at, i.last_login_at
           FROM oidc_identities i JOIN subjects s ON s.id = i.account_id
           WHERE $1::text IS NULL OR s.name = $1
           ORDER BY s.name COLLATE "C", i.id LIMIT $2"#,
        user,
        limit
    )
    .fetch_all(database.pool())
    .await?;
    let identities = rows.into_iter().map(|row| Identity {
        id: IdentityId(row.id),
        issuer: row.issuer,
        subject: row.subject,
        user: row.name,
        created_by: row.created_by,
        created_at: row.created_at,
        last_login_at: row.last_login_at,
    });
    Ok(identities.collect())
}

/// Says that somebody is that user no more, and ends the sessions that they came to by a provider.
/// Answers whom it was about; absent where there is none of that id.
///
/// # Errors
/// The database is away.
pub async fn delete(
    change: &mut Change,
    id: IdentityId,
) -> Result<Option<(SubjectId, String, String)>> {
    let row = sqlx::query!(
        "DELETE FROM oidc_identities WHERE id = $1 RETURNING account_id, issuer, subject",
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    sqlx::query!("DELETE FROM sessions WHERE subject_id = $1 AND origin = 'oidc'", row.account_id)
        .execute(change.connection())
        .await?;
    Ok(Some((SubjectId(row.account_id), row.issuer, row.subject)))
}
