//! Requests that failed, by version, minute and code.

use domain::{EndpointId, Timestamp, VersionId};
use sqlx::PgConnection;

use crate::{Database, Result};

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// The minute's beginning.
    pub minute: Timestamp,
    /// Which version failed, or refused them.
    pub version: VersionId,
    /// Whether the caller was answered by another version, and this one only tried.
    pub shadow: bool,
    /// The error code of the API.
    pub code: String,
}

/// How many there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// Of which kind.
    pub kind: Kind,
    /// That many.
    pub requests: i64,
}

/// Adds them to those that are there, of endpoints that are.
pub(super) async fn add(tx: &mut PgConnection, failures: &[Failures]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let kinds = || failures.iter().map(|it| &it.kind);
    let endpoints: Vec<_> = kinds().map(|kind| kind.endpoint.0).collect();
    let minutes: Vec<Timestamp> = kinds().map(|kind| kind.minute).collect();
    let versions: Vec<_> = kinds().map(|kind| kind.version.0).collect();
    let shadows: Vec<bool> = kinds().map(|kind| kind.shadow).collect();
    let codes: Vec<String> = kinds().map(|kind| kind.code.clone()).collect();
    let requests: Vec<i64> = failures.iter().map(|it| it.requests).collect();
    sqlx::query!(
        "INSERT INTO capture_failures AS f (endpoint_id, minute, version_id, shadow, code, requests)
         SELECT e.id, minute, version_id, shadow, code, requests
         FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::boolean[], $5::text[], $6::bigint[])
              AS given (endpoint_id, minute, version_id, shadow, code, requests)
         JOIN endpoints e ON e.id = given.endpoint_id
         ON CONFLICT (endpoint_id, minute, version_id, shadow, code)
           DO UPDATE SET requests = f.requests + excluded.requests",
        &endpoints,
        &minutes,
        &versions,
        &shadows,
        &codes,
        &requests
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// An endpoint's failures of some time, by minute, version and code.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Failures>> {
    let rows = sqlx::query!(
        "SELECT minute, version_id, shadow, code, requests FROM capture_failures
         WHERE endpoint_id = $1 AND minute >= $2 AND minute < $3
         ORDER BY minute, version_id, shadow, code",
        endpoint.0,
        since,
        until
    );
    let rows = rows.fetch_all(database.pool()).await?.into_iter();
    let read = rows.map(|row| {
        let version = VersionId(row.version_id);
        let (minute, shadow, code) = (row.minute, row.shadow, row.code);
        Failures { kind: Kind { endpoint, minute, version, shadow, code }, requests: row.requests }
    });
    Ok(read.collect())
}
