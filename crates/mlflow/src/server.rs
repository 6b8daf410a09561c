//! What the server says of itself.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{Data, ServiceConfig, get},
};
use serde_json::json;
use tracking::{State, files};

use crate::VERSION;

/// At the root: clients and their load balancers ask these without credentials.
pub fn root(config: &mut ServiceConfig) {
    config.route("/health", get().to(health)).route("/version", get().to(version));
}

/// Below `/api/3.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/server-info", get().to(info));
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("OK")
}

async fn version() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(VERSION)
}

/// What clients may use. They take `false` as "through the server", which works everywhere.
async fn info(state: Data<State>) -> HttpResponse {
    let is_direct = files::is_direct(&state);
    HttpResponse::Ok().json(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": is_direct,
        "multipart_downloads_enabled": is_direct,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": {"gateway": false},
    }))
}
