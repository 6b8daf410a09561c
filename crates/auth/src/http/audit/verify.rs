//! `/audit/verify`

use actix_web::{
    HttpResponse, get, post,
    web::{Bytes, Data},
};
use domain::{
    Digest, Problem, Resource,
    audit::{Checkpoint, Damage, Fault, Link},
};
use rest::{ApiError, Json, openapi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Database,
    audit::{self, Verified},
};
use utoipa::ToSchema;

use super::{answer, pieces};
use crate::{Access, Caller, audit::Signer, verbs};

/// The first thing that is wrong.
#[derive(Serialize, ToSchema)]
pub struct FirstBad {
    /// In which seal.
    seal: i64,
    /// Which event, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<i64>,
    /// What: `changed`, `removed`, `inserted`, `reordered`, `seal_missing`, `seal_changed`,
    /// `rewritten`, `cut`.
    #[schema(value_type = String, examples("changed"))]
    damage: Damage,
    /// In words.
    message: String,
}

impl From<Fault> for FirstBad {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        Self { seal: fault.seal, event: fault.event, damage: fault.damage, message }
    }
}

/// Where a chain stands.
#[derive(Serialize, ToSchema)]
pub struct Head {
    /// The newest seal.
    seal: i64,
    /// Events in it and in all before it.
    total: i64,
    /// Its digest.
    #[schema(value_type = String)]
    hash: Digest,
}

impl From<Link> for Head {
    fn from(link: Link) -> Self {
        Self { seal: link.seal, total: link.total, hash: link.hash }
    }
}

/// What a walk along the chain found.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "ok": true, "checked": 123_456, "first_bad": null, "unsealed": 2, "archived": 0, "uncompared_checkpoints": 0,
    "head": {"seal": 411, "total": 123_456, "hash": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
}))]
pub struct Verification {
    /// Whether nothing is wrong.
    ok: bool,
    /// How many events are as they were sealed.
    checked: i64,
    /// The first thing that is wrong; null where nothing is.
    #[schema(required)]
    first_bad: Option<FirstBad>,
    /// How many events wait for their seal: those of about the last second, and those written while
    /// an older transaction still runs.
    unsealed: i64,
    /// How many events are older, and in archives.
    archived: i64,
    /// How many of the checkpoints are of seals in archives, and were not compared.
    uncompared_checkpoints: usize,
    /// Where the chain stands, as far as it is good.
    head: Head,
}

impl From<Verified> for Verification {
    fn from(found: Verified) -> Self {
        Self {
            ok: found.first_bad.is_none(),
            checked: found.checked,
            first_bad: found.first_bad.map(Into::into),
            unsealed: found.unsealed,
            archived: found.archived,
            uncompared_checkpoints: found.uncompared,
            head: found.link.into(),
        }
    }
}

/// Verify the audit trail: that no event was changed, removed, inserted or moved since it was sealed,
/// and that the chain agrees with the checkpoints kept here. It walks through all of it.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    responses((status = 200, description = "What was found; `ok` says whether all is well", body = Verification), openapi::Reads),
)]
#[get("/audit/verify")]
pub async fn verify(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    _: rest::NoQuery,
) -> Result<Json<Verification>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    Ok(Json(audit::verify(&database, &[], |_, _| ()).await?.into()))
}

/// What to compare the chain with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"checkpoints": []}))]
pub struct With {
    /// Checkpoints that were kept elsewhere, as they were given.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    checkpoints: Vec<Checkpoint>,
}

/// Verify the audit trail, also against checkpoints that were kept elsewhere: they show that the chain
/// was cut, or written anew. The answer is lines of JSON: how far it is, as
/// `{"checked": 4000, "of": 123456}`, and last what was found.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    request_body = With,
    responses((status = 200, description = "Lines of JSON, the last one a verification", body = Verification, content_type = "application/x-ndjson"), openapi::Reads),
)]
#[post("/audit/verify")]
pub async fn verify_with(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    signer: Data<Signer>,
    Json(With { checkpoints }): Json<With>,
) -> Result<HttpResponse, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    for checkpoint in &checkpoints {
        signer.check(checkpoint)?;
    }
    let links: Vec<_> = checkpoints.iter().map(Checkpoint::link).collect();
    let (sender, receiver) = pieces();
    tokio::spawn(async move {
        let progress = |checked: i64, of: i64| {
            let line = format!("{}\n", json!({"checked": checked, "of": of}));
            // Who reads slowly hears less often.
            let _ = sender.try_send(Ok(Bytes::from(line)));
        };
        let found = audit::verify(&database, &links, progress).await;
        let last = found.map_err(Problem::from).and_then(|found| {
            let line = serde_json::to_vec(&Verification::from(found));
            line.map(|line| Bytes::from([line.as_slice(), b"\n"].concat()))
                .map_err(|_| Problem::internal())
        });
        // Nobody may be there any more.
        let _ = sender.send(last).await;
    });
    Ok(answer("application/x-ndjson", receiver))
}
