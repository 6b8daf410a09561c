//! HTTP.

mod answer;
mod body;
mod encoding;
pub(crate) mod forward;
mod refusals;
mod schema;
mod scoring;
mod tensorflow;
mod v2;

pub use forward::Forwarder;

use actix_web::HttpResponse;
use domain::{Problem, capture::Protocol};
use percent_encoding::percent_decode_str;
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

/// The endpoint of which a path asks a prediction, and by which protocol.
pub(crate) fn asked_of(path: &str) -> Option<(String, Protocol)> {
    let mut parts = path.split('/').skip(1);
    let (protocol, name) = match (parts.next()?, parts.next()?) {
        ("v2", "models") => (Protocol::V2, parts.next()?),
        ("v1", "models") => (Protocol::TensorFlow, parts.next()?),
        ("serve", name) => (Protocol::MlFlow, name),
        ("endpoints", name) => (Protocol::SageMaker, name),
        _ => return None,
    };
    let last = parts.last();
    let (name, asked) = match protocol {
        Protocol::TensorFlow => (name.split(':').next()?, last.unwrap_or(name).split_once(':')?.1),
        Protocol::V2 | Protocol::Grpc | Protocol::MlFlow | Protocol::SageMaker => (name, last?),
    };
    let is_prediction = match protocol {
        Protocol::V2 => asked == "infer",
        Protocol::TensorFlow => ["predict", "classify", "regress"].contains(&asked),
        Protocol::MlFlow | Protocol::SageMaker => asked == "invocations",
        Protocol::Grpc => false,
    };
    let name = percent_decode_str(name).decode_utf8().ok()?;
    is_prediction.then(|| (name.into_owned(), protocol))
}

/// Registers what belongs to our own API, to be mounted at `/api/v1`.
pub fn api_routes(config: &mut ServiceConfig<'_>) {
    config.service(schema::endpoint_schema);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_of_whom_a_prediction_is_asked() {
        for (path, endpoint, protocol) in [
            ("/v2/models/fraud/infer", "fraud", Protocol::V2),
            ("/v2/models/fraud%40staging/versions/3/infer", "fraud@staging", Protocol::V2),
            ("/v1/models/fraud:predict", "fraud", Protocol::TensorFlow),
            ("/v1/models/fraud/versions/3:classify", "fraud", Protocol::TensorFlow),
            ("/v1/models/fraud/labels/champion:regress", "fraud", Protocol::TensorFlow),
            ("/serve/fraud/invocations", "fraud", Protocol::MlFlow),
            ("/endpoints/fraud/invocations", "fraud", Protocol::SageMaker),
        ] {
            assert_eq!(asked_of(path), Some((endpoint.to_owned(), protocol)), "{path}");
        }
        for path in [
            "",
            "/",
            "/v2/models/fraud",
            "/v2/models/infer",
            "/v2/models/fraud/ready",
            "/v1/models/fraud",
            "/v1/models/fraud/metadata",
            "/v1/models/fraud:train",
            "/serve/fraud/ping",
            "/api/v1/endpoints/fraud/invocations",
        ] {
            assert_eq!(asked_of(path), None, "{path}");
        }
    }
}
