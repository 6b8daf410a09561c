//! HTTP.

mod answer;
mod body;
mod encoding;
mod schema;
mod scoring;
mod tensorflow;
mod v2;

use actix_web::HttpResponse;
use domain::Problem;
use utoipa_actix_web::service_config::ServiceConfig;

/// Registers the prediction protocols, to be mounted at `/`. They need `web::Data` of
/// [`State`](crate::State).
pub fn routes(config: &mut ServiceConfig<'_>) {
    v2::routes(config);
    tensorflow::routes(config);
    scoring::routes(config);
}

/// A refusal in the shape of the protocol that the path belongs to, for guards that refuse before any
/// handler. The problem comes back where it belongs to none of them.
///
/// # Errors
/// The path is of no protocol here.
pub fn refusal(path: &str, problem: Problem) -> Result<HttpResponse, Problem> {
    let begins = |with: &str| {
        path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if begins("/v2") || begins("/v1") {
        Ok(v2::refusal(problem))
    } else if begins("/serve") {
        Ok(scoring::mlflow_refusal(problem))
    } else if begins("/endpoints") {
        Ok(scoring::sagemaker_refusal(problem))
    } else {
        Err(problem)
    }
}

/// Registers what belongs to our own API, to be mounted at `/api/v1`.
pub fn api_routes(config: &mut ServiceConfig<'_>) {
    config.service(schema::endpoint_schema);
}
