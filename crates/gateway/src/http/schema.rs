//! `GET /endpoints/{endpoint}/schema`

use actix_web::{get, web::Data};
use auth::{Caller, verbs};
use domain::EndpointRef;
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{State, admission::admit, predict};

/// Which endpoint.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct EndpointPath {
    /// The endpoint's name on the wire.
    #[param(value_type = String, example = "fraud")]
    endpoint: EndpointRef,
}

/// How to ask an endpoint for a prediction.
#[derive(Serialize, ToSchema)]
pub struct Schema {
    /// The inputs and outputs of the version that answers now.
    #[schema(value_type = Object)]
    signature: domain::Signature,
    /// The JSON Schema of a request's body for `/v2/models/{endpoint}/infer`.
    json_schema: Value,
    /// A request's body: the author's example, or one made up from the signature.
    example: Value,
}

/// Show what a prediction's request looks like.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "The signature, a JSON Schema and an example", body = Schema), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/schema")]
pub async fn endpoint_schema(
    caller: Caller,
    state: Data<State>,
    Path(path): Path<EndpointPath>,
) -> Result<Json<Schema>, ApiError> {
    let permit = admit::<verbs::View>(&state, &caller, path.endpoint.to_string())?;
    let served = predict::served(&state, &permit, None)?;
    let example = || protocol::v2::json::example(&served.signature);
    Ok(Json(Schema {
        signature: served.signature.clone(),
        json_schema: protocol::v2::json::schema(&served.signature),
        example: served.input_example.clone().unwrap_or_else(example),
    }))
}
