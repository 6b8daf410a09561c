//! Files: the proxy that clients write and read by (`/mlflow-artifacts/artifacts`), and the lists
//! that MLflow's pages ask for.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    body::{BodyStream, to_bytes_limited},
    web::{Data, Path, Payload, Query, ServiceConfig, delete, get, post, put, resource},
};
use auth::{Access, Caller, Permit, Verb, verbs};
use domain::{FilePath, Problem, Resource, tracking::ExperimentId};
use futures_util::stream;
use rest::{Content, body};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracking::{
    State,
    files::{self, Listed, Root},
    logged_models, runs,
};

use crate::{
    refusal::{Answer, Refusal},
    request::{Args, required},
};

/// Below `/api/2.0/mlflow-artifacts`.
pub fn proxy(config: &mut ServiceConfig) {
    config.service(resource("/artifacts").route(get().to(list))).service(
        resource("/artifacts/{path:.*}")
            .route(get().to(download))
            .route(put().to(upload))
            .route(delete().to(remove)),
    );
}

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/artifacts/list", get().to(list_of_run))
        .route("/upload-artifact", post().to(upload_of_page))
        .route("/logged-models/{model_id}/artifacts/files", get().to(file_of_model));
}

/// At the root, where MLflow's pages ask for a run's file.
pub fn root(config: &mut ServiceConfig) {
    config.route("/get-artifact", get().to(file_of_run));
}

/// A file or folder, as MLflow's `FileInfo`.
#[derive(Debug, Serialize)]
struct FileInfo {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

impl FileInfo {
    /// What was listed, under the folder that it is told relative to.
    fn of(listed: Listed, folder: &str) -> Self {
        let path = match folder {
            "" => listed.name,
            folder => format!("{folder}/{}", listed.name),
        };
        // An empty file's size is left out, as protobuf leaves out zeros.
        let file_size = listed.size.filter(|size| *size > 0);
        Self { path, is_dir: listed.size.is_none(), file_size }
    }
}

/// A folder's path as clients write it, without a slash at its end and without parts that lead nowhere, as
/// in `./models`.
fn shortest(path: &str) -> String {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').filter(|part| *part != ".").collect::<Vec<_>>().join("/")
}

#[derive(Debug, Default, Deserialize)]
struct Listing {
    path: Option<String>,
}

/// What is below a folder, by names relative to it.
async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    registry: Data<registry::State>,
    Args(Listing { path }): Args<Listing>,
) -> Answer {
    let path = required(path, "path")?;
    let folder = files::path(&shortest(&path))?;
    let found = match crate::models::files::version_of(folder.as_str()) {
        Some((version, below)) => {
            crate::models::files::list(&caller, &access, &registry, version, below).await?
        }
        None => {
            let (_, permit) = permit(&caller, &access, &state, &folder).await?;
            files::list(&state, &permit, &folder).await?
        }
    };
    let files: Vec<FileInfo> = found.into_iter().map(|it| FileInfo::of(it, "")).collect();
    Ok(HttpResponse::Ok().json(if files.is_empty() { json!({}) } else { json!({"files": files}) }))
}

/// A file's bytes.
async fn download(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let path = files::path(&path)?;
    send(&caller, &access, &state, &path, &request, || files::nowhere(&path)).await
}

/// Answers with a file, whoever named it; `absent` is told to who may not see whose it is.
async fn send(
    caller: &Caller,
    access: &Access,
    state: &State,
    path: &FilePath,
    request: &HttpRequest,
    absent: impl FnOnce() -> Problem,
) -> Answer {
    let (_, permit) = permit_or(caller, access, state, path, absent).await?;
    let file = files::get(state, &permit, path).await?;
    let name = path.name();
    let content = Content { name, media_type: media_type(name), file: &file };
    let open = async |range| Ok(files::open(state, &permit, &file, range).await?.body);
    content.answer(request, open, |problem| Refusal::from(problem).error_response()).await
}

/// Stores a file while it streams.
async fn upload(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<String>,
    payload: Payload,
) -> Answer {
    let path = files::path(&path)?;
    let (experiment, permit) = permit(&caller, &access, &state, &path).await?;
    files::put(&state, &permit, experiment, &path, body::stream(payload)).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// How much MLflow's pages send at once, in bytes.
const LONGEST_OF_PAGE: usize = 10 << 20;

/// Stores a small file of a run, as MLflow's pages send it.
async fn upload_of_page(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(RunListing { run_id, run_uuid, path }): Query<RunListing>,
    payload: Payload,
) -> Answer {
    let given = |argument: Option<String>, name: &str| {
        let given = argument.filter(|text| !text.is_empty());
        given.ok_or_else(|| Refusal::invalid(format!("Request must specify {name}.")))
    };
    let run = given(run_uuid.or(run_id), "run_uuid")?;
    let path = given(path, "path")?;
    files::path(&path)?;
    let body = to_bytes_limited(BodyStream::new(payload), LONGEST_OF_PAGE)
        .await
        .map_err(|_| Refusal::invalid("Artifact size is too large. Max size is 10MB."))?
        .map_err(|_| Refusal::invalid("the body broke off before its end"))?;
    if body.is_empty() {
        return Err(Refusal::invalid("Request must specify data."));
    }
    let root = files::root_of_run(&state, &run).await?;
    let path = files::under(&root, &path)?;
    let absent = || runs::absent(&run);
    let (experiment, permit) = permit_or(&caller, &access, &state, &path, absent).await?;
    let body = stream::iter([Ok::<_, domain::Problem>(body)]);
    files::put(&state, &permit, experiment, &path, body).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Deletes a file, or what is below a folder.
async fn remove(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<String>,
) -> Answer {
    let path = files::path(path.strip_suffix('/').unwrap_or(&path))?;
    let (_, permit) = permit(&caller, &access, &state, &path).await?;
    files::delete(&state, &permit, &path).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// The permit for whatever experiment a path belongs to.
pub async fn permit<V: Verb>(
    caller: &Caller,
    access: &Access,
    state: &State,
    path: &FilePath,
) -> Result<(ExperimentId, Permit<V>), Refusal> {
    permit_or(caller, access, state, path, || files::nowhere(path)).await
}

/// The same; `absent` is told to who may not see the experiment.
async fn permit_or<V: Verb>(
    caller: &Caller,
    access: &Access,
    state: &State,
    path: &FilePath,
    absent: impl FnOnce() -> Problem,
) -> Result<(ExperimentId, Permit<V>), Refusal> {
    let experiment = files::home(state, path).await?;
    let permit = access.authorize(caller, Resource::Experiment(experiment.to_string())).await;
    Ok((experiment, permit.map_err(|problem| problem.absent_as(absent))?))
}

#[derive(Debug, Default, Deserialize)]
struct RunListing {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

/// The files of a run. A list comes whole: there is never a next page.
async fn list_of_run(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(RunListing { run_id, run_uuid, path }): Args<RunListing>,
) -> Answer {
    let run = required(run_id.filter(|id| !id.is_empty()).or(run_uuid), "run_id")?;
    let root = files::root_of_run(&state, &run).await?;
    let below = path.as_deref().unwrap_or_default();
    list_below(&caller, &access, &state, &root, below, || runs::absent(&run)).await
}

/// A file of a run.
async fn file_of_run(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(RunListing { run_id, run_uuid, path }): Args<RunListing>,
    request: HttpRequest,
) -> Answer {
    let run = required(run_id.filter(|id| !id.is_empty()).or(run_uuid), "run_id")?;
    let path = required(path, "path")?;
    let root = files::root_of_run(&state, &run).await?;
    let path = files::under(&root, &path)?;
    send(&caller, &access, &state, &path, &request, || runs::absent(&run)).await
}

#[derive(Debug, Default, Deserialize)]
struct ModelFile {
    artifact_file_path: Option<String>,
}

/// A file of a logged model.
async fn file_of_model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Args(ModelFile { artifact_file_path }): Args<ModelFile>,
    request: HttpRequest,
) -> Answer {
    let path = required(artifact_file_path, "artifact_file_path")?;
    let root = files::root_of_model(&state, &id).await?;
    let path = files::under(&root, &path)?;
    send(&caller, &access, &state, &path, &request, || logged_models::absent(&id)).await
}

/// What is in a folder of a run or a logged model, by paths relative to its root; `absent` is told to
/// who may not see whose it is.
pub async fn list_below(
    caller: &Caller,
    access: &Access,
    state: &State,
    root: &Root,
    below: &str,
    absent: impl FnOnce() -> Problem,
) -> Answer {
    let below = &shortest(below);
    let folder = files::under(root, below)?;
    let resource = Resource::Experiment(root.experiment.to_string());
    let permit = access.authorize::<verbs::View>(caller, resource).await;
    let permit = permit.map_err(|problem| problem.absent_as(absent))?;
    let found = files::list(state, &permit, &folder).await?;
    let files: Vec<FileInfo> = found.into_iter().map(|it| FileInfo::of(it, below)).collect();
    let mut answer = json!({"root_uri": root.uri});
    if !files.is_empty() {
        answer["files"] = json!(files);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// What a file says to be, by its name, in the words of MLflow: text is plain text.
pub fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    match extension {
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cf" | "ini" | "properties" | "prop"
        | "hocon" | "toml" | "yaml" | "yml" | "xml" | "json" | "js" | "py" | "py3" | "csv"
        | "tsv" | "md" | "rst" | "ipynb" | "MLmodel" | "MLproject" => "text/plain",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "html" | "htm" => "text/html",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "mp3" => "audio/mpeg",
        "wav" => "audio/x-wav",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
