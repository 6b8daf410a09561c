//! `/archives`

use actix_web::{HttpRequest, HttpResponse, post, web::Data, web::Payload};
use auth::{Access, Caller};
use domain::access::Kind;
use rest::{ApiError, Query, body, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::files::VersionFile;
use crate::{State, archive};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(unpack);
}

/// How an archive is packed.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub enum Format {
    /// tar
    #[serde(rename = "tar")]
    Tar,
    /// tar, compressed by gzip
    #[serde(rename = "tar.gz")]
    TarGz,
    /// zip
    #[serde(rename = "zip")]
    Zip,
}

impl From<Format> for archive::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Tar => Self::Tar,
            Format::TarGz => Self::TarGz,
            Format::Zip => Self::Zip,
        }
    }
}

/// How the archive is packed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Packing {
    /// How the archive is packed.
    #[param(inline, example = "tar.gz")]
    format: Format,
}

/// The files of an archive, whose bytes are blobs now.
#[derive(Serialize, ToSchema)]
pub struct Unpacked {
    /// As `POST /models/{name}/versions` takes them.
    files: Vec<VersionFile>,
}

/// Upload a whole folder as one archive and unpack it into blobs, to be registered as a version.
/// A folder that everything in it stands in is left out of the paths.
#[utoipa::path(
    tag = "blobs",
    extensions(("x-bottega-action" = json!("register:model"))),
    params(Packing),
    request_body(content_type = "application/octet-stream", description = "The archive"),
    responses((status = 201, description = "Its files are here now", body = Unpacked), openapi::Writes),
)]
#[post("/archives")]
pub async fn unpack(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(Packing { format }): Query<Packing>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize_new(&caller, Kind::Model, None)?;
    let (length, body) = (body::length(&request), body::stream(payload));
    let files = archive::unpack(&state, &permit, format.into(), length, body).await?;
    let files = files.iter().map(|(path, entry)| (path, entry).into()).collect();
    Ok(HttpResponse::Created().json(Unpacked { files }))
}
