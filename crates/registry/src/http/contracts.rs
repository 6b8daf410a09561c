//! `/endpoints/{endpoint}/contract`

use actix_web::{HttpResponse, delete, get, put, web::Data};
use auth::{Access, Caller, verbs};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, ModelRef, Problem};
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    path::{self, EndpointPath},
    signature::Signature,
};
use crate::{
    State,
    contracts::{self, Source, Terms},
    text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show).service(set).service(clear);
}

/// What an endpoint's callers rely on: no release serves a version that does not fit.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "mood", "revision": 2, "models": ["sentiment"],
    "signature": {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": ["n", 1]}],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": ["n"]}],
    },
    "set_by": "user:ana", "set_at": "2026-01-02T03:04:05Z",
}))]
pub struct Contract {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// How often it was changed; 0 where there never was one.
    revision: i32,
    /// The models whose versions may be served; empty: any.
    models: Vec<String>,
    /// What goes in and comes out; null where there is no contract: the next release gives it one.
    #[schema(required)]
    signature: Option<Signature>,
    #[schema(required)]
    set_by: Option<String>,
    #[schema(required)]
    set_at: Option<DateTime<Utc>>,
}

impl Contract {
    fn of(endpoint: EndpointRef, contract: Option<store::contracts::Contract>) -> Self {
        let Some(contract) = contract else {
            let (signature, set_by, set_at) = (None, None, None);
            return Self { endpoint, revision: 0, models: Vec::new(), signature, set_by, set_at };
        };
        let (models, signature) = match contract.expected {
            Some(expected) => (expected.models, Some(expected.signature.into())),
            None => (Vec::new(), None),
        };
        Self {
            endpoint,
            revision: contract.revision,
            models,
            signature,
            set_by: Some(contract.set_by),
            set_at: Some(contract.set_at),
        }
    }
}

/// Show an endpoint's contract.
#[utoipa::path(
    tag = "endpoints",
    operation_id = "show_contract",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "The contract", body = Contract), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/contract")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
) -> Result<Json<Contract>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let contract = contracts::get(&state, &permit, &endpoint).await?;
    Ok(Json(Contract::of(endpoint, contract)))
}

/// What the contract shall be. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "sentiment/4", "models": ["sentiment"], "reason": "neutral is a third label from now on", "if_revision": 2,
}))]
pub struct NewContract {
    /// The version whose signature it takes: `MODEL/VERSION`, or `MODEL@ALIAS` as it points now.
    from: Option<String>,
    /// The signature itself, in place of `from`.
    signature: Option<Signature>,
    /// The models whose versions may be served; empty: any.
    models: Option<Vec<String>>,
    reason: Option<String>,
    /// The revision that shall be changed; refused where somebody changed it meanwhile.
    if_revision: Option<i32>,
}

impl TryFrom<NewContract> for Terms {
    type Error = Problem;

    fn try_from(wanted: NewContract) -> Result<Self, Problem> {
        let NewContract { from, signature, models, reason, if_revision } = wanted;
        let signature = match (from, signature) {
            (Some(_), Some(_)) => {
                let message = "`signature` and `from` stand together: expected one of them";
                return Err(Problem::invalid("signature", message));
            }
            (Some(from), None) => {
                let from: Result<ModelRef, _> = from.parse();
                Source::Version(from.map_err(|problem: Problem| problem.at("from"))?)
            }
            (None, Some(signature)) => Source::Given(signature.try_into()?),
            (None, None) if models.is_none() => {
                let message = "nothing to change: expected `from`, `signature` or `models`";
                return Err(Problem::invalid("from", message));
            }
            (None, None) => Source::Unchanged,
        };
        let models = models.map(|models| models.iter().map(|name| name.parse()).collect());
        let models = models.transpose().map_err(|problem: Problem| problem.at("models"))?;
        let reason = text::optional("reason", reason, text::REASON)?;
        Ok(Self { signature, models, reason, if_revision })
    }
}

/// Change an endpoint's contract. It holds for releases from now on: what answers now goes on
/// answering, and a follower that was blocked waits for the next move of its alias or a deploy.
#[utoipa::path(
    tag = "endpoints",
    operation_id = "set_contract",
    extensions(("x-bottega-action" = json!(["configure:endpoint", "view:model when models are allowed by name"]))),
    params(EndpointPath),
    responses((status = 200, description = "The contract", body = Contract), openapi::Writes),
)]
#[put("/endpoints/{endpoint}/contract")]
pub async fn set(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Json(wanted): Json<NewContract>,
) -> Result<Json<Contract>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let terms: Terms = wanted.try_into()?;
    // A contract tells what a version looks like, and that a model is there.
    let from = match &terms.signature {
        Source::Version(version) => Some(&version.model),
        Source::Given(_) | Source::Unchanged => None,
    };
    for model in from.into_iter().chain(terms.models.iter().flatten()) {
        access.authorize::<verbs::View>(&caller, path::model(model)).await?;
    }
    let contract = contracts::set(&state, &permit, &endpoint, &terms).await?;
    Ok(Json(Contract::of(endpoint, Some(contract))))
}

/// Under which condition a contract is cleared.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Condition {
    /// The revision that shall be cleared; refused where somebody changed it meanwhile.
    #[param(example = 2)]
    if_revision: Option<i32>,
}

/// Clear an endpoint's contract: its next release, whatever it serves, gives it the next one.
#[utoipa::path(
    tag = "endpoints",
    operation_id = "clear_contract",
    extensions(("x-bottega-action" = json!("configure:endpoint"))),
    params(EndpointPath, Condition),
    responses((status = 204, description = "There is none any more"), openapi::Writes),
)]
#[delete("/endpoints/{endpoint}/contract")]
pub async fn clear(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(Condition { if_revision }): Query<Condition>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    contracts::clear(&state, &permit, &endpoint, if_revision).await?;
    Ok(HttpResponse::NoContent().finish())
}
