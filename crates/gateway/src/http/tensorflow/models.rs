//! What an endpoint is, and which of its versions answer.

use actix_web::{
    get,
    web::{Data, Path},
};
use auth::{Caller, verbs};
use protocol::tensorflow::{self, ModelStatus};
use rest::Json;
use serde_json::Value;

use crate::{
    State,
    admission::admit,
    http::v2::error::{NotShown, V2Error},
    predict::{Version, settled_route, share, version_number},
};

/// Tell which versions of an endpoint answer, as TensorFlow Serving does.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "Its versions", body = Object, example = json!({"model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]})),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}")]
pub(super) async fn status(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<Json<Value>, V2Error> {
    let permit = admit::<verbs::View>(&state, &caller, path.into_inner())?;
    let route = settled_route(&state, permit.resource().name()).await?;
    let versions = route.shares.iter().map(|share| share.served.labels.version.as_str());
    Ok(Json(tensorflow::status(versions.map(available))))
}

/// Tell whether a version of the present release answers.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    responses(
        (status = 200, description = "It does", body = Object),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}/versions/{version}")]
pub(super) async fn status_version(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<Value>, V2Error> {
    let (endpoint, version) = path.into_inner();
    available_one(&caller, &state, endpoint, &Version::Number(version_number(&version)?)).await
}

/// Tell whether the version answers that an alias of the model points to.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("label" = String, Path, description = "An alias of the endpoint's model", example = "champion"),
    ),
    responses(
        (status = 200, description = "It does", body = Object),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}/labels/{label}")]
pub(super) async fn status_label(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<Value>, V2Error> {
    let (endpoint, label) = path.into_inner();
    available_one(&caller, &state, endpoint, &Version::Label(label)).await
}

async fn available_one(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: &Version,
) -> Result<Json<Value>, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    let number = version.number(state, permit.resource().name()).await?;
    let share = share(state, &permit, number).await?;
    Ok(Json(tensorflow::status([available(&share.served.labels.version)])))
}

const fn available(version: &str) -> ModelStatus<'_> {
    ModelStatus { version, is_available: true }
}

/// Show an endpoint's inputs and outputs, as TensorFlow Serving does.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "Its signature", body = Object),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}/metadata")]
pub(super) async fn metadata(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<Json<Value>, V2Error> {
    show(&caller, &state, path.into_inner(), &Version::Any).await
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
        (status = 200, description = "Its signature", body = Object),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}/versions/{version}/metadata")]
pub(super) async fn metadata_version(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<Value>, V2Error> {
    let (endpoint, version) = path.into_inner();
    show(&caller, &state, endpoint, &Version::Number(version_number(&version)?)).await
}

/// Show the inputs and outputs of the version that an alias of the model points to.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("label" = String, Path, description = "An alias of the endpoint's model", example = "champion"),
    ),
    responses(
        (status = 200, description = "Its signature", body = Object),
        NotShown,
    ),
)]
#[get("/v1/models/{endpoint}/labels/{label}/metadata")]
pub(super) async fn metadata_label(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<Value>, V2Error> {
    let (endpoint, label) = path.into_inner();
    show(&caller, &state, endpoint, &Version::Label(label)).await
}

async fn show(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: &Version,
) -> Result<Json<Value>, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    let number = version.number(state, permit.resource().name()).await?;
    let share = share(state, &permit, number).await?;
    let name = permit.resource().name();
    Ok(Json(tensorflow::metadata(name, &share.served.labels.version, share.signature())))
}
