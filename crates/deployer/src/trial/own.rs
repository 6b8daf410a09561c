//! Trials of versions that a program of their author's answers for, in a confined process.

use domain::process::Process;
use inference::{Error, OwnProgram, process::Apart as _};
use store::{
    serving::Loadable,
    versions::{self, TrialOutcome},
};
use tokio::task::spawn_blocking;

use super::{Verdict, of, prepare, rejected};
use crate::State;

/// Starts the version's program and lets it answer.
pub(super) async fn try_out(state: &State, loadable: &Loadable) -> Verdict {
    match versions::get_by_id(&state.database, loadable.id).await {
        Ok(Some(version)) => {
            if let Some(why) = Process::obstacle(version.policy) {
                let reason = format!("it was not started, as {why}");
                return TrialOutcome::Unservable { reason }.into();
            }
        }
        Ok(None) => return rejected("it is gone"),
        Err(error) => return error.into(),
    }
    let (example, folder) = match prepare(state, loadable).await {
        Ok(prepared) => prepared,
        Err(verdict) => return verdict,
    };
    let (host, limits) = (state.trials.host.clone(), state.trials.limits.clone());
    let signature = loadable.signature.clone();
    let _turn = state.trials.workers.acquire().await;
    // The files stay until the process has ended.
    let tried = spawn_blocking(move || match OwnProgram::new(host.exe(), signature, &folder) {
        Ok(program) => (of(program.try_out(&host, example, &limits)), folder),
        Err(error @ (Error::Model(_) | Error::Input(_))) => (rejected(error.to_string()), folder),
        Err(error) => (Verdict::OurFault(error.to_string()), folder),
    });
    match tried.await {
        Ok((verdict, _)) => verdict,
        Err(stopped) => Verdict::OurFault(stopped.to_string()),
    }
}
