//! `GET /me`

use actix_web::get;
use rest::{Json, openapi};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Caller;

/// Who the platform takes the caller for.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// The actor, as the audit trail writes it.
    #[schema(examples("user:admin"))]
    actor: String,
}

/// Who am I?
#[utoipa::path(
    tag = "access",
    responses((status = 200, description = "The caller", body = Me), openapi::Reads),
)]
#[get("/me")]
pub async fn me(caller: Caller) -> Json<Me> {
    Json(Me { actor: caller.actor.to_string() })
}
