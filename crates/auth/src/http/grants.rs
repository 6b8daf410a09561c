//! `/grants…`

use actix_web::{HttpResponse, delete, get, post, web::Data};
use domain::{
    Action, AliasName, EnvironmentName, GrantId, Problem, Resource, Timestamp,
    access::{Conditions, Effect, Kind, Subject},
};
use rest::{ApiError, Json, Path, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use store::{Database, grants::Given};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::dry_run::{DryRun, answer};
use crate::{
    Access, Caller,
    explain::{self, explain},
    grants::{self, NewGrant},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(add).service(why).service(remove);
}

/// What somebody may, or may not, do to something.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "subject": "user:ana", "effect": "allow",
    "action": "promote", "resource": "model:fraud", "alias": "champion",
    "expires_at": "2027-01-01T00:00:00Z", "reason": "on call in December",
    "created_by": "user:admin", "created_at": "2026-11-28T09:00:00Z",
}))]
pub struct Grant {
    #[schema(value_type = String)]
    id: GrantId,
    subject: String,
    /// `allow`, or `deny` which beats every `allow`.
    effect: &'static str,
    /// One action, or `role:NAME`.
    action: String,
    resource: String,
    /// Only for things of this kind: `model`, `endpoint` or `experiment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Only in this environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    env: Option<EnvironmentName>,
    /// Only for this alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    alias: Option<AliasName>,
    /// Only for what carries this tag, `KEY=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Given> for Grant {
    fn from(given: Given) -> Self {
        let Given { grant, number: _, subject, resource, reason, created_by, created_at } = given;
        let Conditions { kind, env, alias, tag, not_before, expires_at } = grant.conditions;
        Self {
            id: grant.id,
            subject: subject.to_string(),
            effect: grant.effect.as_str(),
            action: grant.privilege.to_string(),
            resource,
            kind: kind.map(Kind::as_str),
            env,
            alias,
            tag: tag.map(|(key, value)| format!("{key}={value}")),
            not_before,
            expires_at,
            reason,
            created_by,
            created_at,
        }
    }
}

/// Grants.
#[derive(Serialize, ToSchema)]
pub struct Grants {
    items: Vec<Grant>,
}

/// Which grants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this subject's.
    #[param(example = "user:ana")]
    subject: Option<String>,
    /// Only those on exactly this.
    #[param(example = "model:fraud")]
    resource: Option<String>,
}

/// List grants: your own and your teams', those on what you administer, or all if you administer or
/// audit the platform.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!(["self", "administer:any when the grants on it are asked for", "view:any when it may be hidden", "audit|administer:platform when they are others' on anything else"]))),
    params(Filter),
    responses((status = 200, description = "The grants, the oldest first", body = Grants), openapi::Reads),
)]
#[get("/grants")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(filter): Query<Filter>,
) -> Result<Json<Grants>, ApiError> {
    let subject: Option<Subject> = filter.subject.map(|text| text.parse()).transpose()?;
    let on: Option<Resource> = filter.resource.map(|text| text.parse()).transpose()?;
    let found = grants::list(&access, &database, &caller, subject.as_ref(), on).await?;
    Ok(Json(Grants { items: found.into_iter().map(Into::into).collect() }))
}

/// A grant that is to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "subject": "user:ana", "action": "promote", "resource": "model:fraud", "alias": "champion",
    "expires_at": "2027-01-01T00:00:00Z", "reason": "on call in December",
}))]
pub struct NewGrantBody {
    /// `user:NAME`, `team:NAME`, `service:NAME` or `group:NAME`.
    subject: String,
    /// One action, or `role:NAME`.
    action: String,
    /// `model:NAME`, `endpoint:NAME`, `experiment:ID`, `team:NAME` for all that it owns, or `*`.
    resource: String,
    /// `allow` unless you say `deny`.
    effect: Option<String>,
    /// Only for things of this kind, `model`, `endpoint` or `experiment`: for a team, or `*`.
    kind: Option<String>,
    /// Only in this environment.
    env: Option<String>,
    /// Only for this alias: for `promote`.
    alias: Option<String>,
    /// Only for what carries this tag, `KEY=VALUE`.
    tag: Option<String>,
    #[schema(format = DateTime)]
    not_before: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    reason: Option<String>,
}

fn kind(text: &str) -> Result<Kind, Problem> {
    Kind::parse_of_grant(text).ok_or_else(|| {
        let kinds = Kind::OF_GRANTS.map(Kind::as_str).join(", ");
        Problem::invalid("kind", format!("expected one of {kinds}"))
    })
}

impl TryFrom<NewGrantBody> for NewGrant {
    type Error = Problem;

    fn try_from(body: NewGrantBody) -> Result<Self, Problem> {
        let effect = match body.effect.as_deref() {
            None | Some("allow") => Effect::Allow,
            Some("deny") => Effect::Deny,
            Some(other) => {
                let shown: String = other.chars().take(40).flat_map(char::escape_default).collect();
                let message = format!("`{shown}`: expected allow or deny");
                return Err(Problem::invalid("effect", message));
            }
        };
        let tag = |text: String| {
            let message = || Problem::invalid("tag", "expected KEY=VALUE");
            let (key, value) = text.split_once('=').ok_or_else(message)?;
            let named = |problem: Problem| problem.at("tag");
            Ok::<_, Problem>((key.parse().map_err(named)?, value.parse().map_err(named)?))
        };
        let reason = body.reason.filter(|reason| !reason.trim().is_empty());
        if reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > 1000 || reason.contains('\0'))
        {
            return Err(Problem::invalid("reason", "expected at most 1,000 characters of text"));
        }
        Ok(Self {
            subject: body.subject.parse()?,
            effect,
            privilege: body.action.parse()?,
            resource: body.resource.parse()?,
            conditions: Conditions {
                kind: body.kind.as_deref().map(kind).transpose()?,
                env: body.env.map(|env| env.parse()).transpose()?,
                alias: body.alias.map(|alias| alias.parse()).transpose()?,
                tag: body.tag.map(tag).transpose()?,
                not_before: instant("not_before", body.not_before)?,
                expires_at: instant("expires_at", body.expires_at)?,
            },
            reason,
        })
    }
}

/// Give a grant. You need `administer` on the resource. With `dry_run` it only tells who would lose
/// and gain what.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:any"))),
    params(DryRun),
    responses((status = 201, description = "The grant", body = Grant), openapi::Writes),
)]
#[post("/grants")]
pub async fn add(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(dry): Query<DryRun>,
    Json(new): Json<NewGrantBody>,
) -> Result<HttpResponse, ApiError> {
    let outcome = grants::add(&access, &database, &caller, new.try_into()?, dry.run()).await?;
    Ok(answer(outcome, |given| HttpResponse::Created().json(Grant::from(given))))
}

/// A grant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct GrantPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    grant: GrantId,
}

/// Take a grant back. You need `administer` on what it is on. With `dry_run` it only tells who would
/// lose and gain what.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:any"))),
    params(GrantPath, DryRun),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/grants/{grant}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(GrantPath { grant }): Path<GrantPath>,
    Query(dry): Query<DryRun>,
) -> Result<HttpResponse, ApiError> {
    let outcome = grants::remove(&access, &database, &caller, grant, dry.run()).await?;
    Ok(answer(outcome, |()| HttpResponse::NoContent().finish()))
}

/// Whose right to what.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Who.
    #[param(example = "user:ana")]
    subject: String,
    /// Doing what.
    #[param(example = "promote")]
    action: String,
    /// To what.
    #[param(example = "model:fraud")]
    resource: String,
    /// With which alias, for `promote`.
    #[param(example = "champion")]
    alias: Option<String>,
}

/// A decision, what made it, and what would have to be granted.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "decision": "refused", "policies": [],
    "near": [{"grant": "grant:0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "missed": ["it is for another alias"]}],
    "remedies": ["bottega grants add user:ana promote model:fraud"],
}))]
pub struct Explanation {
    /// `allowed` or `refused`.
    decision: &'static str,
    /// What decided; empty where nothing allows it.
    policies: Vec<Policy>,
    /// Grants that would allow it but for something.
    near: Vec<Near>,
    /// What to do, all of it, so that it is allowed.
    remedies: Vec<String>,
}

/// A policy or grant that decided.
#[derive(Serialize, ToSchema)]
pub struct Policy {
    /// `grant:ID`, `role:NAME` or `policy:NAME`.
    policy: String,
    /// Its text in Cedar.
    text: String,
}

/// A grant that came near.
#[derive(Serialize, ToSchema)]
pub struct Near {
    /// `grant:ID`.
    grant: String,
    /// What of it does not fit.
    missed: Vec<String>,
}

impl From<explain::Explanation> for Explanation {
    fn from(told: explain::Explanation) -> Self {
        let explain::Explanation { allowed, policies, near, remedies } = told;
        Self {
            decision: if allowed { "allowed" } else { "refused" },
            policies: policies.into_iter().map(|(policy, text)| Policy { policy, text }).collect(),
            near: near.into_iter().map(|(grant, missed)| Near { grant, missed }).collect(),
            remedies,
        }
    }
}

/// Why may somebody do something, or not? Yourself, or anybody if you administer or audit the
/// platform.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!(["view:any when it is about oneself", "audit|administer:platform when it is about another"]))),
    params(Asked),
    responses((status = 200, description = "The decision and its reasons", body = Explanation), openapi::Reads),
)]
#[get("/grants/explain")]
pub async fn why(
    caller: Caller,
    access: Data<Access>,
    Query(asked): Query<Asked>,
) -> Result<Json<Explanation>, ApiError> {
    let Asked { subject, action, resource, alias } = asked;
    let action = Action::parse(&action).ok_or_else(|| {
        let all = Action::ALL.map(Action::as_str).join(", ");
        Problem::invalid("action", format!("`{action}`: expected one of {all}"))
    })?;
    let (subject, resource) = (subject.parse()?, resource.parse()?);
    let alias = alias.map(|alias| alias.parse()).transpose()?;
    let told = explain(&access, &caller, &subject, action, &resource, alias).await?;
    Ok(Json(told.into()))
}
