//! API tokens: keyed hashes only.

use domain::{Actor, ActorKind, SubjectId, Timestamp, TokenId, access::Scope};

use crate::{Change, Database, Error, Result};

/// A token that is neither revoked nor expired.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The keyed hash of its secret.
    pub hash: [u8; 32],
    /// Whom it speaks for.
    pub actor: Actor,
    /// Their account.
    pub subject: Option<SubjectId>,
    /// What it may be used for; absent: all that its holder may do.
    pub scopes: Option<Vec<Scope>>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// All tokens that are valid now. There are few: they fit in memory.
///
/// # Errors
/// The database is away.
pub async fn valid(database: &Database) -> Result<Vec<Token>> {
    let rows = sqlx::query!(
        "SELECT id, hash, subject, subject_id, scopes, expires_at FROM api_tokens
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |column| Error::inconsistent("api_tokens", column, row.id);
            Ok(Token {
                id: TokenId(row.id),
                hash: row.hash.as_slice().try_into().map_err(|_| wrong("hash"))?,
                actor: subject(&row.subject).ok_or_else(|| wrong("subject"))?,
                subject: row.subject_id.map(SubjectId),
                scopes: row
                    .scopes
                    .map(|scopes| scopes.iter().map(|scope| scope.parse()).collect())
                    .transpose()
                    .map_err(|_| wrong("scopes"))?,
                expires_at: row.expires_at,
            })
        })
        .collect()
}

fn subject(written: &str) -> Option<Actor> {
    let (kind, name) = written.split_once(':')?;
    let kind = [ActorKind::User, ActorKind::Service, ActorKind::System]
        .into_iter()
        .find(|k| k.as_str() == kind)?;
    Some(Actor { kind, name: name.to_owned() })
}

/// Makes this the only valid token of that name that the subject has: others are revoked. `false`
/// if it was so before.
///
/// # Errors
/// The database is away.
pub async fn replace(
    change: &mut Change,
    subject: &Actor,
    name: &str,
    hash: &[u8; 32],
) -> Result<bool> {
    let now = change.now();
    sqlx::query!(
        "UPDATE api_tokens SET revoked_at = $4
         WHERE subject = $1 AND name = $2 AND hash <> $3 AND revoked_at IS NULL",
        subject.to_string(),
        name,
        hash.as_slice(),
        now
    )
    .execute(change.connection())
    .await?;
    let done = sqlx::query!(
        "INSERT INTO api_tokens (id, hash, subject, subject_id, name, created_at)
         VALUES ($1, $2, $3, (SELECT id FROM subjects WHERE kind || ':' || name = $3), $4, $5)
         ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL WHERE api_tokens.revoked_at IS NOT NULL",
        TokenId::new().0,
        hash.as_slice(),
        subject.to_string(),
        name,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
