//! What TensorFlow Serving's clients may ask for and this server does not have yet: each call is
//! refused in words.

use actix_web::{HttpResponse, web};
use auth::Caller;
use domain::{ErrorCode, Problem};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::http::v2::error::V2Error;

const EXAMPLES: &str = "examples are not supported: send `instances` or `inputs` to `:predict`";

/// Not in the OpenAPI document: there is nothing to use.
const PATHS: [(&str, &str); 6] = [
    ("/v1/models/{endpoint}:classify", EXAMPLES),
    ("/v1/models/{endpoint}:regress", EXAMPLES),
    ("/v1/models/{endpoint}/versions/{version}:classify", EXAMPLES),
    ("/v1/models/{endpoint}/versions/{version}:regress", EXAMPLES),
    ("/v1/models/{endpoint}/labels/{label}:classify", EXAMPLES),
    ("/v1/models/{endpoint}/labels/{label}:regress", EXAMPLES),
];

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    for (path, message) in PATHS {
        let refuse = move |_: Caller| async move {
            Err::<HttpResponse, V2Error>(Problem::new(ErrorCode::Invalid, message).into())
        };
        config.route(path, web::to(refuse));
    }
}
