//! `/audit/archive`, `/audit/archives`

use actix_web::{
    HttpResponse, get, post,
    web::{Bytes, Data},
};
use domain::{Digest, Problem, Resource, Timestamp};
use rest::{ApiError, Json, NoQuery, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Database,
    audit::archives::{self, Archivist, Broken, Lines, Made},
};
use utoipa::{IntoParams, ToSchema};

use super::{answer, pieces, verify::Head};
use crate::{Access, Caller, verbs};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Before {
    /// Those that were sealed before this instant.
    #[param(format = DateTime, example = "2026-01-01T00:00:00Z")]
    before: Option<String>,
}

fn problem(broken: Broken) -> Problem {
    match broken {
        Broken::Store(error) => error.into(),
        Broken::Damaged(fault) => {
            Problem::conflict(format!("the trail is damaged, nothing is archived: {fault}"))
                .hint("`bottega audit verify` tells more")
        }
    }
}

/// Read the beginning of the chain as an archive: lines of canonical JSON that can be checked by
/// themselves. Nothing is deleted yet.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    params(Before),
    responses(
        (status = 200, description = "The archive", body = String, content_type = "application/x-ndjson"),
        (status = 409, description = "Nothing is that old"),
        openapi::Reads,
    ),
)]
#[get("/audit/archive")]
pub async fn read(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(Before { before }): Query<Before>,
) -> Result<HttpResponse, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let Some(before) = instant("before", before)? else {
        let missing = Problem::invalid("before", "say up to when: expected an instant");
        return Err(missing.hint("?before=2026-01-01T00:00:00Z").into());
    };
    let Some(seal) = archives::last_before(&database, before).await? else {
        return Err(Problem::conflict(format!("nothing was sealed before {before}")).into());
    };
    let mut lines = Lines::through(&database, seal).await?;
    let (sender, receiver) = pieces();
    tokio::spawn(async move {
        loop {
            let piece = match lines.next().await {
                Ok(None) => return,
                Ok(Some(lines)) => Ok(Bytes::from(lines)),
                Err(broken) => Err(problem(broken)),
            };
            let is_last = piece.is_err();
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    Ok(answer("application/x-ndjson", receiver))
}

/// An archive that somebody has.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"seal": 411, "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}))]
pub struct Received {
    /// Its last seal.
    seal: i64,
    /// The digest of its lines, uncompressed.
    #[schema(value_type = String)]
    digest: Digest,
}

/// An archive that was made.
#[derive(Serialize, ToSchema)]
pub struct Archive {
    /// Where the chain stood before it.
    after: Head,
    /// Where it stands behind it, and goes on here.
    through: Head,
    /// How many events it holds.
    events: i64,
    /// The digest of its lines, uncompressed.
    #[schema(value_type = String)]
    digest: Digest,
    /// Who made it.
    #[schema(examples("user:admin"))]
    archived_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    archived_at: Timestamp,
}

impl From<Made> for Archive {
    fn from(made: Made) -> Self {
        Self {
            after: made.archive.after.into(),
            through: made.archive.through.into(),
            events: made.archive.events,
            digest: made.archive.digest,
            archived_by: made.archived_by,
            archived_at: made.archived_at,
        }
    }
}

/// All archives.
#[derive(Serialize, ToSchema)]
pub struct Archives {
    items: Vec<Archive>,
}

/// List the archives that were made, oldest first.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    responses((status = 200, description = "All archives", body = Archives), openapi::Reads),
)]
#[get("/audit/archives")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    _: NoQuery,
) -> Result<Json<Archives>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let made = archives::list(&database).await?;
    Ok(Json(Archives { items: made.into_iter().map(Into::into).collect() }))
}

/// Delete here what an archive holds: who asks shows by its digest that they have it. The trail is
/// verified up to there first.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    request_body = Received,
    responses((status = 201, description = "The archive", body = Archive), openapi::Writes),
)]
#[post("/audit/archives")]
pub async fn make(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    archivist: Data<Archivist>,
    Json(Received { seal, digest }): Json<Received>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let other = || {
        Problem::conflict("this is not what stands at the beginning of the chain now")
            .at("digest")
            .hint("read the archive again")
    };
    let lines = Lines::through(&database, seal).await?;
    let archive = lines.summary().await.map_err(problem)?;
    if archive.digest != digest {
        return Err(other().into());
    }
    let detail = json!({
        "seals": [archive.after.seal + 1, archive.through.seal],
        "events": archive.events,
        "digest": digest,
    });
    let (at, event) = (database.now(), permit.event("audit.archived", detail));
    if !archivist.delete(at, &archive, &event).await? {
        return Err(other().into());
    }
    let archived_by = event.actor.to_string();
    Ok(HttpResponse::Created().json(Archive::from(Made { archive, archived_by, archived_at: at })))
}
