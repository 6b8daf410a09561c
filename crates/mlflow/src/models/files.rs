//! The files of versions, read by the artifact proxy below `mlflow-artifacts:/models/VERSION`.
//! They are there as long as the version is, whatever became of the run that they came from.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, ResponseError as _,
    web::{Data, Path, ServiceConfig, get, resource},
};
use auth::{Access, Caller, Permit, verbs};
use domain::{FileEntry, FilePath, ModelName, Resource, VersionId};
use registry::{State, versions};
use rest::Content;
use serde::Deserialize;
use tracking::files::{self, Listed};

use super::{name, permit, told, version};
use crate::{
    artifacts::media_type,
    refusal::{Answer, Refusal},
    request::{Args, required},
};

/// Below `/api/2.0/mlflow-artifacts`: read only, since a version never changes.
pub fn proxy(config: &mut ServiceConfig) {
    config.service(
        resource("/artifacts/models/{version:[0-9a-f]{32}}/{path:.*}").route(get().to(download)),
    );
}

/// At the root, where MLflow's pages ask for a version's file, some with a slash too many.
pub fn root(config: &mut ServiceConfig) {
    let paths = ["/model-versions/get-artifact", "//model-versions/get-artifact"];
    config.service(resource(paths).route(get().to(download_by_number)));
}

/// The version that a path is below, and what follows its id.
pub fn version_of(path: &str) -> Option<(VersionId, &str)> {
    let rest = path.strip_prefix("models/")?;
    let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
    let is_id = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = id.parse().ok().filter(|_| is_id)?;
    Some((VersionId(id), below))
}

/// What is right below a folder of a version.
///
/// # Errors
/// The version is not there.
pub async fn list(
    caller: &Caller,
    access: &Access,
    state: &State,
    id: VersionId,
    folder: &str,
) -> Result<Vec<Listed>, Refusal> {
    let (model, number, permit) = seen(caller, access, state, id).await?;
    let manifest = versions::files(state, &permit, &model, number).await?;
    let mut found: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for (path, entry) in manifest.files() {
        let below = match folder {
            "" => Some(path.as_str()),
            folder => path.as_str().strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        match below.map(|below| below.split_once('/').ok_or(below)) {
            Some(Ok((name, _))) => found.insert(name, None),
            Some(Err(name)) => found.insert(name, Some(entry.size)),
            None => None,
        };
    }
    let listed = found.into_iter();
    Ok(listed.map(|(name, size)| Listed { name: name.to_owned(), size }).collect())
}

/// Whose a version is, with the permit to see it. Its id tells nobody else of which model it is.
async fn seen(
    caller: &Caller,
    access: &Access,
    state: &State,
    id: VersionId,
) -> Result<(ModelName, i32, Permit<verbs::View>), Refusal> {
    let (model, number) = versions::home(state, id).await?;
    let permit = access.authorize(caller, Resource::Model(model.to_string())).await;
    let permit = permit.map_err(|problem| problem.absent_as(|| versions::no_version(id)))?;
    Ok((model, number, permit))
}

/// A file of the version of that id, with the permit to read it.
///
/// # Errors
/// The version or the file is not there.
pub async fn find(
    caller: &Caller,
    access: &Access,
    state: &State,
    id: &str,
    path: &FilePath,
) -> Result<(Permit<verbs::View>, FileEntry), Refusal> {
    let id = id.parse().map_err(|_| Refusal::absent(format!("No such version: '{id}'")))?;
    let (model, number, permit) = seen(caller, access, state, VersionId(id)).await?;
    let file = versions::file(state, &permit, &model, number, path).await?;
    Ok((permit, file))
}

/// Answers with a file of a version.
///
/// # Errors
/// Its bytes are gone or damaged; the store is away.
pub async fn send(
    state: &State,
    permit: &Permit<verbs::View>,
    path: &FilePath,
    file: &FileEntry,
    request: &HttpRequest,
) -> Answer {
    let content = Content { name: path.name(), media_type: media_type(path.name()), file };
    let open = async |range| Ok(versions::open(state, permit, file, range).await?.body);
    content.answer(request, open, |problem| Refusal::from(problem).error_response()).await
}

async fn download(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (id, below) = path.into_inner();
    let path = files::path(&below)?;
    let (permit, file) = find(&caller, &access, &state, &id, &path).await?;
    send(&state, &permit, &path, &file, &request).await
}

#[derive(Debug, Deserialize)]
struct Page {
    name: Option<String>,
    version: Option<String>,
    path: Option<String>,
}

/// A file of a version, as MLflow's pages ask for it.
async fn download_by_number(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Page { name: model, version: number, path }): Args<Page>,
    request: HttpRequest,
) -> Answer {
    let path = files::path(&required(path, "path")?)?;
    let (model, number) = (name(model, "name")?, version(number)?);
    let permit = permit(&access, &caller, &model).await?;
    let file = versions::file(&state, &permit, &model, number, &path)
        .await
        .map_err(told(&model, Some(number)))?;
    send(&state, &permit, &path, &file, &request).await
}
