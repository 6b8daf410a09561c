//! The files of versions, read by the artifact proxy below `mlflow-artifacts:/models/VERSION`.
//! They are there as long as the version is, whatever became of the run that they came from.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, ResponseError as _,
    web::{Data, Path, ServiceConfig, get, head, resource},
};
use auth::{Access, Caller, verbs};
use domain::VersionId;
use registry::{State, versions};
use rest::Content;
use tracking::files::{self, Listed};

use super::permit;
use crate::{
    artifacts::media_type,
    refusal::{Answer, Refusal},
};

/// Below `/api/2.0/mlflow-artifacts`: read only, since a version never changes.
pub fn proxy(config: &mut ServiceConfig) {
    config.service(
        resource("/artifacts/models/{version:[0-9a-f]{32}}/{path:.*}")
            .route(get().to(download))
            .route(head().to(download)),
    );
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
    let (model, number) = versions::home(state, id).await?;
    let permit = permit::<verbs::View>(access, caller, &model)?;
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

async fn download(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (id, below) = path.into_inner();
    let path = files::path(&below)?;
    let id = id.parse().map_err(|_| Refusal::absent(format!("No such version: '{id}'")))?;
    let (model, number) = versions::home(&state, VersionId(id)).await?;
    let permit = permit::<verbs::View>(&access, &caller, &model)?;
    let file = versions::file(&state, &permit, &model, number, &path).await?;
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let content = Content { name, media_type: media_type(name), file: &file };
    let open = async |range| Ok(versions::open(&state, &permit, &file, range).await?.body);
    content.answer(&request, open, |problem| Refusal::from(problem).error_response()).await
}
