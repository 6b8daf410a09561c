//! Browsers that are logged in. What they hold is known by keyed hash alone.

use chrono::TimeDelta;
use domain::{Cursor, Limit, Page, SessionId, SubjectId, Timestamp};

use crate::{Change, Database, Result};

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub subject: SubjectId,
    /// The user's name.
    pub user: String,
    /// Whether they must change their password before anything else.
    pub must_change_password: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// Where it began.
    pub address: Option<String>,
    /// In which program.
    pub user_agent: Option<String>,
}

/// `select_session!("WHERE …", arguments)`: every read of a session gathers the same columns.
macro_rules! select_session {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query!(
            r#"SELECT e.id, e.subject_id, s.name, (a.must_change_password AND e.origin = 'password') AS "must_change_password!", e.created_at, e.last_seen_at,
                    e.expires_at, e.address, e.user_agent
             FROM sessions e JOIN subjects s ON s.id = e.subject_id JOIN accounts a ON a.id = e.subject_id "#
                + $rest
            $(, $argument)*
        )
    };
}

macro_rules! session {
    ($row:ident) => {
        Session {
            id: SessionId($row.id),
            subject: SubjectId($row.subject_id),
            user: $row.name,
            must_change_password: $row.must_change_password,
            created_at: $row.created_at,
            last_seen_at: $row.last_seen_at,
            expires_at: $row.expires_at,
            address: $row.address,
            user_agent: $row.user_agent,
        }
    };
}

/// The session of that hash, if it goes on and its user is enabled.
///
/// # Errors
/// The database is away.
pub async fn find(
    database: &Database,
    hash: &[u8; 32],
    now: Timestamp,
    idle: TimeDelta,
) -> Result<Option<Session>> {
    let row = select_session!(
        "WHERE e.hash = $1 AND e.expires_at > $2 AND e.last_seen_at > $3 AND s.disabled_at IS NULL",
        hash.as_slice(),
        now,
        now - idle
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| session!(row)))
}

/// Lists a user's sessions, newest first.
///
/// # Errors
/// The database is away; a cursor of another list.
pub async fn list(
    database: &Database,
    subject: SubjectId,
    idle: TimeDelta,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Session>> {
    let before = cursor.map(Cursor::key_as::<SessionId>).transpose()?;
    let now = database.now();
    let rows = select_session!(
        "WHERE e.subject_id = $1 AND e.expires_at > $2 AND e.last_seen_at > $3
           AND ($4::uuid IS NULL OR e.id < $4)
         ORDER BY e.id DESC LIMIT $5",
        subject.0,
        now,
        now - idle,
        before.map(|id| id.0),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let sessions = rows.into_iter().map(|row| session!(row)).collect();
    Ok(Page::from_rows(sessions, limit, |session: &Session| session.id.to_string()))
}

/// What a session is made of.
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// The keyed hash of what the browser holds.
    pub hash: [u8; 32],
    /// Whose.
    pub subject: SubjectId,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// Where it begins.
    pub address: Option<&'a str>,
    /// In which program.
    pub user_agent: Option<&'a str>,
    /// Whether an identity provider told who they are, in place of a password.
    pub by_provider: bool,
}

/// Begins a session.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, new: &NewSession<'_>) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO sessions (id, hash, subject_id, created_at, last_seen_at, expires_at, address, user_agent, origin)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)",
        new.id.0,
        new.hash.as_slice(),
        new.subject.0,
        now,
        new.expires_at,
        new.address,
        new.user_agent,
        if new.by_provider { "oidc" } else { "password" }
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Notes that a session is used. Bookkeeping: no change that is audited.
///
/// # Errors
/// The database is away.
pub async fn touch(database: &Database, id: SessionId, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2",
        id.0,
        now
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Ends a session of a user: whether an identity provider told who they are. Absent if there is none such.
///
/// # Errors
/// The database is away.
pub async fn delete(
    change: &mut Change,
    id: SessionId,
    subject: SubjectId,
) -> Result<Option<bool>> {
    let gone = sqlx::query_scalar!(
        r#"DELETE FROM sessions WHERE id = $1 AND subject_id = $2 RETURNING origin = 'oidc' AS "by_provider!""#,
        id.0,
        subject.0
    );
    Ok(gone.fetch_optional(change.connection()).await?)
}

/// Ends all sessions of a user; answers how many.
///
/// # Errors
/// The database is away.
pub async fn delete_all(change: &mut Change, subject: SubjectId) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM sessions WHERE subject_id = $1", subject.0)
        .execute(change.connection())
        .await?;
    Ok(done.rows_affected())
}

/// Forgets sessions that are over. Bookkeeping: no change that is audited.
///
/// # Errors
/// The database is away.
pub async fn forget_ended(database: &Database, idle: TimeDelta) -> Result<()> {
    let now = database.now();
    sqlx::query!(
        "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2",
        now,
        now - idle
    )
    .execute(database.pool())
    .await?;
    Ok(())
}
