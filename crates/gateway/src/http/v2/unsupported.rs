//! What Triton's clients may ask for and this server does not have: shared memory between client
//! and server, settings of tracing and of the log. Every such call is refused in words.

use actix_web::{HttpRequest, HttpResponse, web};
use auth::Caller;
use utoipa_actix_web::service_config::ServiceConfig;

use super::error::V2Error;
use crate::repository::Unsupported;

/// Not in the OpenAPI document: there is nothing to use.
const PATHS: [(&str, Unsupported); 6] = [
    ("/v2/systemsharedmemory/{call:.*}", Unsupported::SharedMemory),
    ("/v2/cudasharedmemory/{call:.*}", Unsupported::SharedMemory),
    ("/v2/trace/setting", Unsupported::Trace),
    ("/v2/models/{endpoint}/trace/setting", Unsupported::Trace),
    ("/v2/models/{endpoint}/versions/{version}/trace/setting", Unsupported::Trace),
    ("/v2/logging", Unsupported::Logging),
];

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    for (path, what) in PATHS {
        let refuse = move |_: HttpRequest, _: Caller| async move {
            Err::<HttpResponse, V2Error>(what.problem().into())
        };
        config.route(path, web::to(refuse));
    }
}
