//! Grants: who may do what to which place, and when.

use domain::{
    Action, EndpointId, GrantId, ModelId, SubjectId, Timestamp,
    access::{Conditions, Effect, Grant, Kind, Place, Privilege, Role, Subject, SubjectKind},
    tracking::ExperimentId,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Change, Database, Error, Result};

/// A grant as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What.
    pub grant: Grant,
    /// Its number; that of the grant whose place it took, if it did.
    pub number: i64,
    /// To whom, by name.
    pub subject: Subject,
    /// On what, as `model:fraud` or `*`.
    pub resource: String,
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct Row {
    id: Uuid,
    subject_id: Uuid,
    effect: String,
    action: Option<String>,
    role: Option<String>,
    team_id: Option<Uuid>,
    model_id: Option<Uuid>,
    endpoint_id: Option<Uuid>,
    experiment_id: Option<i64>,
    kind: Option<String>,
    env: Option<String>,
    alias: Option<String>,
    tag_key: Option<String>,
    tag_value: Option<String>,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl TryFrom<Row> for Grant {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |column| Error::inconsistent("grants", column, row.id);
        let privilege = match (&row.action, &row.role) {
            (Some(action), _) => Action::parse(action).map(Privilege::Action),
            (None, Some(role)) => Role::parse(role).map(Privilege::Role),
            (None, None) => None,
        };
        let place = match (row.team_id, row.model_id, row.endpoint_id, row.experiment_id) {
            (Some(id), ..) => Place::Team(SubjectId(id)),
            (_, Some(id), ..) => Place::Model(ModelId(id)),
            (_, _, Some(id), _) => Place::Endpoint(EndpointId(id)),
            (.., Some(id)) => Place::Experiment(ExperimentId(id)),
            (None, None, None, None) => Place::Everything,
        };
        let tag = match (row.tag_key, row.tag_value) {
            (Some(key), Some(value)) => Some((
                key.parse().map_err(|_| wrong("tag_key"))?,
                value.parse().map_err(|_| wrong("tag_value"))?,
            )),
            _ => None,
        };
        Ok(Self {
            id: GrantId(row.id),
            subject: SubjectId(row.subject_id),
            effect: if row.effect == "deny" { Effect::Deny } else { Effect::Allow },
            privilege: privilege.ok_or_else(|| wrong("action"))?,
            place,
            conditions: Conditions {
                kind: row
                    .kind
                    .map(|kind| Kind::parse_of_grant(&kind).ok_or_else(|| wrong("kind")))
                    .transpose()?,
                env: row.env.map(|env| env.parse().map_err(|_| wrong("env"))).transpose()?,
                alias: row.alias.map(|it| it.parse().map_err(|_| wrong("alias"))).transpose()?,
                tag,
                not_before: row.not_before,
                expires_at: row.expires_at,
            },
        })
    }
}

/// All of them.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, subject_id, effect, action, role, team_id, model_id, endpoint_id, experiment_id,
                kind, env, alias, tag_key, tag_value, not_before, expires_at
         FROM grants"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Which grants to list; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only this one.
    pub id: Option<GrantId>,
    /// Only this subject's.
    pub subject: Option<SubjectId>,
    /// Only those on exactly this.
    pub place: Option<Place>,
}

/// Lists grants in the order in which they were given.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, wanted: &Wanted) -> Result<Vec<Given>> {
    let place = wanted.place.map(Columns::of);
    let rows = sqlx::query!(
        r#"SELECT g.id, g.subject_id, g.effect, g.action, g.role, g.team_id, g.model_id, g.endpoint_id,
                  g.experiment_id, g.kind AS only_kind, g.env, g.alias, g.tag_key, g.tag_value, g.not_before,
                  g.expires_at, g.number, g.reason, g.created_by, g.created_at, s.kind, s.name,
                  CASE WHEN g.team_id IS NOT NULL THEN 'team:' || t.name
                       WHEN g.model_id IS NOT NULL THEN 'model:' || m.name
                       WHEN g.endpoint_id IS NOT NULL THEN
                           'endpoint:' || e.name || CASE e.env WHEN 'production' THEN '' ELSE '.' || e.env END
                       WHEN g.experiment_id IS NOT NULL THEN 'experiment:' || g.experiment_id
                       ELSE '*' END AS "resource!"
           FROM grants g
           JOIN subjects s ON s.id = g.subject_id
           LEFT JOIN subjects t ON t.id = g.team_id
           LEFT JOIN models m ON m.id = g.model_id
           LEFT JOIN endpoints e ON e.id = g.endpoint_id
           WHERE ($1::uuid IS NULL OR g.id = $1)
             AND ($2::uuid IS NULL OR g.subject_id = $2)
             AND (NOT $3 OR (g.team_id IS NOT DISTINCT FROM $4 AND g.model_id IS NOT DISTINCT FROM $5
                             AND g.endpoint_id IS NOT DISTINCT FROM $6
                             AND g.experiment_id IS NOT DISTINCT FROM $7))
           ORDER BY g.created_at, g.id"#,
        wanted.id.map(|id| id.0),
        wanted.subject.map(|id| id.0),
        place.is_some(),
        place.as_ref().and_then(|place| place.team),
        place.as_ref().and_then(|place| place.model),
        place.as_ref().and_then(|place| place.endpoint),
        place.as_ref().and_then(|place| place.experiment),
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = SubjectKind::parse(&row.kind)
                .ok_or_else(|| Error::inconsistent("subjects", "kind", row.subject_id))?;
            let grant = Row {
                id: row.id,
                subject_id: row.subject_id,
                effect: row.effect,
                action: row.action,
                role: row.role,
                team_id: row.team_id,
                model_id: row.model_id,
                endpoint_id: row.endpoint_id,
                experiment_id: row.experiment_id,
                kind: row.only_kind,
                env: row.env,
                alias: row.alias,
                tag_key: row.tag_key,
                tag_value: row.tag_value,
                not_before: row.not_before,
                expires_at: row.expires_at,
            };
            Ok(Given {
                grant: grant.try_into()?,
                number: row.number,
                subject: Subject { kind, name: row.name },
                resource: row.resource,
                reason: row.reason,
                created_by: row.created_by,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// A place as columns: at most one is there.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    team: Option<Uuid>,
    model: Option<Uuid>,
    endpoint: Option<Uuid>,
    experiment: Option<i64>,
}

impl Columns {
    fn of(place: Place) -> Self {
        let none = Self::default();
        match place {
            Place::Everything => none,
            Place::Team(id) => Self { team: Some(id.0), ..none },
            Place::Model(id) => Self { model: Some(id.0), ..none },
            Place::Endpoint(id) => Self { endpoint: Some(id.0), ..none },
            Place::Experiment(id) => Self { experiment: Some(id.0), ..none },
        }
    }
}

/// Gives a grant. Raise the revision of access in the same change. Answers its number: a new one
/// unless it takes the place of another grant.
///
/// # Errors
/// Its subject or its place is gone; the database is away.
pub async fn insert(
    change: &mut Change,
    grant: &Grant,
    number: Option<i64>,
    reason: Option<&str>,
    by: &str,
) -> Result<i64> {
    let (now, place) = (change.now(), Columns::of(grant.place));
    let (action, role) = match grant.privilege {
        Privilege::Action(action) => (Some(action.as_str()), None),
        Privilege::Role(role) => (None, Some(role.as_str())),
    };
    let Conditions { kind, env, alias, tag, not_before, expires_at } = &grant.conditions;
    let row = sqlx::query!(
        "INSERT INTO grants (id, subject_id, effect, action, role, team_id, model_id, endpoint_id,
                             experiment_id, env, alias, tag_key, tag_value, not_before, expires_at,
                             reason, created_by, created_at, kind, number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                 coalesce($20, nextval('grants_number_seq')))
         RETURNING number",
        grant.id.0,
        grant.subject.0,
        grant.effect.as_str(),
        action,
        role,
        place.team,
        place.model,
        place.endpoint,
        place.experiment,
        env.as_ref().map(|env| env.as_str()),
        alias.as_ref().map(|alias| alias.as_str()),
        tag.as_ref().map(|(key, _)| key.as_str()),
        tag.as_ref().map(|(_, value)| value.as_str()),
        *not_before,
        *expires_at,
        reason,
        by,
        now,
        kind.map(Kind::as_str),
        number
    )
    .fetch_one(change.connection())
    .await?;
    Ok(row.number)
}

/// The smallest number of these grants.
///
/// # Errors
/// The database is away.
pub async fn first_number(change: &mut Change, grants: &[GrantId]) -> Result<Option<i64>> {
    let ids: Vec<Uuid> = grants.iter().map(|id| id.0).collect();
    let query = sqlx::query_scalar!("SELECT min(number) FROM grants WHERE id = ANY($1)", &ids);
    Ok(query.fetch_one(change.connection()).await?)
}

/// Takes a grant back. `false` where there is none of that id.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: GrantId) -> Result<bool> {
    let done =
        sqlx::query!("DELETE FROM grants WHERE id = $1", id.0).execute(change.connection()).await?;
    Ok(done.rows_affected() == 1)
}
