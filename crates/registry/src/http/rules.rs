//! `/models/{name}/rules`

use actix_web::{HttpResponse, delete, get, post, web::Data};
use auth::{Access, Caller, Permit, verbs};
use chrono::{DateTime, Utc};
use domain::{ModelName, Problem, RuleId, promotion};
use rest::{ApiError, Json, NoQuery, Path, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Items,
    path::{self, ModelPath, RulePath},
};
use crate::{
    State,
    rules::{self, Gate},
    text,
};

/// The longest name of a stage or an alias.
const TARGET: usize = 255;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(add).service(remove);
}

/// What a version must show before an alias or a stage may move to it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "rule": "accuracy >= champion + 0.005 on dataset june",
    "target": "champion", "created_by": "user:ana", "created_at": "2026-01-02T03:04:05Z",
}))]
pub struct Rule {
    #[schema(value_type = String)]
    id: RuleId,
    rule: String,
    /// The alias or stage that it guards; null where it guards all of them.
    #[schema(required)]
    target: Option<String>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<store::rules::Rule> for Rule {
    fn from(rule: store::rules::Rule) -> Self {
        let store::rules::Rule { id, target, rule, created_by, created_at } = rule;
        Self { id, rule: rule.to_string(), target, created_by, created_at }
    }
}

/// Whether promotion rules may be passed over.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Override {
    /// Move it although promotion rules stand against it; needs a reason, and is audited.
    #[serde(default)]
    r#override: bool,
}

impl Override {
    /// The permit to pass over the rules, where that is asked for.
    ///
    /// # Errors
    /// The caller may not, or gives no reason.
    pub async fn permit(
        &self,
        access: &Access,
        caller: &Caller,
        name: &ModelName,
        reason: Option<&str>,
    ) -> Result<Option<Permit<verbs::Administer>>, Problem> {
        if !self.r#override {
            return Ok(None);
        }
        let permit = access.authorize(caller, path::model(name)).await?;
        if reason.is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Problem::invalid("reason", "rules are passed over only with a reason"));
        }
        Ok(Some(permit))
    }
}

/// The gate that a move goes through.
pub fn gate(overriding: Option<&Permit<verbs::Administer>>) -> Gate<'_> {
    overriding.map_or(Gate::Closed, Gate::Overridden)
}

/// List a model's promotion rules, oldest first.
#[utoipa::path(
    tag = "rules",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(ModelPath),
    responses((status = 200, description = "All rules", body = Items<Rule>), openapi::Reads),
)]
#[get("/models/{name}/rules")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    _: NoQuery,
) -> Result<Json<Items<Rule>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let all = rules::list(&state, &permit, &name).await?;
    Ok(Json(Items { items: all.into_iter().map(Into::into).collect() }))
}

/// A rule, and what it shall guard.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rule": "accuracy >= 0.9", "target": "champion"}))]
pub struct NewRule {
    /// `METRIC >= NUMBER`, `METRIC >= ALIAS + NUMBER on dataset NAME`, `has signature`,
    /// `has input example`; also with `<=`, `>` and `<`.
    rule: String,
    /// The alias or stage that it guards; all of them where it is absent.
    target: Option<String>,
}

/// Give a model a promotion rule. From now on a move that it stands against is refused.
#[utoipa::path(
    tag = "rules",
    extensions(("x-bottega-action" = json!("administer:model"))),
    params(ModelPath),
    responses((status = 201, description = "The rule", body = Rule), openapi::Writes),
)]
#[post("/models/{name}/rules")]
pub async fn add(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Json(NewRule { rule, target }): Json<NewRule>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let rule: promotion::Rule = rule.parse()?;
    let target = text::optional("target", target.filter(|target| !target.is_empty()), TARGET)?;
    let made = rules::add(&state, &permit, &name, target.as_deref(), &rule).await?;
    Ok(HttpResponse::Created().json(Rule::from(made)))
}

/// Take a promotion rule away.
#[utoipa::path(
    tag = "rules",
    extensions(("x-bottega-action" = json!("administer:model"))),
    params(RulePath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/models/{name}/rules/{rule}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(RulePath { name, rule }): Path<RulePath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    rules::remove(&state, &permit, &name, rule).await?;
    Ok(HttpResponse::NoContent().finish())
}
