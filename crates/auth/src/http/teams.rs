//! `/teams`

use actix_web::{HttpResponse, delete, get, patch, post, put, web::Data};
use chrono::{DateTime, Utc};
use domain::{Resource, access::Subject, serving::Isolation};
use rest::{ApiError, Json, NoQuery, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use store::{Database, teams};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Access, Authenticator, Caller, Permit, verbs};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show);
    config
        .service(list_members)
        .service(add)
        .service(remove)
        .service(edit_team)
        .service(delete_team);
}

/// Users and service accounts together; owns things.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "name": "risk", "display_name": "Credit risk", "members": 4,
    "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
}))]
pub struct Team {
    id: String,
    name: String,
    display_name: String,
    /// How many.
    members: i64,
    /// Where its versions run, unless they or their releases say it: `in-process` or `process`. Absent: as the
    /// node says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("process"))]
    isolation: Option<Isolation>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<teams::Team> for Team {
    fn from(team: teams::Team) -> Self {
        let teams::Team { id, name, display_name, members, isolation, created_by, created_at } =
            team;
        Self { id: id.to_string(), name, display_name, members, isolation, created_by, created_at }
    }
}

/// A team.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct TeamPath {
    /// Its name.
    #[param(example = "risk")]
    team: String,
}

/// Somebody in a team.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    /// The team's name.
    #[param(example = "risk")]
    team: String,
    /// `user:NAME` or `service:NAME`.
    #[param(example = "user:ana")]
    member: String,
}

/// A team to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "risk", "display_name": "Credit risk"}))]
pub struct NewTeam {
    /// 1 to 255 letters and digits of any script, and `. _ - @ +`. It is for good, and no two names
    /// may be taken for each other.
    name: String,
    #[serde(default)]
    display_name: String,
}

/// Make a team. Its members are data scientists on what it will own.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The team", body = Team), openapi::Writes),
)]
#[post("/teams")]
pub async fn create(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Json(NewTeam { name, display_name }): Json<NewTeam>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let team = authenticator.create_team(&permit, &name.parse()?, &display_name).await?;
    Ok(HttpResponse::Created().json(Team::from(team)))
}

/// List teams by name: all for whoever sees everything, else one's own.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!(["self", "view:platform when others' teams are to be seen"]))),
    params(PageQuery),
    responses((status = 200, description = "A page of teams", body = PageBody<Team>), openapi::Reads),
)]
#[get("/teams")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Team>>, ApiError> {
    let (cursor, limit) = page.bounds()?;
    let of = match caller.subject {
        Some(own) if !access.may::<verbs::View>(&caller, &Resource::Platform).await? => Some(own),
        _ => None,
    };
    Ok(Json(teams::list(&database, of, cursor.as_ref(), limit).await?.into()))
}

/// Show a team.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("view:team"))),
    params(TeamPath),
    responses((status = 200, description = "The team", body = Team), openapi::Reads),
)]
#[get("/teams/{team}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(TeamPath { team }): Path<TeamPath>,
    _: NoQuery,
) -> Result<Json<Team>, ApiError> {
    access.authorize::<verbs::View>(&caller, Resource::Team(team.clone())).await?;
    Ok(Json(authenticator.team(&team).await?.into()))
}

/// What is to be different in a team.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"isolation": "process"}))]
pub struct TeamEdit {
    /// Where its versions run, unless they or their releases say it: `in-process`, `process`, or null for what
    /// the node says.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<String>, examples("process"))]
    isolation: Option<Isolation>,
}

/// Set where a team's versions run, unless they or their releases say it. It is taken over while they serve.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("administer:team"))),
    params(TeamPath),
    request_body = TeamEdit,
    responses((status = 200, description = "The team", body = Team), openapi::Writes),
)]
#[patch("/teams/{team}")]
pub async fn edit_team(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(TeamPath { team }): Path<TeamPath>,
    Json(edit): Json<TeamEdit>,
) -> Result<Json<Team>, ApiError> {
    let permit = access.authorize(&caller, Resource::Team(team.clone())).await?;
    Ok(Json(authenticator.isolate_team(&permit, &team, edit.isolation).await?.into()))
}

/// Delete a team that owns nothing. Its members stay, in their other teams; its grants and quotas go.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(TeamPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/teams/{team}")]
pub async fn delete_team(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(TeamPath { team }): Path<TeamPath>,
    _: NoQuery,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    authenticator.delete_team(&permit, &team).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Somebody in a team.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "member": "user:ana", "added_by": "user:admin", "added_at": "2026-01-02T03:04:05Z", "disabled": false,
}))]
pub struct Member {
    /// As grants and the audit trail name them.
    member: String,
    added_by: String,
    added_at: DateTime<Utc>,
    disabled: bool,
}

impl From<teams::Member> for Member {
    fn from(member: teams::Member) -> Self {
        let teams::Member { subject, added_by, added_at, disabled } = member;
        Self { member: subject.to_string(), added_by, added_at, disabled }
    }
}

/// List a team's members by name.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("view:team"))),
    params(TeamPath, PageQuery),
    responses((status = 200, description = "A page of members", body = PageBody<Member>), openapi::Reads),
)]
#[get("/teams/{team}/members")]
pub async fn list_members(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    database: Data<Database>,
    Path(TeamPath { team }): Path<TeamPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Member>>, ApiError> {
    access.authorize::<verbs::View>(&caller, Resource::Team(team.clone())).await?;
    let (cursor, limit) = page.bounds()?;
    let team = authenticator.team(&team).await?;
    Ok(Json(teams::members(&database, team.id, cursor.as_ref(), limit).await?.into()))
}

/// Whether somebody is in a team now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"team": "risk", "member": "user:ana", "changed": true}))]
pub struct Membership {
    team: String,
    member: String,
    /// Whether it was otherwise before.
    changed: bool,
}

/// Make somebody a member of a team. Their first team becomes their home: it owns what they make.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("administer:team"))),
    params(MemberPath),
    responses((status = 200, description = "They are a member", body = Membership), openapi::Writes),
)]
#[put("/teams/{team}/members/{member}")]
pub async fn add(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(path): Path<MemberPath>,
) -> Result<Json<Membership>, ApiError> {
    let (permit, member) = administered(&access, &caller, &path).await?;
    let changed = authenticator.add_member(&permit, &path.team, &member).await?;
    Ok(Json(Membership { team: path.team, member: path.member, changed }))
}

/// Take somebody out of a team.
#[utoipa::path(
    tag = "teams",
    extensions(("x-bottega-action" = json!("administer:team"))),
    params(MemberPath),
    responses((status = 200, description = "They are no member", body = Membership), openapi::Writes),
)]
#[delete("/teams/{team}/members/{member}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(path): Path<MemberPath>,
) -> Result<Json<Membership>, ApiError> {
    let (permit, member) = administered(&access, &caller, &path).await?;
    let changed = authenticator.remove_member(&permit, &path.team, &member).await?;
    Ok(Json(Membership { team: path.team, member: path.member, changed }))
}

/// The right to change a team's members, and whom it is about.
async fn administered(
    access: &Access,
    caller: &Caller,
    path: &MemberPath,
) -> Result<(Permit<verbs::Administer>, Subject), ApiError> {
    let permit = access.authorize(caller, Resource::Team(path.team.clone())).await?;
    Ok((permit, path.member.parse()?))
}
