//! Log-ins that were begun in a browser and are not back yet. Bookkeeping that no permit is needed
//! for; what is audited of it is recorded by `auth`.

use domain::{SubjectId, Timestamp};

use crate::{Change, Database, Error, Result};

/// The most that are on their way at a time; beyond, those that end first are forgotten.
const MOST: i64 = 100_000;

/// Where whoever logs in goes afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// To this path of this server.
    Path(String),
    /// To a command that waits on this machine.
    Command(Command),
}

/// A command that waits for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Where.
    pub port: u16,
    /// The SHA-256 of what it will show, in Base64 for URLs.
    pub challenge: String,
}

/// Notes that one is begun.
///
/// # Errors
/// The database is away.
pub async fn begin(
    database: &Database,
    hash: &[u8; 32],
    then: &Then,
    expires_at: Timestamp,
) -> Result<()> {
    let (return_to, command) = match then {
        Then::Path(path) => (path.as_str(), None),
        Then::Command(command) => ("/", Some(command)),
    };
    sqlx::query!(
        "INSERT INTO oidc_logins (hash, return_to, cli_port, cli_challenge, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        hash.as_slice(),
        return_to,
        command.map(|command| i32::from(command.port)),
        command.map(|command| command.challenge.as_str()),
        expires_at
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Takes one away; answers where to go afterwards. Absent where there is none, it was taken before,
/// or it took too long.
///
/// # Errors
/// The database is away.
pub async fn take(database: &Database, hash: &[u8; 32]) -> Result<Option<Then>> {
    let taken = sqlx::query!(
        "DELETE FROM oidc_logins WHERE hash = $1
         RETURNING return_to, cli_port, cli_challenge, expires_at",
        hash.as_slice()
    )
    .fetch_optional(database.pool())
    .await?;
    let now = database.now();
    let Some(row) = taken.filter(|row| now < row.expires_at) else { return Ok(None) };
    let (Some(port), Some(challenge)) = (row.cli_port, row.cli_challenge) else {
        return Ok(Some(Then::Path(row.return_to)));
    };
    let wrong = |_| Error::inconsistent("oidc_logins", "cli_port", port);
    let port = u16::try_from(port).map_err(wrong)?;
    Ok(Some(Then::Command(Command { port, challenge })))
}

/// Keeps what a command exchanges for a token of that account.
///
/// # Errors
/// The database is away.
pub async fn insert_code(
    change: &mut Change,
    hash: &[u8; 32],
    account: SubjectId,
    challenge: &str,
    expires_at: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO oidc_cli_codes (hash, account_id, challenge, expires_at) VALUES ($1, $2, $3, $4)",
        hash.as_slice(),
        account.0,
        challenge,
        expires_at
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Takes that away; answers whose it is, if they are enabled. Absent where there is none, it was taken
/// before, it took too long, or what is shown is not what was announced.
///
/// # Errors
/// The database is away.
pub async fn take_code(
    database: &Database,
    hash: &[u8; 32],
    challenge: &str,
) -> Result<Option<(SubjectId, String)>> {
    let row = sqlx::query!(
        r#"DELETE FROM oidc_cli_codes c USING subjects s
           WHERE c.hash = $1 AND s.id = c.account_id
           RETURNING c.account_id, c.challenge, c.expires_at, s.name, s.disabled_at IS NULL AS "enabled!""#,
        hash.as_slice()
    )
    .fetch_optional(database.pool())
    .await?;
    let now = database.now();
    let good = row.filter(|row| row.enabled && now < row.expires_at && row.challenge == challenge);
    Ok(good.map(|row| (SubjectId(row.account_id), row.name)))
}

/// Forgets what is over, and what is beyond the most that are kept.
///
/// # Errors
/// The database is away.
pub async fn forget_old(database: &Database) -> Result<()> {
    let now = database.now();
    sqlx::query!("DELETE FROM oidc_logins WHERE expires_at <= $1", now)
        .execute(database.pool())
        .await?;
    sqlx::query!(
        "DELETE FROM oidc_logins WHERE hash IN
             (SELECT hash FROM oidc_logins ORDER BY expires_at DESC OFFSET $1)",
        MOST
    )
    .execute(database.pool())
    .await?;
    sqlx::query!("DELETE FROM oidc_cli_codes WHERE expires_at <= $1", now)
        .execute(database.pool())
        .await?;
    sqlx::query!("DELETE FROM oidc_exchanged WHERE expires_at <= $1", now)
        .execute(database.pool())
        .await?;
    Ok(())
}
