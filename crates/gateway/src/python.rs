//! Loads versions that Python processes run.

use domain::python::PythonModel;
use inference::{CachedFolder, PythonProgram, Unbuilt};
use store::serving::Loadable;

use crate::{State, load::Failure};

/// What runs a Python version here.
///
/// # Errors
/// Its environment cannot be built.
pub(crate) async fn program(
    state: &State,
    loadable: &Loadable,
    model: &PythonModel,
    folder: &CachedFolder,
) -> Result<PythonProgram, Failure> {
    let unchosen =
        || Failure::Lasting("its packages were never chosen: its trial is not over".into());
    let lock = loadable.environment.as_ref().ok_or_else(unchosen)?;
    let environment =
        state.given.environments.provide(lock).await.map_err(|unbuilt| match unbuilt {
            Unbuilt::Reason(why) => Failure::Lasting(why),
            Unbuilt::Away(why) => Failure::Passing(why),
            Unbuilt::Fault(error) => error.into(),
        })?;
    Ok(PythonProgram::new(model.clone(), loadable.signature.clone(), environment, folder))
}
