//! `/audit/checkpoints`

use actix_web::{HttpResponse, get, post, web::Data};
use domain::{Digest, Resource, Timestamp, audit::Checkpoint};
use rest::{ApiError, Json, NoQuery, PageBody, PageQuery, Query, openapi};
use serde::Serialize;
use store::{Database, audit::checkpoints};
use utoipa::ToSchema;

use crate::{
    Access, Caller,
    audit::{self, Signer},
    verbs,
};

/// A signed note of how far the chain had come. Kept elsewhere, it shows later whether the chain was
/// cut or written anew.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "seal": 411, "total": 123_456, "hash": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "at": "2026-11-17T14:00:00Z", "public_key": "3b6a…", "signature": "9f21…",
}))]
pub struct Signed {
    /// The newest seal's number.
    seal: i64,
    /// Events in it and in all before it.
    total: i64,
    /// Its digest.
    #[schema(value_type = String)]
    hash: Digest,
    /// When this was signed.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The Ed25519 key that it was signed with, in hex.
    public_key: String,
    /// In hex, of the words `bottega audit checkpoint`, an end of line, and canonical JSON (RFC 8785)
    /// of `at`, `hash`, `seal` and `total`.
    signature: String,
}

impl From<Checkpoint> for Signed {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { seal, total, hash, at, public_key, signature } = checkpoint;
        Self { seal, total, hash, at, public_key, signature }
    }
}

/// List the checkpoints that were made, newest first. One is made every ten minutes or 10,000 events.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    params(PageQuery),
    responses((status = 200, description = "A page of checkpoints", body = PageBody<Signed>), openapi::Reads),
)]
#[get("/audit/checkpoints")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Signed>>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let (cursor, limit) = page.bounds()?;
    let page = checkpoints::list(&database, cursor.as_ref(), limit).await?;
    Ok(Json(page.map(Signed::from).into()))
}

/// Make a checkpoint of how far the chain has come now, to keep it elsewhere.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    responses((status = 201, description = "The checkpoint", body = Signed), openapi::Writes),
)]
#[post("/audit/checkpoints")]
pub async fn make(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    signer: Data<Signer>,
    _: NoQuery,
) -> Result<HttpResponse, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let checkpoint = audit::checkpoint(&database, &signer).await?;
    Ok(HttpResponse::Created().json(Signed::from(checkpoint)))
}
