//! `/oidc/groups`

use actix_web::{HttpResponse, delete, get, post, web::Data};
use chrono::{DateTime, Utc};
use domain::{MappingId, Problem, Resource, access::Role};
use rest::{ApiError, Json, NoQuery, Path, openapi};
use serde::{Deserialize, Serialize};
use store::oidc::groups::{Gives, Mapping};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    Access, Caller,
    oidc::{Oidc, groups::Wanted},
    verbs,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(add).service(remove);
}

/// What being in a group of the identity provider gives.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcGroup, example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "group": "risk-engineers", "team": "risk", "role": null,
    "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
}))]
pub struct GroupBody {
    id: String,
    /// As the provider writes it.
    group: String,
    /// The team that it makes one a member of.
    #[schema(required)]
    team: Option<String>,
    /// The role that it gives on everything.
    #[schema(required)]
    role: Option<&'static str>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<Mapping> for GroupBody {
    fn from(mapping: Mapping) -> Self {
        let (team, role) = match mapping.gives {
            Gives::Team(_, name) => (Some(name), None),
            Gives::Role(role) => (None, Some(role.as_str())),
        };
        Self {
            id: mapping.id.to_string(),
            group: mapping.group,
            team,
            role,
            created_by: mapping.created_by,
            created_at: mapping.created_at,
        }
    }
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcGroups)]
pub struct GroupList {
    items: Vec<GroupBody>,
}

/// List what groups of the identity provider give.
#[utoipa::path(
    tag = "access",
    operation_id = "list_oidc_groups",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "By group", body = GroupList), openapi::Reads),
)]
#[get("/oidc/groups")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    _: NoQuery,
) -> Result<Json<GroupList>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let all = oidc.list_groups(&permit).await?;
    Ok(Json(GroupList { items: all.into_iter().map(GroupBody::from).collect() }))
}

/// A group, and what it shall give: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOidcGroup, example = json!({"group": "risk-engineers", "team": "risk"}))]
pub struct NewGroup {
    /// As the provider writes it.
    group: String,
    /// Membership of this team.
    team: Option<String>,
    /// This role on everything.
    role: Option<String>,
}

/// Say what being in a group of the identity provider gives. It takes effect at each log-in: what
/// groups gave before and do not give any more is taken away, what was given by hand stays.
#[utoipa::path(
    tag = "access",
    operation_id = "add_oidc_group",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "What it gives", body = GroupBody), openapi::Writes),
)]
#[post("/oidc/groups")]
pub async fn add(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Json(NewGroup { group, team, role }): Json<NewGroup>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let wanted = match (team, role) {
        (Some(team), None) => Wanted::Team(team),
        (None, Some(role)) => Wanted::Role(Role::parse(&role).ok_or_else(|| {
            let roles = Role::ALL.map(Role::as_str).join(", ");
            Problem::invalid("role", format!("`{role}`: expected one of {roles}"))
        })?),
        _ => return Err(Problem::invalid("team", "expected either a team or a role").into()),
    };
    let made = oidc.add_group(&permit, &group, wanted).await?;
    Ok(HttpResponse::Created().json(GroupBody::from(made)))
}

/// What a group gives.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct GroupPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    group: MappingId,
}

/// Take back what a group gives: whoever has it loses it at their next log-in.
#[utoipa::path(
    tag = "access",
    operation_id = "remove_oidc_group",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(GroupPath),
    responses((status = 204, description = "It gives that no more"), openapi::Writes),
)]
#[delete("/oidc/groups/{group}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Path(GroupPath { group }): Path<GroupPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    oidc.remove_group(&permit, group).await?;
    Ok(HttpResponse::NoContent().finish())
}
