//! Releases: what an endpoint served, serves and is about to serve. Their list is who was live when.

use domain::{
    Actor, Cursor, EndpointId, EndpointRef, Limit, ModelName, NodeId, Page, ReleaseState,
    RequestId, Timestamp, VersionId, WeightedVersion, rollout, serving::Settings,
};
use serde_json::{Value, json};

use crate::{Change, Database, Error, Result, contracts, endpoints::Endpoint, models::one};

/// A version in a release, by its names.
#[derive(Debug, Clone)]
pub struct Share {
    /// The version.
    pub version: VersionId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number.
    pub number: i32,
    /// Its share of the traffic in percent.
    pub weight: i32,
}

/// A release.
#[derive(Debug, Clone)]
pub struct Release {
    /// The endpoint that it is of.
    pub endpoint_id: EndpointId,
    /// Its number in the endpoint, from 1.
    pub number: i32,
    /// How far it has come.
    pub state: ReleaseState,
    /// Why it was made.
    pub reason: Option<String>,
    /// Why it ended the way it did.
    pub outcome: Option<String>,
    /// How long its versions may take to become ready.
    pub deadline_seconds: i32,
    /// What it serves.
    pub shares: Vec<Share>,
    /// How.
    pub serving: Settings,
    /// Who made it, as `user:ana`.
    pub created_by: String,
    /// The request that asked for it.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it completed, failed or was aborted.
    pub finished_at: Option<Timestamp>,
}

impl Release {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        let versions: Vec<_> = self
            .shares
            .iter()
            .map(|share| json!({"model": share.model, "version": share.number, "weight": share.weight}))
            .collect();
        json!({
            "release": self.number, "state": self.state, "versions": versions,
            "serving": self.serving,
        })
    }
}

struct Row {
    endpoint_id: uuid::Uuid,
    number: i32,
    state: String,
    reason: Option<String>,
    outcome: Option<String>,
    deadline_seconds: i32,
    created_by: String,
    request_id: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    serving: Value,
    shares: Value,
}

#[derive(serde::Deserialize)]
struct ShareRow {
    version: VersionId,
    model: ModelName,
    number: i32,
    weight: i32,
}

impl TryFrom<Row> for Release {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = || format!("{}/{}", row.endpoint_id, row.number);
        let shares: Vec<ShareRow> = serde_json::from_value(row.shares)
            .map_err(|_| Error::inconsistent("release_versions", "version_id", id()))?;
        let serving = serde_json::from_value(row.serving)
            .map_err(|_| Error::inconsistent("releases", "serving", id()))?;
        Ok(Self {
            serving,
            state: row.state.parse().map_err(|_| Error::inconsistent("releases", "state", id()))?,
            endpoint_id: EndpointId(row.endpoint_id),
            number: row.number,
            reason: row.reason,
            outcome: row.outcome,
            deadline_seconds: row.deadline_seconds,
            shares: shares
                .into_iter()
                .map(|ShareRow { version, model, number, weight }| Share {
                    version,
                    model,
                    number,
                    weight,
                })
                .collect(),
            created_by: row.created_by,
            request_id: row.request_id,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// `select_release!("WHERE …", arguments)`: every read of a release gathers the same columns.
macro_rules! select_release {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT r.endpoint_id, r.number, r.state, r.reason, r.outcome, r.deadline_seconds, r.created_by, r.request_id,
                      r.created_at, r.finished_at, r.serving,
                      (SELECT coalesce(jsonb_agg(jsonb_build_object('version', v.id, 'model', m.name, 'number', v.number,
                                                                    'weight', rv.weight) ORDER BY rv.weight DESC, v.id), '[]')
                       FROM release_versions rv
                       JOIN model_versions v ON v.id = rv.version_id
                       JOIN models m ON m.id = v.model_id
                       WHERE rv.endpoint_id = r.endpoint_id AND rv.number = r.number) AS "shares!"
               FROM releases r "# + $rest
            $(, $argument)*
        )
    };
}

/// The release of that number.
///
/// # Errors
/// The database is away.
pub async fn get(
    database: &Database,
    endpoint: EndpointId,
    number: i32,
) -> Result<Option<Release>> {
    let row = select_release!("WHERE r.endpoint_id = $1 AND r.number = $2", endpoint.0, number)
        .fetch_optional(database.pool())
        .await?;
    row.map(Release::try_from).transpose()
}

/// The releases of these numbers, each of its endpoint; those that are gone are left out.
///
/// # Errors
/// The database is away.
pub async fn get_many(database: &Database, wanted: &[(EndpointId, i32)]) -> Result<Vec<Release>> {
    let (endpoints, numbers): (Vec<uuid::Uuid>, Vec<i32>) =
        wanted.iter().map(|(endpoint, number)| (endpoint.0, *number)).unzip();
    let rows = select_release!(
        "JOIN unnest($1::uuid[], $2::integer[]) AS wanted (endpoint_id, number)
           ON wanted.endpoint_id = r.endpoint_id AND wanted.number = r.number",
        &endpoints,
        &numbers
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter().map(Release::try_from).collect()
}

/// The release of that number, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn find(
    change: &mut Change,
    endpoint: EndpointId,
    number: i32,
) -> Result<Option<Release>> {
    let row = select_release!("WHERE r.endpoint_id = $1 AND r.number = $2", endpoint.0, number)
        .fetch_optional(change.connection())
        .await?;
    row.map(Release::try_from).transpose()
}

/// The release whose settings the next one has unless others are asked for: the one on its way, else
/// the one that answers, else the last one that there was.
///
/// # Errors
/// The database is away.
pub async fn present(change: &mut Change, endpoint: &Endpoint) -> Result<Option<Release>> {
    let number = endpoint.target_release.or(endpoint.live_release);
    find(change, endpoint.id, number.unwrap_or(endpoint.last_release)).await
}

/// The newest completed release before that number, as the change sees it: what a rollback goes to.
///
/// # Errors
/// The database is away.
pub async fn find_completed_before(
    change: &mut Change,
    endpoint: EndpointId,
    number: i32,
) -> Result<Option<Release>> {
    let row = select_release!(
        "WHERE r.endpoint_id = $1 AND r.number < $2 AND r.state = 'completed' ORDER BY r.number DESC LIMIT 1",
        endpoint.0,
        number
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Release::try_from).transpose()
}

/// Lists an endpoint's releases, newest first.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn list(
    database: &Database,
    endpoint: EndpointId,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Release>> {
    let before = cursor.map(Cursor::key_as::<i32>).transpose()?;
    let rows = select_release!(
        "WHERE r.endpoint_id = $1 AND ($2::integer IS NULL OR r.number < $2) ORDER BY r.number DESC LIMIT $3",
        endpoint.0,
        before,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let releases = rows.into_iter().map(Release::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(releases, limit, |release| release.number.to_string()))
}

/// What a release is to be.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// What it serves.
    pub versions: &'a [WeightedVersion],
    /// How.
    pub serving: &'a Settings,
    /// Why.
    pub reason: Option<&'a str>,
    /// Who makes it.
    pub by: &'a Actor,
    /// The request that asks for it.
    pub request: &'a RequestId,
}

/// Makes the next release of an endpoint that the change has locked, and its target. A release that
/// was still on its way is aborted. The door that every release comes through asks the contract,
/// whoever asked it before.
///
/// # Errors
/// A version does not fit the endpoint's contract; the database is away.
pub async fn insert(change: &mut Change, endpoint: &Endpoint, new: &New<'_>) -> Result<Release> {
    let New { versions, serving, reason, by, request } = *new;
    let ids: Vec<_> = versions.iter().map(|share| share.version).collect();
    if let Some(mismatch) = contracts::mismatch_of_any(change, endpoint.id, &ids, serving).await? {
        return Err(mismatch.refusal(&endpoint.endpoint).into());
    }
    let now = change.now();
    let number = sqlx::query!(
        "UPDATE endpoints
         SET last_release = last_release + 1, target_release = last_release + 1, updated_at = $2
         WHERE id = $1
         RETURNING last_release",
        endpoint.id.0,
        now
    )
    .fetch_one(change.connection())
    .await?
    .last_release;
    sqlx::query!(
        "UPDATE releases SET state = 'aborted', outcome = $2, finished_at = $3
         WHERE endpoint_id = $1 AND state = 'progressing'",
        endpoint.id.0,
        format!("release {number} came before it was ready"),
        now
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "INSERT INTO releases (endpoint_id, number, state, reason, created_by, request_id, created_at, serving)
         VALUES ($1, $2, 'progressing', $3, $4, $5, $6, $7)",
        endpoint.id.0,
        number,
        reason,
        by.to_string(),
        request.as_str(),
        now,
        json!(serving)
    )
    .execute(change.connection())
    .await?;
    let (ids, weights): (Vec<uuid::Uuid>, Vec<i32>) =
        versions.iter().map(|v| (v.version.0, v.weight)).unzip();
    sqlx::query!(
        "INSERT INTO release_versions (endpoint_id, number, version_id, weight)
         SELECT $1, $2, * FROM unnest($3::uuid[], $4::integer[])",
        endpoint.id.0,
        number,
        &ids,
        &weights
    )
    .execute(change.connection())
    .await?;
    find(change, endpoint.id, number)
        .await?
        .ok_or(Error::Affected { table: "releases", affected: 0 })
}

/// A release that is on its way.
#[derive(Debug, Clone)]
pub struct Progressing {
    /// Its endpoint.
    pub endpoint: EndpointRef,
    /// Its endpoint's id.
    pub endpoint_id: EndpointId,
    /// Its number.
    pub number: i32,
    /// What must be so before traffic moves.
    pub spec: rollout::Spec,
}

/// All releases that are on their way, oldest first.
///
/// # Errors
/// The database is away.
pub async fn progressing(database: &Database) -> Result<Vec<Progressing>> {
    let rows = sqlx::query!(
        r#"SELECT e.name, e.env, r.endpoint_id, r.number, r.created_at, r.deadline_seconds,
                  (r.serving->>'nodes')::integer AS nodes,
                  ARRAY(SELECT node_id FROM placements p
                        WHERE p.endpoint_id = r.endpoint_id AND p.number = r.number) AS "placed!",
                  (SELECT reason FROM placement_waits w
                   WHERE w.endpoint_id = r.endpoint_id AND w.number = r.number) AS waits,
                  ARRAY(SELECT version_id FROM release_versions rv
                        WHERE rv.endpoint_id = r.endpoint_id AND rv.number = r.number) AS "versions!"
           FROM releases r JOIN endpoints e ON e.id = r.endpoint_id
           WHERE r.state = 'progressing'
           ORDER BY r.created_at"#
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |_| Error::inconsistent("endpoints", "name", row.endpoint_id);
            Ok(Progressing {
                endpoint: EndpointRef {
                    name: row.name.parse().map_err(wrong)?,
                    env: row.env.parse().map_err(wrong)?,
                },
                endpoint_id: EndpointId(row.endpoint_id),
                number: row.number,
                spec: rollout::Spec {
                    versions: row.versions.into_iter().map(VersionId).collect(),
                    started_at: row.created_at,
                    progress_deadline: chrono::TimeDelta::seconds(row.deadline_seconds.into()),
                    placed: row.nodes.map(|wanted| rollout::Placed {
                        wanted: wanted.unsigned_abs() as usize,
                        nodes: row.placed.into_iter().map(NodeId).collect(),
                        reason: row.waits,
                    }),
                },
            })
        })
        .collect()
}

/// Ends a release that is on its way: completed, it becomes the live one; else the one before
/// stays. `false` if it is not on its way any more.
///
/// # Errors
/// The database is away.
pub async fn finish(
    change: &mut Change,
    endpoint: &Endpoint,
    number: i32,
    state: ReleaseState,
    outcome: Option<&str>,
) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE releases SET state = $3, outcome = $4, finished_at = $5
         WHERE endpoint_id = $1 AND number = $2 AND state = 'progressing'",
        endpoint.id.0,
        number,
        state.as_str(),
        outcome,
        now
    )
    .execute(change.connection())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let live = if state == ReleaseState::Completed { Some(number) } else { endpoint.live_release };
    let done = sqlx::query!(
        "UPDATE endpoints SET live_release = $2, target_release = $2, updated_at = $3 WHERE id = $1",
        endpoint.id.0,
        live,
        now
    )
    .execute(change.connection())
    .await?;
    one("endpoints", done.rows_affected())?;
    Ok(true)
}

/// Marks a completed release as rolled back: an earlier one is put back in its place.
///
/// # Errors
/// The database is away.
pub async fn mark_rolled_back(
    change: &mut Change,
    endpoint: EndpointId,
    number: i32,
    outcome: &str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE releases SET state = 'rolled_back', outcome = $3
         WHERE endpoint_id = $1 AND number = $2 AND state = 'completed'",
        endpoint.0,
        number,
        outcome
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
