//! `GET /endpoints/{endpoint}/schema`

use actix_web::{HttpResponse, get, web::Data};
use auth::{Caller, verbs};
use domain::EndpointRef;
use protocol::stub;
use rest::{ApiError, Path, Query, openapi};
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

/// What to answer with.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// A language: typed code that calls the endpoint, in place of schemas.
    lang: Option<Language>,
}

/// A language that callers write.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Python,
    Rust,
    TypeScript,
}

/// How to ask an endpoint for a prediction.
#[derive(Serialize, ToSchema)]
pub struct Schema {
    /// The inputs and outputs of the version that answers now.
    #[schema(value_type = Object)]
    signature: domain::Signature,
    /// The JSON Schema of a request's body for `/v2/models/{endpoint}/infer`.
    json_schema: Value,
    /// The JSON Schema of the answer to it.
    answer_schema: Value,
    /// A request's body: the author's example, or one made up from the signature.
    example: Value,
    /// The same for rows.
    rows: RowsSchema,
}

/// How to ask for a prediction by rows, at `/v1/models/{endpoint}:predict`.
#[derive(Serialize, ToSchema)]
pub struct RowsSchema {
    json_schema: Value,
    answer_schema: Value,
    /// A request's body, which MLflow's scoring and SageMaker's runtime take as well.
    example: Value,
}

/// Show what a prediction's request and answer look like, as JSON Schemas (2020-12) or as typed code that
/// calls the endpoint.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath, Wanted),
    responses(
        (status = 200, description = "The signature, schemas and examples; with `lang`, code", content(
            (Schema = "application/json"),
            (String = "text/plain"),
        )),
        openapi::Reads,
    ),
)]
#[get("/endpoints/{endpoint}/schema")]
pub async fn endpoint_schema(
    caller: Caller,
    state: Data<State>,
    Path(path): Path<EndpointPath>,
    Query(Wanted { lang }): Query<Wanted>,
) -> Result<HttpResponse, ApiError> {
    let permit = admit::<verbs::View>(&state, &caller, path.endpoint.to_string())?;
    let share = predict::share(&state, &permit, None).await?;
    let (served, signature) = (&share.served, share.signature());
    let Some(lang) = lang else {
        let example = || protocol::v2::json::example(signature);
        return Ok(HttpResponse::Ok().json(Schema {
            signature: signature.clone(),
            json_schema: protocol::v2::json::schema(signature),
            answer_schema: protocol::v2::json::answer_schema(signature),
            example: share.input_example().cloned().unwrap_or_else(example),
            rows: RowsSchema {
                json_schema: protocol::rows_schema(signature),
                answer_schema: protocol::rows_answer_schema(signature),
                example: protocol::rows_example(signature),
            },
        }));
    };
    let version = format!("{}/{}", served.model, served.number);
    let endpoint = path.endpoint.to_string();
    let target = stub::Target { endpoint: &endpoint, version: &version, signature };
    let code = match lang {
        Language::Python => stub::python(&target),
        Language::Rust => stub::rust(&target),
        Language::TypeScript => stub::typescript(&target),
    };
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(code))
}
