//! Endpoints: the stable names that callers use, and what each one follows.

use domain::{
    Actor, AliasName, Cursor, EndpointId, EndpointRef, Follows, Limit, ModelId, Page, Pointer,
    Problem, Stage, SubjectId, Timestamp, VersionId, access::Visible, quota::Key,
};
use serde_json::{Value, json};

use crate::{Change, Database, Error, Result, error::breaks, models::one, visible::Filter};

/// An endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its name and environment.
    pub endpoint: EndpointRef,
    /// The model that it serves.
    pub model_id: ModelId,
    /// What decides which version it serves.
    pub follows: Follows,
    /// Whether a rollback keeps it from following until its alias moves again.
    pub held: bool,
    /// Why it could not take the version that its alias points to.
    pub blocked: Option<String>,
    /// The highest release number ever given; 0 before the first.
    pub last_release: i32,
    /// The release that answers.
    pub live_release: Option<i32>,
    /// The release that is being prepared to.
    pub target_release: Option<i32>,
    /// Who owns it, as `user:ana`.
    pub owner: String,
    /// The team that owns it, by name.
    pub team: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "endpoint": self.endpoint, "team": self.team, "follows": self.follows.to_string(), "held": self.held,
            "blocked": self.blocked, "live_release": self.live_release, "target_release": self.target_release,
        })
    }
}

/// What an endpoint shall follow, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Whatever the alias points to.
    Alias(ModelId, AliasName),
    /// Whatever is the newest in the stage.
    Stage(ModelId, Stage),
    /// That version.
    Pinned(ModelId, VersionId),
}

impl Target {
    /// The model, and the one of alias, stage and version.
    fn columns(&self) -> (uuid::Uuid, Option<&str>, Option<&str>, Option<uuid::Uuid>) {
        match self {
            Self::Alias(model, alias) => (model.0, Some(alias.as_str()), None, None),
            Self::Stage(model, stage) => (model.0, None, Some(stage.as_str()), None),
            Self::Pinned(model, version) => (model.0, None, None, Some(version.0)),
        }
    }
}

struct Row {
    id: uuid::Uuid,
    name: String,
    env: String,
    model_id: uuid::Uuid,
    model: String,
    alias: Option<String>,
    stage: Option<String>,
    pinned: Option<i32>,
    held: bool,
    blocked: Option<String>,
    last_release: i32,
    live_release: Option<i32>,
    target_release: Option<i32>,
    owner: String,
    team: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |column| move |_| Error::inconsistent("endpoints", column, row.id);
        let model = row.model.parse().map_err(wrong("model"))?;
        let follows = match (row.alias, row.stage, row.pinned) {
            (Some(alias), _, _) => Follows::Alias(model, alias.parse().map_err(wrong("alias"))?),
            (None, Some(stage), _) => Follows::Stage(model, stage.parse().map_err(wrong("stage"))?),
            (None, None, Some(number)) => Follows::Pinned(model, number),
            (None, None, None) => {
                return Err(Error::inconsistent("endpoints", "pinned_version", row.id));
            }
        };
        Ok(Self {
            id: EndpointId(row.id),
            endpoint: EndpointRef {
                name: row.name.parse().map_err(wrong("name"))?,
                env: row.env.parse().map_err(wrong("env"))?,
            },
            model_id: ModelId(row.model_id),
            follows,
            held: row.held,
            blocked: row.blocked,
            last_release: row.last_release,
            live_release: row.live_release,
            target_release: row.target_release,
            owner: row.owner,
            team: row.team,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// `select_endpoint!("WHERE …", arguments)`: every read of an endpoint gathers the same columns.
macro_rules! select_endpoint {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT e.id, e.name, e.env, e.model_id, m.name AS model, e.alias, e.stage, v.number AS "pinned?", e.held, e.blocked,
                      e.last_release, e.live_release, e.target_release, e.owner,
                      (SELECT name FROM subjects WHERE id = e.team_id) AS team, e.created_at, e.updated_at
               FROM endpoints e
               JOIN models m ON m.id = e.model_id
               LEFT JOIN model_versions v ON v.id = e.pinned_version "# + $rest
            $(, $argument)*
        )
    };
}

/// The endpoint of that name.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, endpoint: &EndpointRef) -> Result<Option<Endpoint>> {
    let row = select_endpoint!(
        "WHERE e.name = $1 AND e.env = $2",
        endpoint.name.as_str(),
        endpoint.env.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// The endpoint of that name, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, endpoint: &EndpointRef) -> Result<Option<Endpoint>> {
    let row = select_endpoint!(
        "WHERE e.name = $1 AND e.env = $2 FOR UPDATE OF e",
        endpoint.name.as_str(),
        endpoint.env.as_str()
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// The endpoints that follow an alias or a stage, locked until the change ends, in the order of their ids.
///
/// # Errors
/// The database is away.
pub async fn lock_followers(
    change: &mut Change,
    model: ModelId,
    pointer: &Pointer,
) -> Result<Vec<Endpoint>> {
    let (alias, stage) = match pointer {
        Pointer::Alias(alias) => (Some(alias.as_str()), None),
        Pointer::Stage(stage) => (None, Some(stage.as_str())),
    };
    let rows = select_endpoint!(
        "WHERE e.model_id = $1 AND (e.alias = $2 OR e.stage = $3) ORDER BY e.id FOR UPDATE OF e",
        model.0,
        alias,
        stage
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// Lists the endpoints that are visible, by name, then environment.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn list(
    database: &Database,
    visible: &Visible,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Endpoint>> {
    let visible = Filter::from(visible);
    let after = cursor.map(Cursor::key_as_pair).transpose()?;
    let rows = select_endpoint!(
        r#"WHERE ($1::text IS NULL OR (e.name COLLATE "C", e.env COLLATE "C") > ($1, $2::text))
             AND ($4 OR sees_endpoint($5, $6, e.id, e.team_id, e.env))
           ORDER BY e.name COLLATE "C", e.env COLLATE "C"
           LIMIT $3"#,
        after.map(|(name, _)| name),
        after.map(|(_, env)| env),
        limit.get() + 1,
        visible.all,
        visible.allow,
        visible.deny
    )
    .fetch_all(database.pool())
    .await?;
    let endpoints = rows.into_iter().map(Endpoint::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(endpoints, limit, |row| {
        format!("{}/{}", row.endpoint.name, row.endpoint.env)
    }))
}

/// Makes an endpoint, without a release.
///
/// # Errors
/// The name is taken (conflict); the database is away.
pub async fn insert(
    change: &mut Change,
    endpoint: &EndpointRef,
    target: &Target,
    (owner, team): (&Actor, Option<SubjectId>),
) -> Result<Endpoint> {
    let (id, now) = (EndpointId::new(), change.now());
    let (model, alias, stage, pinned) = target.columns();
    sqlx::query!(
        "INSERT INTO endpoints (id, name, env, model_id, alias, stage, pinned_version, owner, team_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9, $9)",
        id.0,
        endpoint.name.as_str(),
        endpoint.env.as_str(),
        model,
        alias,
        stage,
        pinned,
        owner.to_string(),
        now,
        team.map(|team| team.0)
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "endpoints_name") {
            Error::Refused(Problem::conflict(format!("there is an endpoint `{endpoint}` already")).at("endpoint"))
        } else {
            error.into()
        }
    })?;
    change.charge(Key::Endpoints, id.0);
    change.charge(Key::Replicas, id.0);
    lock(change, endpoint).await?.ok_or(Error::Affected { table: "endpoints", affected: 0 })
}

/// Charges replicas that the change adds to an endpoint, to who owns it.
pub fn charge_replicas(change: &mut Change, id: EndpointId, more: usize) {
    for _ in 0..more {
        change.charge(Key::Replicas, id.0);
    }
}

/// Makes an endpoint follow something else, from now on: neither held nor blocked.
///
/// # Errors
/// The endpoint is gone; the database is away.
pub async fn follow(change: &mut Change, id: EndpointId, target: &Target) -> Result<()> {
    let now = change.now();
    let (model, alias, stage, pinned) = target.columns();
    let done = sqlx::query!(
        "UPDATE endpoints
         SET model_id = $2, alias = $3, stage = $4, pinned_version = $5, held = false, blocked = NULL, updated_at = $6
         WHERE id = $1",
        id.0,
        model,
        alias,
        stage,
        pinned,
        now
    )
    .execute(change.connection())
    .await?;
    one("endpoints", done.rows_affected())
}

/// Marks an endpoint as held by a rollback or not, and as blocked for a reason or not.
///
/// # Errors
/// The endpoint is gone; the database is away.
pub async fn mark(
    change: &mut Change,
    id: EndpointId,
    held: bool,
    blocked: Option<&str>,
) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE endpoints SET held = $2, blocked = $3, updated_at = $4 WHERE id = $1",
        id.0,
        held,
        blocked,
        now
    )
    .execute(change.connection())
    .await?;
    one("endpoints", done.rows_affected())
}

/// Deletes an endpoint with its releases. Gateways drop it when they next look.
///
/// # Errors
/// The endpoint is gone; the database is away.
pub async fn delete(change: &mut Change, id: EndpointId) -> Result<()> {
    let done = sqlx::query!("DELETE FROM endpoints WHERE id = $1", id.0)
        .execute(change.connection())
        .await?;
    one("endpoints", done.rows_affected())
}
