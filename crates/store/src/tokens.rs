//! API tokens: keyed hashes only.

use domain::{Actor, Cursor, Limit, Page, SubjectId, Timestamp, TokenId, access::Scope};

use crate::{Change, Database, Error, Result};

/// A token as it may be shown.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is called.
    pub name: String,
    /// Who holds it, as `user:ana`.
    pub holder: String,
    /// Their account.
    pub subject: Option<SubjectId>,
    /// The part of it that may be shown; absent for one that was given to us.
    pub prefix: Option<String>,
    /// What it may be used for; absent: all that its holder may do.
    pub scopes: Option<Vec<Scope>>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was ended before that.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

struct Row {
    id: uuid::Uuid,
    name: String,
    subject: String,
    subject_id: Option<uuid::Uuid>,
    prefix: Option<String>,
    scopes: Option<Vec<String>>,
    created_by: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl TryFrom<Row> for Token {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            scopes: scopes(row.scopes)
                .ok_or_else(|| Error::inconsistent("api_tokens", "scopes", row.id))?,
            id: TokenId(row.id),
            name: row.name,
            holder: row.subject,
            subject: row.subject_id.map(SubjectId),
            prefix: row.prefix,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// Reads scopes as they stand in a row; absent if one of them is none.
pub(crate) fn scopes(written: Option<Vec<String>>) -> Option<Option<Vec<Scope>>> {
    match written {
        None => Some(None),
        Some(scopes) => {
            scopes.iter().map(|scope| scope.parse().ok()).collect::<Option<_>>().map(Some)
        }
    }
}

/// What a token is made of.
pub struct NewToken<'a> {
    /// Its id.
    pub id: TokenId,
    /// The keyed hash of its secret.
    pub hash: [u8; 32],
    /// The part of it that may be shown.
    pub prefix: &'a str,
    /// Who will hold it.
    pub holder: &'a Actor,
    /// Their account.
    pub subject: SubjectId,
    /// What it is called.
    pub name: &'a str,
    /// What it may be used for.
    pub scopes: Option<&'a [Scope]>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, new: &NewToken<'_>, by: &Actor) -> Result<()> {
    let now = change.now();
    let scopes: Option<Vec<String>> =
        new.scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect());
    sqlx::query!(
        "INSERT INTO api_tokens
             (id, hash, subject, subject_id, name, prefix, scopes, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.id.0,
        new.hash.as_slice(),
        new.holder.to_string(),
        new.subject.0,
        new.name,
        new.prefix,
        scopes.as_deref(),
        by.to_string(),
        now,
        new.expires_at
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// The token of that id.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, id: TokenId) -> Result<Option<Token>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, name, subject, subject_id, prefix, scopes, created_by, created_at, expires_at,
                revoked_at, last_used_at
         FROM api_tokens WHERE id = $1",
        id.0
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Token::try_from).transpose()
}

/// Lists tokens that were not revoked, newest first: all, or those of one holder.
///
/// # Errors
/// The database is away; a cursor of another list.
pub async fn list(
    database: &Database,
    holder: Option<SubjectId>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Token>> {
    // Ids sort by the time of their making.
    let before = cursor.map(Cursor::key_as::<TokenId>).transpose()?;
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, name, subject, subject_id, prefix, scopes, created_by, created_at, expires_at,
                revoked_at, last_used_at
         FROM api_tokens
         WHERE revoked_at IS NULL AND ($1::uuid IS NULL OR subject_id = $1)
           AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
        holder.map(|holder| holder.0),
        before.map(|id| id.0),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let tokens = rows.into_iter().map(Token::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(tokens, limit, |token| token.id.to_string()))
}

/// How many tokens of a holder are neither revoked nor over.
///
/// # Errors
/// The database is away.
pub async fn count(change: &mut Change, holder: SubjectId) -> Result<i64> {
    let now = change.now();
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!" FROM api_tokens
           WHERE subject_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"#,
        holder.0,
        now
    )
    .fetch_one(change.connection())
    .await?;
    Ok(row.count)
}

/// Ends a token. `false` if it had been ended before.
///
/// # Errors
/// The database is away.
pub async fn revoke(change: &mut Change, id: TokenId) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends for good the tokens whose time is over, so that a clock that goes back does not bring them
/// back. Bookkeeping: no change that is audited.
///
/// # Errors
/// The database is away.
pub async fn end_expired(database: &Database) -> Result<()> {
    sqlx::query!(
        "UPDATE api_tokens SET revoked_at = expires_at WHERE revoked_at IS NULL AND expires_at <= $1",
        database.now()
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Notes when tokens were last used. Bookkeeping: no change that is audited.
///
/// # Errors
/// The database is away.
pub async fn touch(database: &Database, used: &[(TokenId, Timestamp)]) -> Result<()> {
    let (ids, times): (Vec<_>, Vec<_>) = used.iter().map(|(id, at)| (id.0, *at)).unzip();
    sqlx::query!(
        "UPDATE api_tokens t SET last_used_at = u.at
         FROM UNNEST($1::uuid[], $2::timestamptz[]) AS u (id, at)
         WHERE t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)",
        &ids,
        &times
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Makes this the only valid token of that name that was installed for the user: others are
/// revoked. `false` if it was so before.
///
/// # Errors
/// The database is away.
pub async fn install(
    change: &mut Change,
    user: &Actor,
    name: &str,
    hash: &[u8; 32],
    by: &Actor,
) -> Result<bool> {
    let now = change.now();
    sqlx::query!(
        "UPDATE api_tokens SET revoked_at = $4
         WHERE subject = $1 AND name = $2 AND created_by = $5 AND hash <> $3 AND revoked_at IS NULL",
        user.to_string(),
        name,
        hash.as_slice(),
        now,
        by.to_string()
    )
    .execute(change.connection())
    .await?;
    let done = sqlx::query!(
        "INSERT INTO api_tokens (id, hash, subject, subject_id, name, created_by, created_at)
         VALUES ($1, $2, $3, (SELECT id FROM subjects WHERE kind = 'user' AND name = $4), $5, $6, $7)
         ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL WHERE api_tokens.revoked_at IS NOT NULL",
        TokenId::new().0,
        hash.as_slice(),
        user.to_string(),
        &*user.name,
        name,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
