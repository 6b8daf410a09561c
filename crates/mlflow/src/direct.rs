//! Files that go past this server where they lie on S3: uploads in parts (`/mpu`) and downloads by
//! a signed address (`/presigned`). Elsewhere clients read a refusal, and go through the server.

use actix_web::{
    HttpResponse,
    web::{Data, Path, ServiceConfig, get, post},
};
use auth::{Access, Caller, verbs};
use domain::{FilePath, UploadId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tracking::{State, files};

use crate::{
    artifacts::{media_type, permit},
    experiments::done,
    models,
    refusal::{Answer, Code, Refusal},
    request::{Args, number, required},
};

/// Below `/api/2.0/mlflow-artifacts`.
pub fn proxy(config: &mut ServiceConfig) {
    config
        .route("/mpu/create/{folder:.*}", post().to(create))
        .route("/mpu/complete/{folder:.*}", post().to(complete))
        .route("/mpu/abort/{folder:.*}", post().to(abort))
        .route("/presigned/models/{version:[0-9a-f]{32}}/{path:.*}", get().to(address_of_version))
        .route("/presigned/{path:.*}", get().to(address));
}

/// Clients know it by the words that it begins with.
fn unsupported(way: &str) -> Refusal {
    Refusal::new(
        Code::NotImplemented,
        format!(
            "Multipart {way} is not supported for the current artifact repository: use /api/2.0/mlflow-artifacts/artifacts, which takes files of any length"
        ),
    )
}

/// The path of the file: it gets the last name of the one that is sent, wherever that lies at home.
fn target(folder: &str, sent: Option<String>) -> Result<FilePath, Refusal> {
    let sent = required(sent, "path")?;
    let name = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let folder = files::path(folder.strip_suffix('/').unwrap_or(folder))?;
    let name = files::path(name)?;
    Ok(files::path(&format!("{folder}/{name}"))?)
}

#[derive(Debug, Deserialize)]
struct Create {
    path: Option<String>,
    #[serde(default, deserialize_with = "number")]
    num_parts: Option<i64>,
}

/// Where one part is to be sent.
#[derive(Debug, Serialize)]
struct Credential {
    url: String,
    part_number: usize,
    headers: Map<String, serde_json::Value>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    folder: Path<String>,
    Args(args): Args<Create>,
) -> Answer {
    let path = target(&folder, args.path)?;
    let parts = required(args.num_parts, "num_parts")?;
    let (_, permit) = permit(&caller, &access, &state, &path).await?;
    let upload = files::begin_direct(&state, &permit, &path, parts).await?;
    let upload = upload.ok_or_else(|| unsupported("upload"))?;
    let urls = upload.urls.into_iter().zip(1..);
    let credentials: Vec<_> = urls
        .map(|(url, part_number)| Credential { url, part_number, headers: Map::new() })
        .collect();
    let id = upload.id.to_string();
    Ok(HttpResponse::Ok().json(json!({"upload_id": id, "credentials": credentials})))
}

#[derive(Debug, Deserialize)]
struct Complete {
    path: Option<String>,
    upload_id: Option<String>,
    #[serde(default)]
    parts: Vec<Part>,
}

/// A part that was sent. Its `url`, which clients repeat, says nothing new.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default, deserialize_with = "number")]
    part_number: Option<i64>,
    etag: Option<String>,
}

fn upload_id(text: Option<String>) -> Result<UploadId, Refusal> {
    let text = required(text, "upload_id")?;
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Refusal::absent(format!("No upload with upload_id '{shown}' is in progress"))
    })
}

async fn complete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    folder: Path<String>,
    Args(args): Args<Complete>,
) -> Answer {
    let path = target(&folder, args.path)?;
    let (experiment, permit) = permit(&caller, &access, &state, &path).await?;
    if !files::is_direct(&state) {
        return Err(unsupported("upload"));
    }
    let upload = upload_id(args.upload_id)?;
    let parts = args.parts.into_iter().enumerate();
    let parts: Vec<_> = parts
        .map(|(index, part)| {
            let number = required(part.part_number, &format!("parts[{index}].part_number"))?;
            Ok((number, required(part.etag, &format!("parts[{index}].etag"))?))
        })
        .collect::<Result<_, Refusal>>()?;
    files::complete_direct(&state, &permit, experiment, &path, upload, &parts).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct Abort {
    path: Option<String>,
    upload_id: Option<String>,
}

async fn abort(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    folder: Path<String>,
    Args(args): Args<Abort>,
) -> Answer {
    let path = target(&folder, args.path)?;
    let (_, permit) = permit(&caller, &access, &state, &path).await?;
    if !files::is_direct(&state) {
        return Err(unsupported("upload"));
    }
    files::abort_direct(&state, &permit, &path, upload_id(args.upload_id)?).await?;
    Ok(done())
}

/// The address of a file, which reads it for a quarter of an hour.
async fn address(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<String>,
) -> Answer {
    let path = files::path(&path)?;
    let (_, permit) = permit::<verbs::View>(&caller, &access, &state, &path).await?;
    if !files::is_direct(&state) {
        return Err(unsupported("download"));
    }
    let file = files::get(&state, &permit, &path).await?;
    let name = path.name();
    let url = files::address(&state, &permit, &file, name, media_type(name)).await?;
    addressed(url, file.size)
}

/// The same, of a file of a version.
async fn address_of_version(
    caller: Caller,
    access: Data<Access>,
    state: Data<registry::State>,
    path: Path<(String, String)>,
) -> Answer {
    let (version, below) = path.into_inner();
    let path = files::path(&below)?;
    let (permit, file) = models::files::find(&caller, &access, &state, &version, &path).await?;
    let name = path.name();
    let url = registry::versions::address(&state, &permit, &file, name, media_type(name)).await?;
    addressed(url, file.size)
}

fn addressed(url: Option<String>, file_size: u64) -> Answer {
    let url = url.ok_or_else(|| unsupported("download"))?;
    Ok(HttpResponse::Ok().json(json!({"url": url, "headers": {}, "file_size": file_size})))
}
