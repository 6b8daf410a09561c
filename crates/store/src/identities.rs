//! Everybody who may call, as one snapshot that fits in memory.

use chrono::TimeDelta;
use domain::{Actor, ActorKind, SubjectId, Timestamp, TokenId, TrustId, access::Scope};

use crate::{Database, Error, Result, tokens::scopes};

/// How long it is remembered that a token is no more, so that its holder hears why it is refused.
const REMEMBERED: TimeDelta = TimeDelta::days(30);

/// A token that a caller may hold.
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
    /// When it was ended before that.
    pub revoked_at: Option<Timestamp>,
    /// Whether its holder is disabled.
    pub disabled: bool,
}

/// A user who can log in by password.
#[derive(Debug, Clone)]
pub struct User {
    /// Their id.
    pub id: SubjectId,
    /// Another one for each password that is set.
    pub password_mark: Vec<u8>,
    /// Whether it must be changed first.
    pub must_change_password: bool,
}

/// Everybody who may call, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The revision of that moment.
    pub revision: i64,
    /// All tokens that are valid, and those that ended not long ago.
    pub tokens: Vec<Token>,
    /// All enabled users with a password.
    pub users: Vec<User>,
    /// Whose tokens are exchanged for which enabled service account's.
    pub trusts: Vec<(TrustId, SubjectId)>,
}

/// Reads all of it as of one moment.
///
/// # Errors
/// The database is away.
pub async fn load(database: &Database) -> Result<Snapshot> {
    let mut tx = database.pool().begin().await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *tx)
        .await?;
    let revision = sqlx::query!("SELECT revision FROM access_revision").fetch_one(&mut *tx).await?;
    let rows = sqlx::query!(
        r#"SELECT t.id, t.hash, t.subject, t.subject_id, t.scopes, t.expires_at, t.revoked_at,
                  EXISTS (SELECT FROM subjects s WHERE s.id = t.subject_id AND s.disabled_at IS NOT NULL) AS "disabled!"
           FROM api_tokens t
           WHERE (t.revoked_at IS NULL OR t.revoked_at > $1) AND (t.expires_at IS NULL OR t.expires_at > $1)"#,
        database.now() - REMEMBERED
    )
    .fetch_all(&mut *tx)
    .await?;
    let users = sqlx::query!(
        r#"SELECT a.id, sha256(convert_to(a.password_hash, 'UTF8')) AS "mark!", a.must_change_password
           FROM accounts a JOIN subjects s ON s.id = a.id
           WHERE s.kind = 'user' AND s.disabled_at IS NULL AND a.password_hash IS NOT NULL"#
    )
    .fetch_all(&mut *tx)
    .await?;
    let trusts = sqlx::query!(
        "SELECT t.id, t.service_id FROM oidc_trusts t JOIN subjects s ON s.id = t.service_id
         WHERE s.disabled_at IS NULL"
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let tokens = rows
        .into_iter()
        .map(|row| {
            let wrong = |column| Error::inconsistent("api_tokens", column, row.id);
            Ok(Token {
                id: TokenId(row.id),
                hash: row.hash.as_slice().try_into().map_err(|_| wrong("hash"))?,
                actor: actor(&row.subject).ok_or_else(|| wrong("subject"))?,
                subject: row.subject_id.map(SubjectId),
                scopes: scopes(row.scopes).ok_or_else(|| wrong("scopes"))?,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                disabled: row.disabled,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let users = users.into_iter().map(|row| User {
        id: SubjectId(row.id),
        password_mark: row.mark,
        must_change_password: row.must_change_password,
    });
    let trusts = trusts.into_iter().map(|row| (TrustId(row.id), SubjectId(row.service_id)));
    let (users, trusts) = (users.collect(), trusts.collect());
    Ok(Snapshot { revision: revision.revision, tokens, users, trusts })
}

fn actor(written: &str) -> Option<Actor> {
    let (kind, name) = written.split_once(':')?;
    // Parts of Bottega have no tokens: a row that says otherwise was not written by us.
    let kind = [ActorKind::User, ActorKind::Service].into_iter().find(|k| k.as_str() == kind)?;
    Some(Actor { kind, name: name.into() })
}
