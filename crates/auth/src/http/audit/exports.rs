//! `POST /audit/exports`

use actix_web::{
    HttpResponse, post,
    web::{Bytes, Data},
};
use domain::{
    Limit, Problem, Resource,
    audit::{Recorded, cef},
};
use rest::{ApiError, Json, openapi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Change, Database,
    audit::{self, Filter},
};
use utoipa::ToSchema;

use super::{Pieces, answer, filter::Wanted, pieces};
use crate::{Access, Caller, verbs};

/// How events are written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines of canonical JSON (RFC 8785): what the chain has the digests of.
    Ndjson,
    /// Lines of the Common Event Format, version 0.
    Cef,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Cef => "text/plain; charset=utf-8",
        }
    }

    fn write(self, out: &mut Vec<u8>, event: &Recorded) {
        match self {
            Self::Ndjson => event.write(out),
            Self::Cef => out.extend_from_slice(cef(event).as_bytes()),
        }
        out.push(b'\n');
    }
}

/// What to export, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"format": "cef", "filter": {"since": "2026-11-01T00:00:00Z", "decision": "refused"}}))]
pub struct Export {
    format: Format,
    /// Which events; all unless given.
    #[serde(default)]
    filter: Wanted,
}

/// Export events, newest first, one a line. The export itself is recorded first.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    request_body = Export,
    responses(
        (status = 200, description = "Lines, as `format` says", body = String, content_type = "application/x-ndjson"),
        openapi::Writes,
    ),
)]
#[post("/audit/exports")]
pub async fn export(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Json(Export { format, filter }): Json<Export>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let detail = json!({"format": format, "filter": filter});
    let filter = filter.read()?;
    Change::begin(&database).await?.commit(&permit.event("audit.exported", detail)).await?;
    let (sender, receiver) = pieces();
    tokio::spawn(async move {
        if let Err(problem) = send(&database, &filter, format, &sender).await {
            // Nobody may be there any more.
            let _ = sender.send(Err(problem)).await;
        }
    });
    Ok(answer(format.content_type(), receiver))
}

async fn send(
    database: &Database,
    filter: &Filter,
    format: Format,
    sender: &Pieces,
) -> Result<(), Problem> {
    let limit = Limit::new(Some(1000))?;
    let mut cursor = None;
    loop {
        let page = audit::list(database, filter, cursor.as_ref(), limit).await?;
        let mut lines = Vec::new();
        for event in &page.items {
            format.write(&mut lines, event);
        }
        if !lines.is_empty() && sender.send(Ok(Bytes::from(lines))).await.is_err() {
            return Ok(());
        }
        match page.next {
            None => return Ok(()),
            next => cursor = next,
        }
    }
}
