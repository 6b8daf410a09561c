//! Loads versions that Python processes run.

use std::sync::Arc;

use inference::{
    CachedFolder, PythonProgram, Unbuilt,
    process::{Bounds, Host},
};
use store::serving::Loadable;

use crate::{State, load::Failure};

/// What runs a Python version here; nothing for other versions.
///
/// # Errors
/// Its environment cannot be built.
pub(crate) async fn program(
    state: &State,
    loadable: &Loadable,
    folder: &CachedFolder,
) -> Result<Option<PythonProgram>, Failure> {
    let Some(model) = loadable.python.clone() else { return Ok(None) };
    let unchosen =
        || Failure::Lasting("its packages were never chosen: its trial is not over".into());
    let lock = loadable.environment.as_ref().ok_or_else(unchosen)?;
    let environment =
        state.given.environments.provide(lock).await.map_err(|unbuilt| match unbuilt {
            Unbuilt::Reason(why) => Failure::Lasting(why),
            Unbuilt::Away(why) => Failure::Passing(why),
            Unbuilt::Fault(error) => error.into(),
        })?;
    Ok(Some(PythonProgram::new(model, loadable.signature.clone(), environment, folder)))
}

/// What starts its processes, and what they may take.
pub(crate) fn host(state: &State, loadable: &Loadable) -> (Host, Bounds) {
    let (model, number) = (loadable.model.to_string(), loadable.number);
    let host = state.given.host.printing(Arc::new(move |line| {
        tracing::info!(target: "model", { model.name = model, number }, "{line}");
    }));
    let output_bytes = state.given.settings.replica.max_output_bytes;
    (host, Bounds { output_bytes, ..Bounds::default() })
}
