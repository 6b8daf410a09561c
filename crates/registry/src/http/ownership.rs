//! `/models/{name}/team`, `/endpoints/{endpoint}/team`, `/experiments/{experiment_id}/team`

use actix_web::{put, web::Data};
use auth::{Access, Caller};
use domain::{Problem, tracking::ExperimentId};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    endpoints::Endpoint,
    models::Model,
    path::{self, EndpointPath, ExperimentPath, ModelPath},
};
use crate::{
    State,
    ownership::{self, Handover},
    text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(give_model).service(give_endpoint).service(give_experiment);
}

/// Which team shall own it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"team": "risk", "if_team": "text", "reason": "risk maintains it from now on"}))]
pub struct NewOwner {
    /// The team, by name; null: no team.
    #[serde(deserialize_with = "named_or_null")]
    #[schema(required)]
    team: Option<String>,
    /// The team that must own it until then: refused where another one does by now.
    if_team: Option<String>,
    reason: Option<String>,
}

/// It must stand there: nothing becomes nobody's because a name was forgotten.
fn named_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

impl TryFrom<NewOwner> for Handover {
    type Error = Problem;

    fn try_from(new: NewOwner) -> Result<Self, Problem> {
        let NewOwner { team, if_team, reason } = new;
        Ok(Self { team, if_team, reason: text::optional("reason", reason, text::REASON)? })
    }
}

/// Give a model with its versions to another team. Endpoints that follow it go on, also those of
/// other teams; the team that takes it must have room for it.
#[utoipa::path(
    tag = "models",
    operation_id = "give_model",
    extensions(("x-bottega-action" = json!(["administer:model", "register:team when a team takes it", "register:model when no team does"]))),
    params(ModelPath),
    responses((status = 200, description = "The model", body = Model), openapi::Writes),
)]
#[put("/models/{name}/team")]
pub async fn give_model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Json(new): Json<NewOwner>,
) -> Result<Json<Model>, ApiError> {
    let model = path::model(&name);
    let leave = access.authorize(&caller, model.clone()).await?;
    let enter = access.authorize_for(&caller, &model, new.team.as_deref()).await?;
    let permits = (&leave, &enter);
    Ok(Json(ownership::give_model(&state, permits, &name, &new.try_into()?).await?.into()))
}

/// Give an endpoint with its releases to another team. It answers as before; the team that takes it
/// must have room for it.
#[utoipa::path(
    tag = "endpoints",
    operation_id = "give_endpoint",
    extensions(("x-bottega-action" = json!(["administer:endpoint", "deploy:team when a team takes it", "deploy:endpoint when no team does"]))),
    params(EndpointPath),
    responses((status = 200, description = "The endpoint", body = Endpoint), openapi::Writes),
)]
#[put("/endpoints/{endpoint}/team")]
pub async fn give_endpoint(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Json(new): Json<NewOwner>,
) -> Result<Json<Endpoint>, ApiError> {
    let resource = path::endpoint(&endpoint);
    let leave = access.authorize(&caller, resource.clone()).await?;
    let enter = access.authorize_for(&caller, &resource, new.team.as_deref()).await?;
    let permits = (&leave, &enter);
    let view = ownership::give_endpoint(&state, permits, &endpoint, &new.try_into()?).await?;
    Ok(Json(view.into()))
}

/// An experiment and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"experiment_id": "3", "name": "fraud, autumn", "team": "risk"}))]
pub struct OwnedExperiment {
    experiment_id: String,
    name: String,
    /// The team that owns it; null where none does.
    #[schema(required)]
    team: Option<String>,
}

/// Give an experiment with its runs, logged models and files to another team.
#[utoipa::path(
    tag = "experiments",
    operation_id = "give_experiment",
    extensions(("x-bottega-action" = json!(["administer:experiment", "register:team when a team takes it", "register:experiment when no team does"]))),
    params(ExperimentPath),
    responses((status = 200, description = "The experiment", body = OwnedExperiment), openapi::Writes),
)]
#[put("/experiments/{experiment_id}/team")]
pub async fn give_experiment(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ExperimentPath { experiment_id }): Path<ExperimentPath>,
    Json(new): Json<NewOwner>,
) -> Result<Json<OwnedExperiment>, ApiError> {
    let id: ExperimentId = experiment_id.parse()?;
    let resource = path::experiment(id);
    let leave = access.authorize(&caller, resource.clone()).await?;
    let enter = access.authorize_for(&caller, &resource, new.team.as_deref()).await?;
    let permits = (&leave, &enter);
    let given = ownership::give_experiment(&state, permits, id, &new.try_into()?).await?;
    let store::tracking::experiments::Experiment { id, name, team, .. } = given;
    Ok(Json(OwnedExperiment { experiment_id: id.to_string(), name, team }))
}
