//! What is kept sealed under the platform's secret key. What is sealed, and how, is not known here.

use domain::WebhookId;

use crate::{Change, Database, Result, models::one};

/// The kinds of sealed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What deliveries of webhooks are signed by.
    Webhook,
    /// What hashes of tokens are keyed by.
    HashKey,
    /// What short-lived tokens are signed by.
    SigningKey,
    /// What servers of others are told.
    Credential,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Webhook, Self::HashKey, Self::SigningKey, Self::Credential];

    /// For people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhooks",
            Self::HashKey => "hash key",
            Self::SigningKey => "signing keys",
            Self::Credential => "credentials",
        }
    }
}

/// A sealed row.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Its id; nil for the hash key, of which there is one.
    pub id: uuid::Uuid,
    /// What is sealed.
    pub sealed: Vec<u8>,
}

/// All sealed rows of a kind, by id.
///
/// # Errors
/// The database is away.
pub async fn all(database: &Database, kind: Kind) -> Result<Vec<Sealed>> {
    let pool = database.pool();
    Ok(match kind {
        Kind::Webhook => sqlx::query_as!(
            Sealed,
            r#"SELECT id, secret AS "sealed!" FROM webhooks WHERE secret IS NOT NULL ORDER BY id"#
        )
        .fetch_all(pool)
        .await?,
        Kind::HashKey => hash_key(database).await?.into_iter().map(only).collect(),
        Kind::SigningKey => {
            sqlx::query_as!(Sealed, "SELECT id, sealed FROM signing_keys ORDER BY id")
                .fetch_all(pool)
                .await?
        }
        Kind::Credential => {
            sqlx::query_as!(Sealed, "SELECT id, sealed FROM credentials ORDER BY id")
                .fetch_all(pool)
                .await?
        }
    })
}

fn only(sealed: Vec<u8>) -> Sealed {
    Sealed { id: uuid::Uuid::nil(), sealed }
}

/// One sealed row, locked until the change ends; absent where it is gone.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, kind: Kind, id: uuid::Uuid) -> Result<Option<Sealed>> {
    Ok(match kind {
        Kind::Webhook => crate::webhooks::lock(change, WebhookId(id))
            .await?
            .and_then(|webhook| webhook.secret)
            .map(|sealed| Sealed { id, sealed }),
        Kind::HashKey => sqlx::query_scalar!("SELECT sealed FROM hash_keys FOR UPDATE")
            .fetch_optional(change.connection())
            .await?
            .map(only),
        Kind::SigningKey => {
            sqlx::query_as!(
                Sealed,
                "SELECT id, sealed FROM signing_keys WHERE id = $1 FOR UPDATE",
                id
            )
            .fetch_optional(change.connection())
            .await?
        }
        Kind::Credential => {
            sqlx::query_as!(
                Sealed,
                "SELECT id, sealed FROM credentials WHERE id = $1 FOR UPDATE",
                id
            )
            .fetch_optional(change.connection())
            .await?
        }
    })
}

/// Puts the same secret, sealed anew, in the place of a row that the change has locked.
///
/// # Errors
/// The row is gone; the database is away.
pub async fn replace(change: &mut Change, kind: Kind, id: uuid::Uuid, sealed: &[u8]) -> Result<()> {
    let connection = change.connection();
    let (table, done) = match kind {
        Kind::Webhook => {
            let query = sqlx::query!("UPDATE webhooks SET secret = $2 WHERE id = $1", id, sealed);
            ("webhooks", query.execute(connection).await?)
        }
        Kind::HashKey => {
            let query = sqlx::query!("UPDATE hash_keys SET sealed = $1", sealed);
            ("hash_keys", query.execute(connection).await?)
        }
        Kind::SigningKey => {
            let query =
                sqlx::query!("UPDATE signing_keys SET sealed = $2 WHERE id = $1", id, sealed);
            ("signing_keys", query.execute(connection).await?)
        }
        Kind::Credential => {
            let query =
                sqlx::query!("UPDATE credentials SET sealed = $2 WHERE id = $1", id, sealed);
            ("credentials", query.execute(connection).await?)
        }
    };
    one(table, done.rows_affected())
}

/// The sealed key that hashes are keyed by; absent before the first start.
///
/// # Errors
/// The database is away.
pub async fn hash_key(database: &Database) -> Result<Option<Vec<u8>>> {
    Ok(sqlx::query_scalar!("SELECT sealed FROM hash_keys").fetch_optional(database.pool()).await?)
}

/// Keeps the key that hashes are keyed by, if there is none yet. `false` if there is.
///
/// # Errors
/// The database is away.
pub async fn insert_hash_key(change: &mut Change, sealed: &[u8]) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "INSERT INTO hash_keys (sealed, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        sealed,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether hashes of tokens are kept already: then the key that made them must stay.
///
/// # Errors
/// The database is away.
pub async fn has_hashes(change: &mut Change) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM api_tokens) AS "any!""#)
        .fetch_one(change.connection())
        .await?)
}
