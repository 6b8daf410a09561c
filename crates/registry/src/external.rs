//! Versions that a server of others runs: the file that says which, looked at before any row is written.

use std::time::{Duration, Instant};

use domain::{
    FilePath, Manifest, Problem, Signature,
    external::{External, FILE, LONGEST},
};
use remote::model::describe;

use crate::{Result, State, package::content};

/// How long a server may take to say what its model is.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server of these files, if they name one and are nothing else.
///
/// # Errors
/// The file is none; its server may not be asked.
pub(crate) async fn read(
    state: &State,
    manifest: &Manifest,
) -> Result<Option<(FilePath, External)>> {
    let mut files = manifest.files();
    let (Some((path, entry)), None) = (files.next(), files.next()) else { return Ok(None) };
    if path.as_str() != FILE {
        return Ok(None);
    }
    let content = content(state, entry, LONGEST).await?;
    let content = content.map_err(|why| Problem::invalid("files", format!("`{FILE}`: {why}")))?;
    let external = External::read(&content)?;
    state.remote()?.check(FILE, external.url.as_str(), &external.headers).await?;
    Ok(Some((path.clone(), external)))
}

/// What goes in and comes out: what its author says, else what the server does.
///
/// # Errors
/// The server does not answer as it should, or has no word for it.
pub(crate) async fn signature(
    state: &State,
    external: &External,
    given: Option<Signature>,
) -> Result<Signature, Problem> {
    if let Some(given) = given {
        given.require_distinct_names()?;
        return Ok(given);
    }
    let remote = state.remote()?;
    remote.refresh().await?;
    let told = describe(remote, external, Instant::now() + PATIENCE).await;
    let told = told.map_err(|failure| failure.of("the server was asked what its model is"))?;
    told.ok_or_else(|| {
        let message = format!(
            "servers of the protocol {} do not say what goes in and comes out",
            external.protocol
        );
        Problem::invalid("signature", message)
            .hint("give a signature: {\"inputs\": […], \"outputs\": […]}")
    })
}
