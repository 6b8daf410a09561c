//! `GET /v2`, `GET /v2/models/{endpoint}` and `…/config`, each also for `…/versions/{version}`

use actix_web::{
    get,
    web::{Data, Path},
};
use auth::{Caller, verbs};
use protocol::v2::{
    config::ModelConfig,
    metadata::{ModelMetadata, ServerMetadata},
};
use rest::Json;

use super::error::{ErrorBody, NotShown, V2Error};
use crate::{State, admission::admit, metadata, predict::version_number};

/// Show what this server speaks.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("none because it names the server and what it speaks"))),
    responses(
        (status = 200, description = "Name, version and extensions", body = Object, example = json!({
            "name": "bottega", "version": "0.1.0", "extensions": ["binary_tensor_data", "statistics"],
        })),
        (status = 401, description = "No token that we know", body = ErrorBody),
    ),
)]
#[get("/v2")]
pub(super) async fn server_metadata(_caller: Caller) -> Json<ServerMetadata> {
    Json(metadata::server())
}

/// Show an endpoint's inputs and outputs.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "Its inputs and outputs", body = Object, example = json!({
            "name": "fraud", "versions": ["3"], "platform": "onnxruntime_onnx",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
        })),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}")]
pub(super) async fn model_metadata(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<Json<ModelMetadata>, V2Error> {
    show(&caller, &state, path.into_inner(), None).await
}

/// Show the inputs and outputs of one version of the present release.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    responses(
        (status = 200, description = "Its inputs and outputs", body = Object),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/versions/{version}")]
pub(super) async fn model_version_metadata(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<ModelMetadata>, V2Error> {
    let (endpoint, version) = path.into_inner();
    show(&caller, &state, endpoint, Some(version_number(&version)?)).await
}

async fn show(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Option<i32>,
) -> Result<Json<ModelMetadata>, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    Ok(Json(metadata::endpoint(state, &permit, version).await?))
}

/// Show how an endpoint is run, as Triton's clients expect it.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "Its configuration; where `max_batch_size` is not 0, `dims` leave the batch out", body = Object, example = json!({
            "name": "fraud", "platform": "onnxruntime_onnx", "backend": "onnxruntime",
            "version_policy": {"specific": {"versions": [3]}}, "max_batch_size": 64,
            "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
            "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": []}],
            "instance_group": [{"count": 1, "kind": "KIND_CPU"}],
            "default_model_filename": "model.onnx",
            "dynamic_batching": {"max_queue_delay_microseconds": 0},
        })),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/config")]
pub(super) async fn model_config(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<Json<ModelConfig>, V2Error> {
    show_config(&caller, &state, path.into_inner(), None).await
}

/// Show how one version of the present release is run.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    responses(
        (status = 200, description = "Its configuration", body = Object),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/versions/{version}/config")]
pub(super) async fn model_version_config(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<ModelConfig>, V2Error> {
    let (endpoint, version) = path.into_inner();
    show_config(&caller, &state, endpoint, Some(version_number(&version)?)).await
}

async fn show_config(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Option<i32>,
) -> Result<Json<ModelConfig>, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    Ok(Json(metadata::config(state, &permit, version).await?))
}
