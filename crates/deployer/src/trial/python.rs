//! Trials of Python versions: their packages first, then the model itself, in a confined process.
//!
//! What the platform's setting forbids is not loaded, not even here: a pickle runs its author's code.

use chrono::TimeDelta;
use domain::{
    Digest,
    pickle::Findings,
    python::{Lock, PythonModel},
};
use inference::{Environment, PythonProgram, Unbuilt, process::Apart as _};
use store::{
    environments,
    serving::Loadable,
    trials::{self, Claimed},
    versions::{self, TrialOutcome},
};
use tokio::task::spawn_blocking;

use super::{Tried, Verdict, of, prepare};
use crate::State;

/// How long a version waits for a package index that does not answer.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// Builds the version's environment, loads it and lets it answer.
pub(super) async fn try_out(
    state: &State,
    claimed: &Claimed,
    (loadable, model): (&Loadable, &PythonModel),
    findings: Option<&Findings>,
) -> Verdict {
    match forbidden(state, claimed, model, findings).await {
        Ok(None) => {}
        Ok(Some(why)) => {
            let reason = format!("it was not loaded, as {why}");
            return TrialOutcome::Unservable { reason }.into();
        }
        Err(error) => return error.into(),
    }
    let wanted = model.wanted();
    let (lock, environment) = match built(state, claimed, loadable, model, &wanted).await {
        Ok(built) => built,
        Err(verdict) => return verdict,
    };
    let (example, folder) = match prepare(state, loadable).await {
        Ok(prepared) => prepared,
        Err(verdict) => return verdict,
    };
    tell(state, claimed, "its model is loaded and tried").await;
    let signature = loadable.signature.clone();
    let program = PythonProgram::new(model.clone(), signature, environment, &folder);
    let (host, limits) = (state.trials.host.clone(), state.trials.limits.clone());
    let _turn = state.trials.workers.acquire().await;
    // The files stay until the process has ended.
    let tried = spawn_blocking(move || (program.try_out(&host, example, &limits), folder)).await;
    match tried.map(|(tried, _)| of(tried)) {
        Ok(Verdict::Tried(tried)) => {
            Verdict::Tried(Tried { environment: Some((wanted, lock)), ..tried })
        }
        Ok(fault @ Verdict::OurFault(_)) => fault,
        Err(stopped) => Verdict::OurFault(stopped.to_string()),
    }
}

/// Why the platform's setting forbids what was found.
async fn forbidden(
    state: &State,
    claimed: &Claimed,
    model: &PythonModel,
    findings: Option<&Findings>,
) -> store::Result<Option<String>> {
    let Some(version) = versions::get_by_id(&state.database, claimed.version).await? else {
        return Ok(None);
    };
    let found = findings.and_then(|findings| findings.obstacle(version.policy));
    Ok(found.or_else(|| model.obstacle(version.policy)))
}

/// The version's packages, chosen if that was not done before, and their environment.
async fn built(
    state: &State,
    claimed: &Claimed,
    loadable: &Loadable,
    model: &PythonModel,
    wanted: &Digest,
) -> Result<(Lock, Environment), Verdict> {
    let here = &state.trials.environments;
    let known = match &loadable.environment {
        Some(lock) => Some(lock.clone()),
        None => environments::find(&state.database, wanted).await?,
    };
    let unbuilt = |unbuilt| refused(claimed, state, unbuilt);
    let lock = match known {
        Some(lock) => lock,
        None => {
            let count = model.requirements.len();
            tell(state, claimed, &format!("packages are chosen for its {count} requirements"))
                .await;
            here.lock(model.python, &model.requirements).await.map_err(unbuilt)?
        }
    };
    if !here.has(&lock) {
        let count = lock.packages.lines().filter(|line| line.contains("==")).count();
        tell(state, claimed, &format!("its environment of {count} packages is built")).await;
    }
    let environment = here.provide(&lock).await.map_err(unbuilt)?;
    Ok((lock, environment))
}

fn refused(claimed: &Claimed, state: &State, unbuilt: Unbuilt) -> Verdict {
    match unbuilt {
        Unbuilt::Reason(reason) => TrialOutcome::Unservable { reason }.into(),
        Unbuilt::Away(reason) if state.database.now() - claimed.queued_at > PATIENCE => {
            TrialOutcome::Unservable { reason }.into()
        }
        Unbuilt::Away(why) => Verdict::OurFault(why),
        Unbuilt::Fault(error) => Verdict::OurFault(error.to_string()),
    }
}

/// Says how far it is. What is not written down is written down the next time.
pub(super) async fn tell(state: &State, claimed: &Claimed, progress: &str) {
    if let Err(error) = trials::progress(&state.database, claimed, progress).await {
        tracing::debug!(%error, "how far a trial is was not written down");
    }
}
