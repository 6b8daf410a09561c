//! Workspaces, which this server has not: a client that asks for one must not be served another's data.

use actix_web::{
    Error, ResponseError as _,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use crate::refusal::{Code, Refusal};

const HEADER: &str = "x-mlflow-workspace";

/// Refuses requests for any workspace but the one that there is.
pub async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let asked = request.headers().get(HEADER).map(|value| value.as_bytes().trim_ascii());
    // A client finds out here whether there are workspaces at all.
    let is_info = request.path().ends_with("/mlflow/server-info");
    if is_info || matches!(asked, None | Some(b"" | b"default")) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let refusal = Refusal::new(
        Code::FeatureDisabled,
        "Workspace APIs are not available: this server has no workspaces: unset MLFLOW_WORKSPACE, and do not send X-MLFLOW-WORKSPACE",
    );
    Ok(request.into_response(refusal.error_response()))
}
