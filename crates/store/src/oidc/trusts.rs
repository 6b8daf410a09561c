//! Whose tokens are exchanged for tokens of a service account.

use std::collections::BTreeMap;

use domain::{Actor, Problem, SubjectId, Timestamp, TrustId, access::Scope};

use crate::{Change, Database, Error, Result, error::breaks, tokens::scopes};

/// Whose tokens are taken, what they must say, and whom they then speak for.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Its id.
    pub id: TrustId,
    /// What it is called.
    pub name: String,
    /// Who signs.
    pub issuer: String,
    /// For whom the token must be.
    pub audience: String,
    /// The service account.
    pub service: SubjectId,
    /// What that is called.
    pub service_name: String,
    /// Whether it is kept out.
    pub service_disabled: bool,
    /// Claim to the value that it must have, which may end in `*`.
    pub claims: BTreeMap<String, String>,
    /// What the token may be used for; absent: all that the service account may do.
    pub scopes: Option<Vec<Scope>>,
    /// Who made it, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct Row {
    id: uuid::Uuid,
    name: String,
    issuer: String,
    audience: String,
    service_id: uuid::Uuid,
    service: String,
    disabled: bool,
    claims: serde_json::Value,
    scopes: Option<Vec<String>>,
    created_by: String,
    created_at: Timestamp,
}

impl TryFrom<Row> for Trust {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |column| Error::inconsistent("oidc_trusts", column, row.id);
        Ok(Self {
            id: TrustId(row.id),
            claims: serde_json::from_value(row.claims).map_err(|_| wrong("claims"))?,
            scopes: scopes(row.scopes).ok_or_else(|| wrong("scopes"))?,
            name: row.name,
            issuer: row.issuer,
            audience: row.audience,
            service: SubjectId(row.service_id),
            service_name: row.service,
            service_disabled: row.disabled,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

/// `select_trust!("WHERE …", arguments)`: every read of a trust gathers the same columns.
macro_rules! select_trust {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT t.id, t.name, t.issuer, t.audience, t.service_id, s.name AS service,
                      s.disabled_at IS NOT NULL AS "disabled!", t.claims, t.scopes, t.created_by, t.created_at
               FROM oidc_trusts t JOIN subjects s ON s.id = t.service_id "#
                + $rest
            $(, $argument)*
        )
    };
}

/// All of them by name. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Trust>> {
    let rows = select_trust!("ORDER BY t.name").fetch_all(database.pool()).await?;
    rows.into_iter().map(Trust::try_from).collect()
}

/// Those of an issuer, by name.
///
/// # Errors
/// The database is away.
pub async fn of(database: &Database, issuer: &str) -> Result<Vec<Trust>> {
    let rows = select_trust!(r#"WHERE t.issuer = $1 COLLATE "C" ORDER BY t.name"#, issuer);
    rows.fetch_all(database.pool()).await?.into_iter().map(Trust::try_from).collect()
}

/// The one of that name, kept as it is until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, name: &str) -> Result<Option<Trust>> {
    let row = select_trust!("WHERE t.name = $1 FOR UPDATE OF t", name);
    row.fetch_optional(change.connection()).await?.map(Trust::try_from).transpose()
}

/// Keeps a new one; `created_at` is the change's own.
///
/// # Errors
/// There is one of that name; the database is away.
pub async fn insert(change: &mut Change, new: &Trust, by: &Actor) -> Result<()> {
    let now = change.now();
    let scopes: Option<Vec<String>> =
        new.scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect());
    let claims = serde_json::json!(new.claims);
    sqlx::query!(
        "INSERT INTO oidc_trusts (id, name, issuer, audience, service_id, claims, scopes, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id.0,
        new.name,
        new.issuer,
        new.audience,
        new.service.0,
        claims,
        scopes.as_deref(),
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "oidc_trusts_name") {
            return Problem::conflict(format!("there is a trust `{}`", new.name)).at("name").into();
        }
        Error::from(error)
    })?;
    Ok(())
}

/// Ends one.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: TrustId) -> Result<()> {
    sqlx::query!("DELETE FROM oidc_trusts WHERE id = $1", id.0)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Notes that a token is exchanged, so that it is not a second time. `false` if it was before.
/// Bookkeeping: what is audited of it is recorded by `auth`.
///
/// # Errors
/// The database is away.
pub async fn note_exchanged(
    database: &Database,
    hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO oidc_exchanged (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        hash.as_slice(),
        expires_at
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}
