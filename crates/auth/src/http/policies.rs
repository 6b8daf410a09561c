//! `/policies…` and `/roles`

use actix_web::{HttpResponse, delete, get, put, web::Data};
use domain::{Problem, Timestamp, access::Role};
use policy::PolicyText;
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use store::{
    Database,
    policies::{self, Written},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::dry_run::{DryRun, answer};
use crate::{Access, Caller, grants};

/// The longest text of a policy, in characters.
const LONGEST: usize = 100_000;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(write).service(remove).service(roles);
}

/// A policy that an administrator wrote, in Cedar.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "no-deploys-at-night",
    "text": "forbid (principal, action == Action::\"deploy\", resource) when { resource.env == \"production\" };",
    "revision": 2, "updated_by": "user:admin", "updated_at": "2026-11-28T09:00:00Z",
}))]
pub struct Policy {
    name: String,
    text: String,
    /// How often it was written.
    revision: i32,
    updated_by: String,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Written> for Policy {
    fn from(written: Written) -> Self {
        let Written { name, text, revision, updated_by, updated_at } = written;
        Self { name, text, revision, updated_by, updated_at }
    }
}

/// Policies.
#[derive(Serialize, ToSchema)]
pub struct Policies {
    items: Vec<Policy>,
}

/// List the policies that administrators wrote. You need `administer` or `audit` on the platform.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("audit|administer:platform"))),
    responses((status = 200, description = "The policies, by name", body = Policies), openapi::Reads),
)]
#[get("/policies")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
) -> Result<Json<Policies>, ApiError> {
    grants::oversees(&access, &caller).await?;
    let all = policies::list(&database).await.map_err(Problem::from)?;
    Ok(Json(Policies { items: all.into_iter().map(Into::into).collect() }))
}

/// A policy's name.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct PolicyPath {
    /// 1 to 63 of a-z, 0-9 and `-`.
    #[param(example = "no-deploys-at-night")]
    policy: String,
}

impl PolicyPath {
    fn name(self) -> Result<String, Problem> {
        let name = self.policy;
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            return Ok(name);
        }
        let shown: String = name.chars().take(80).flat_map(char::escape_default).collect();
        let message = format!("`{shown}`: expected 1 to 63 of a-z, 0-9 and `-`");
        Err(Problem::invalid("policy", message))
    }
}

/// What a policy shall say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "text": "forbid (principal, action == Action::\"deploy\", resource) when { resource.env == \"production\" };",
    "if_revision": 1,
}))]
pub struct NewText {
    /// Cedar: one or more statements, each naming its actions; `view` is decided by grants alone.
    text: String,
    /// The revision that it takes the place of; 0 for a policy that is not there yet.
    if_revision: Option<i32>,
}

/// Write a policy. You need `administer` on the platform. With `dry_run` it only tells who would lose
/// and gain what.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(PolicyPath, DryRun),
    responses((status = 200, description = "The policy", body = Policy), openapi::Writes),
)]
#[put("/policies/{policy}")]
pub async fn write(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(path): Path<PolicyPath>,
    Query(dry): Query<DryRun>,
    Json(new): Json<NewText>,
) -> Result<HttpResponse, ApiError> {
    let NewText { text, if_revision } = new;
    if text.chars().count() > LONGEST || text.contains('\0') {
        let message = format!("expected at most {LONGEST} characters of text");
        return Err(Problem::invalid("text", message).into());
    }
    let new = PolicyText { name: path.name()?, text };
    let outcome =
        grants::write_policy(&access, &database, &caller, new, if_revision, dry.run()).await?;
    Ok(answer(outcome, |written| HttpResponse::Ok().json(Policy::from(written))))
}

/// Remove a policy. You need `administer` on the platform. With `dry_run` it only tells who would
/// lose and gain what.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(PolicyPath, DryRun),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/policies/{policy}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(path): Path<PolicyPath>,
    Query(dry): Query<DryRun>,
) -> Result<HttpResponse, ApiError> {
    let name = path.name()?;
    let outcome = grants::remove_policy(&access, &database, &caller, &name, dry.run()).await?;
    Ok(answer(outcome, |()| HttpResponse::NoContent().finish()))
}

/// A role.
#[derive(Serialize, ToSchema)]
pub struct RoleBody {
    /// Granted as `role:NAME`.
    #[schema(examples("viewer"))]
    role: &'static str,
    /// What it allows.
    actions: Vec<&'static str>,
    /// Its policy in Cedar.
    text: &'static str,
}

/// Roles.
#[derive(Serialize, ToSchema)]
pub struct Roles {
    items: Vec<RoleBody>,
}

/// List the roles that there are, with what each allows.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("none because what a role means is for everybody who has an account"))),
    responses((status = 200, description = "The roles", body = Roles), openapi::Reads),
)]
#[get("/roles")]
pub async fn roles(_caller: Caller) -> Json<Roles> {
    let role = |role: Role| RoleBody {
        role: role.as_str(),
        actions: policy::role_actions(role).iter().map(|action| action.as_str()).collect(),
        text: policy::role_text(role),
    };
    Json(Roles { items: Role::ALL.into_iter().map(role).collect() })
}
