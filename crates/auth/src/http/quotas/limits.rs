//! `/quotas` and `/quotas/{subject}`

use std::collections::BTreeMap;

use actix_web::{get, patch, web::Data};
use domain::{
    Problem, Resource, Timestamp,
    access::Subject,
    quota::{Amount, Holder},
};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Database, quotas::Limit};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{quota, written};
use crate::{
    Access, Caller,
    quotas::{self, Origin, Quota, Sheet},
    verbs,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(own).service(show).service(set);
}

/// Whose quotas.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct HolderPath {
    /// `user:NAME`, `team:NAME`, `service:NAME`; `default:user`, `default:team` or
    /// `default:service` for all of that kind that have no limit of their own.
    #[param(example = "team:fraud")]
    subject: String,
}

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// It was set for this subject.
    Own,
    /// It was set for all of its kind.
    Default,
    /// Nobody set any.
    None,
}

/// A quota as it stands.
#[derive(Serialize, ToSchema)]
pub struct QuotaBody {
    #[schema(examples("models"))]
    quota: &'static str,
    /// How much it allows; null: any.
    #[schema(required)]
    limit: Option<u64>,
    /// The same for people, with its unit.
    #[schema(examples("50"))]
    shown: String,
    #[schema(inline)]
    from: Source,
    /// How much is used; null for what is not counted.
    #[schema(required)]
    used: Option<u64>,
    /// When the count begins anew.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    resets_at: Option<Timestamp>,
    /// Whether anything keeps to it: what captures rows comes later.
    enforced: bool,
}

impl From<Quota> for QuotaBody {
    fn from(quota: Quota) -> Self {
        let from = match quota.origin {
            Origin::Own => Source::Own,
            Origin::Default => Source::Default,
            Origin::Nobody => Source::None,
        };
        Self {
            quota: quota.key.as_str(),
            limit: quota.amount.limit(),
            shown: quota.amount.show(quota.key).to_string(),
            from,
            used: quota.used,
            resets_at: quota.resets_at,
            enforced: quota.is_enforced(),
        }
    }
}

/// All quotas of a subject.
#[derive(Serialize, ToSchema)]
pub struct SheetBody {
    #[schema(examples("team:fraud"))]
    subject: String,
    /// What holds, by quota; null: any.
    #[schema(examples(json!({"models": 50, "artifact_bytes": 10737418240_u64, "versions": null})))]
    limits: BTreeMap<&'static str, Option<u64>>,
    /// What is used, by quota.
    #[schema(examples(json!({"models": 3})))]
    used: BTreeMap<&'static str, u64>,
    /// The same, with where each comes from.
    quotas: Vec<QuotaBody>,
}

impl From<Sheet> for SheetBody {
    fn from(sheet: Sheet) -> Self {
        let quotas = &sheet.quotas;
        let limits = quotas.iter().map(|quota| (quota.key.as_str(), quota.amount.limit()));
        let used = quotas.iter().filter_map(|quota| Some((quota.key.as_str(), quota.used?)));
        Self {
            subject: sheet.holder.to_string(),
            limits: limits.collect(),
            used: used.collect(),
            quotas: sheet.quotas.into_iter().map(Into::into).collect(),
        }
    }
}

/// A limit that was set.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "subject": "team:fraud", "quota": "models", "limit": 50, "shown": "50",
    "set_by": "user:ana", "set_at": "2026-11-28T12:00:00Z",
}))]
pub struct LimitBody {
    subject: String,
    quota: &'static str,
    #[schema(required)]
    limit: Option<u64>,
    shown: String,
    set_by: String,
    #[schema(value_type = String, format = DateTime)]
    set_at: Timestamp,
}

impl From<Limit> for LimitBody {
    fn from(limit: Limit) -> Self {
        Self {
            subject: limit.holder.to_string(),
            quota: limit.key.as_str(),
            limit: limit.amount.limit(),
            shown: limit.amount.show(limit.key).to_string(),
            set_by: limit.set_by,
            set_at: limit.set_at,
        }
    }
}

/// Limits that were set.
#[derive(Serialize, ToSchema)]
pub struct LimitsBody {
    /// All of them, defaults first.
    items: Vec<LimitBody>,
}

/// List all limits that were set.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "All limits", body = LimitsBody), openapi::Reads),
)]
#[get("/quotas")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
) -> Result<Json<LimitsBody>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let items = quotas::list(&database, &permit).await?;
    Ok(Json(LimitsBody { items: items.into_iter().map(Into::into).collect() }))
}

/// Show the caller's own quotas.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!("self"))),
    responses((status = 200, description = "Limits, and what is used", body = SheetBody), openapi::Reads),
)]
#[get("/me/quotas")]
pub async fn own(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
) -> Result<Json<SheetBody>, ApiError> {
    let subject = myself(&caller)?;
    let known = quotas::may_see(&access, &database, &caller, &subject).await?;
    Ok(Json(quotas::of_subject(&database, &known).await?.into()))
}

/// Whom a caller asks for who names nobody.
pub(super) fn myself(caller: &Caller) -> Result<Subject, Problem> {
    Subject::try_from(&caller.actor)
        .map_err(|()| Problem::invalid("subject", "parts of Bottega have no quotas"))
}

/// Show the quotas of a subject: one's own, those of one's teams, as an administrator anybody's.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when it is another's"]))),
    params(HolderPath),
    responses((status = 200, description = "Limits, and what is used", body = SheetBody), openapi::Reads),
)]
#[get("/quotas/{subject}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(HolderPath { subject }): Path<HolderPath>,
) -> Result<Json<SheetBody>, ApiError> {
    let sheet = match subject.parse()? {
        Holder::Subject(subject) => {
            let known = quotas::may_see(&access, &database, &caller, &subject).await?;
            quotas::of_subject(&database, &known).await?
        }
        Holder::Default(kind) => {
            access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
            quotas::of_kind(&database, kind).await?
        }
    };
    Ok(Json(sheet.into()))
}

/// Limits to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limits": {"models": "50", "artifact_bytes": "10GiB", "versions": "unlimited", "burst": null}}))]
pub struct NewLimits {
    /// By quota: a whole number (`50`, `10k`, `2M`), bytes with their unit (`10GiB`), `unlimited`, or
    /// null for what holds for all of the kind.
    #[schema(value_type = Object)]
    limits: BTreeMap<String, Value>,
}

/// Set limits of a subject, or of a kind. What is not named stays. A limit below what is used is
/// taken: nothing is deleted, only more is refused.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(HolderPath),
    responses((status = 200, description = "Limits, and what is used", body = SheetBody), openapi::Writes),
)]
#[patch("/quotas/{subject}")]
pub async fn set(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(HolderPath { subject }): Path<HolderPath>,
    Json(NewLimits { limits }): Json<NewLimits>,
) -> Result<Json<SheetBody>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let holder: Holder = subject.parse()?;
    if limits.is_empty() {
        let problem = Problem::invalid("limits", "it names no quota");
        return Err(problem.hint("send {\"limits\": {\"models\": \"50\"}}").into());
    }
    let limits = limits
        .iter()
        .map(|(name, value)| {
            let key = quota(name)?;
            let amount = if value.is_null() {
                None
            } else {
                Some(Amount::parse(key, &written(format!("limits.{key}"), value)?)?)
            };
            Ok((key.as_str(), (key, amount)))
        })
        .collect::<Result<_, Problem>>()?;
    quotas::set(&database, &permit, &holder, &limits).await?;
    let sheet = match &holder {
        Holder::Subject(subject) => {
            let known = quotas::may_see(&access, &database, &caller, subject).await?;
            quotas::of_subject(&database, &known).await?
        }
        Holder::Default(kind) => quotas::of_kind(&database, *kind).await?,
    };
    Ok(Json(sheet.into()))
}
