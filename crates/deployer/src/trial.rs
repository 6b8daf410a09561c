//! Tries new versions, each in a throw-away worker process, before anything may serve them.
//!
//! Trials are a queue in Postgres: one is claimed for a short lease that is renewed while it runs,
//! so a deployer that dies gives its work back. What comes of one is a [`Verdict`]: it is written
//! down, or the claim is given back because the fault was ours.

mod own;
mod python;

use std::time::Duration;

use auth::verbs;
use chrono::TimeDelta;
use domain::{
    Digest, Problem, Resource, Runtime, Streak, Tensor, VersionId,
    pickle::{Findings, suspects},
    python::{Lock, Native},
};
use inference::{
    CachedFolder,
    scan::{self, ScanJob},
    trial::{self, TrialJob},
};
use serde_json::json;
use store::{
    Change, environments, followers,
    serving::{self, Loadable},
    trials::{self, Claimed},
    versions::{self, TrialOutcome},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{RESYNC, State, external, state::Trials};

/// How long a claim holds, and how often it is renewed meanwhile.
const LEASE: TimeDelta = TimeDelta::seconds(6);
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// When to try again after a fault of ours.
const AFTER_FAULT: TimeDelta = TimeDelta::seconds(30);
/// A trial that ended its deployer this often is the version's fault.
const MAX_ATTEMPTS: i32 = 3;

/// What came of a claim.
enum Verdict {
    /// The version can serve or cannot.
    Tried(Tried),
    /// It could not be tried; why, for the log.
    OurFault(String),
}

/// What was found out of a version.
struct Tried {
    outcome: TrialOutcome,
    /// What its pickles would do, if it has any.
    findings: Option<Findings>,
    /// The packages that it was tried with, and what it had wanted.
    environment: Option<(Digest, Lock)>,
    /// Whether nodes run its trees by themselves.
    native: Option<Native>,
}

impl From<TrialOutcome> for Verdict {
    fn from(outcome: TrialOutcome) -> Self {
        Self::Tried(Tried { outcome, findings: None, environment: None, native: None })
    }
}

impl From<store::Error> for Verdict {
    fn from(error: store::Error) -> Self {
        Self::OurFault(error.to_string())
    }
}

fn rejected(reason: impl Into<String>) -> Verdict {
    TrialOutcome::Rejected { reason: reason.into() }.into()
}

/// Tries whatever waits, again and again, until told to stop.
pub(crate) async fn run(state: State, mut looks: watch::Receiver<()>, stop: CancellationToken) {
    let mut streak = Streak::default();
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        let pause = match take_on(&state, &mut running, &stop).await {
            Ok(()) => {
                if streak.ended() {
                    tracing::info!("versions are tried again");
                }
                RESYNC
            }
            Err(error) => {
                let pause = streak.failed();
                if streak.is_news() {
                    tracing::error!(%error, "versions cannot be tried; trying again");
                }
                pause
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            _ = timeout(pause, looks.changed()) => {}
        }
    }
    // They were told to stop as well, and give their claims back.
    while running.join_next().await.is_some() {}
}

/// Begins as many trials as wait and may go on at once.
async fn take_on(
    state: &State,
    running: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> store::Result<()> {
    while running.len() < state.trials.at_once {
        let Some(claimed) = trials::claim(&state.database, LEASE).await? else { break };
        running.spawn(attempt(state.clone(), claimed, stop.clone()));
    }
    Ok(())
}

/// One claim, from its start to what became of it.
async fn attempt(state: State, claimed: Claimed, stop: CancellationToken) {
    let version = claimed.version;
    let verdict = tokio::select! {
        verdict = judge(&state, &claimed) => verdict,
        () = hold(&state, &claimed) => {
            tracing::warn!(version.id = %version, "a trial's lease was lost; somebody else tries it");
            return;
        }
        () = stop.cancelled() => {
            let now = state.database.now();
            if let Err(error) = trials::give_back(&state.database, &claimed, now).await {
                tracing::warn!(%error, "a trial could not be given back; its lease ends by itself");
            }
            return;
        }
    };
    if let Verdict::OurFault(error) = &verdict {
        tracing::error!(version.id = %version, error, "a version could not be tried; trying again");
        python::tell(
            &state,
            &claimed,
            "a fault of the platform, which its log tells: it is tried again",
        )
        .await;
    }
    let mut streak = Streak::default();
    while let Err(error) = settle(&state, &claimed, &verdict).await {
        let pause = streak.failed();
        if streak.is_news() {
            tracing::error!(version.id = %version, %error, "a trial's end was not written down");
        }
        // What was found out is not thrown away because the database is away just now.
        let stopped = stop.run_until_cancelled(sleep(pause)).await.is_none();
        if stopped || !error.is_unreachable() {
            return;
        }
    }
}

/// Keeps the claim; returns when it is lost.
async fn hold(state: &State, claimed: &Claimed) {
    loop {
        sleep(RENEW_EVERY).await;
        match trials::renew(&state.database, claimed, LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            // Whoever claims it when the lease is over will be seen once the database is back.
            Err(error) => tracing::debug!(%error, "a trial's lease was not renewed"),
        }
    }
}

/// Finds out whether the version can serve.
async fn judge(state: &State, claimed: &Claimed) -> Verdict {
    if claimed.attempts > MAX_ATTEMPTS {
        let died = claimed.attempts - 1;
        let reason = format!("its trial ended the deployer {died} times");
        let findings = Findings::unfinished(reason.as_str(), Vec::new());
        let outcome = TrialOutcome::Rejected { reason };
        let (findings, environment, native) = (Some(findings), None, None);
        return Verdict::Tried(Tried { outcome, findings, environment, native });
    }
    let findings = match look(state, claimed.version).await {
        Ok(findings) => findings,
        Err(fault) => return fault,
    };
    match try_out(state, claimed, findings.as_ref()).await {
        Verdict::Tried(tried) => Verdict::Tried(Tried { findings, ..tried }),
        fault @ Verdict::OurFault(_) => fault,
    }
}

/// What the version's pickles would do; nothing where it has no file that could be one.
async fn look(state: &State, version: VersionId) -> Result<Option<Findings>, Verdict> {
    let manifest = versions::manifest(&state.database, version).await?;
    let Some(found) = versions::get_by_id(&state.database, version).await? else { return Ok(None) };
    let onnx = found.model_file.as_deref().filter(|_| found.runtime == Runtime::Onnx);
    let files: Vec<_> = suspects(&manifest, onnx).cloned().collect();
    if files.is_empty() {
        return Ok(None);
    }
    let ours = |error: &dyn std::fmt::Display| Verdict::OurFault(error.to_string());
    let Trials { cache, exe, limits, .. } = &state.trials;
    // What is to be loaded as well is needed here anyway; anything else only for now.
    let loaded = onnx.map(str::parse).transpose().map_err(|problem: Problem| ours(&problem))?;
    let (folder, held) = if let Some(file) = loaded {
        let cached = cache.folder(&manifest, &file).await.map_err(|error| ours(&error))?;
        (cached.path.clone(), (Some(cached), None))
    } else {
        let lent = cache.lent(&manifest).await.map_err(|error| ours(&error))?;
        (lent.path().to_owned(), (None, Some(lent)))
    };
    let job = ScanJob { folder, files };
    let _turn = state.trials.workers.acquire().await;
    let findings = scan::run(exe, job, limits.clone()).await.map_err(|error| ours(&error))?;
    // The files stay until they are read.
    drop(held);
    Ok(Some(findings))
}

/// Loads the version and lets it answer.
async fn try_out(state: &State, claimed: &Claimed, findings: Option<&Findings>) -> Verdict {
    let loadable = match serving::loadable(&state.database, claimed.version).await {
        Ok(Some(loadable)) => loadable,
        Ok(None) => return rejected("it has no model file that could be loaded"),
        Err(error) => return error.into(),
    };
    if loadable.runtime == Runtime::External {
        return elsewhere(state, &loadable).await;
    }
    if loadable.runtime == Runtime::Process {
        return own::try_out(state, &loadable).await;
    }
    match &loadable.python {
        Some(model) => python::try_out(state, claimed, (&loadable, model), findings).await,
        None => try_onnx(state, loadable).await,
    }
}

/// Asks the server that runs the version.
async fn elsewhere(state: &State, loadable: &Loadable) -> Verdict {
    match external::obstacle(state, loadable).await {
        // Its server puts requests together, if anybody does.
        Ok(None) => TrialOutcome::Ready { batchable: false }.into(),
        Ok(Some(reason)) => rejected(reason),
        Err(error) => Verdict::OurFault(error.to_string()),
    }
}

async fn try_onnx(state: &State, loadable: Loadable) -> Verdict {
    let Trials { exe, limits, library, .. } = &state.trials;
    let (example, folder) = match prepare(state, &loadable).await {
        Err(verdict) => return verdict,
        Ok(prepared) => prepared,
    };
    // The files stay until the worker is done.
    let (path, file) = (folder.path.clone(), folder.file.clone());
    let job = TrialJob { library: library.clone(), folder: path, file, example };
    let _turn = state.trials.workers.acquire().await;
    of(trial::run(exe, job, limits.clone()).await)
}

/// What a worker's report means.
fn of(tried: Result<trial::TrialOutcome, inference::Error>) -> Verdict {
    match tried {
        Ok(trial::TrialOutcome::Ready(report)) => {
            let outcome = TrialOutcome::Ready { batchable: report.profile.batchable };
            let native = report.native;
            Verdict::Tried(Tried { outcome, findings: None, environment: None, native })
        }
        Ok(trial::TrialOutcome::Rejected { reason }) => rejected(reason),
        Err(error) => Verdict::OurFault(error.to_string()),
    }
}

/// Gathers what a worker needs: the example, and the version's files on this machine.
async fn prepare(
    state: &State,
    loadable: &Loadable,
) -> Result<(Option<Vec<Tensor>>, CachedFolder), Verdict> {
    let Trials { cache, decode_example, .. } = &state.trials;
    let Loadable { model_file, signature, input_example, .. } = loadable;
    let example = input_example.as_ref().map(|example| decode_example(example, signature));
    let example = example.transpose().map_err(|problem| {
        rejected(format!("its input example does not fit it: {}", problem.message))
    })?;
    let manifest = versions::manifest(&state.database, loadable.id).await?;
    let folder = cache.folder(&manifest, model_file).await;
    let folder = folder.map_err(|error| Verdict::OurFault(error.to_string()))?;
    Ok((example, folder))
}

async fn settle(state: &State, claimed: &Claimed, verdict: &Verdict) -> store::Result<()> {
    match verdict {
        Verdict::Tried(tried) => finish(state, claimed.version, tried).await,
        Verdict::OurFault(_) => {
            let not_before = state.database.now() + AFTER_FAULT;
            trials::give_back(&state.database, claimed, not_before).await
        }
    }
}

/// Writes down what a trial found, and gives the version to those that waited for it.
async fn finish(state: &State, id: VersionId, tried: &Tried) -> store::Result<()> {
    let Tried { outcome, findings, environment, native } = tried;
    let findings = findings.as_ref();
    let mut change = Change::begin(&state.database).await?;
    // It may have been deleted, or tried by somebody else who thought us dead.
    let Some(before) = versions::lock(&mut change, id).await? else { return Ok(()) };
    if let Some(findings) = findings {
        versions::set_findings(&mut change, id, findings).await?;
    }
    if let Some((wanted, lock)) = environment {
        environments::set(&mut change, id, wanted, lock).await?;
    }
    if let Some(native) = native {
        versions::set_native(&mut change, id, native).await?;
    }
    // One that is ready or rejected already is here for its pickles only.
    let tried = versions::finish_trial(&mut change, id, outcome).await?;
    if !tried && findings.is_none() {
        return Ok(());
    }
    let Some(after) = versions::lock(&mut change, id).await? else { return Ok(()) };
    let resource = Resource::Model(after.model.to_string());
    let detail = json!({
        "version": after.number, "status": after.status, "servable": after.servable, "reason": after.reason,
        "pickles": findings.map(|findings| findings.verdict), "engine": native.as_ref().map(Native::engine),
    });
    change.emit("version.tried", &resource.to_string(), &detail).await?;
    let permit = state.access.system::<verbs::Register>("trial", resource);
    let event = permit
        .event("version.tried", detail)
        .changed(Some(&before.describe()), Some(&after.describe()));
    followers::catch_up(&mut change, id, &event).await?;
    change.commit(&event).await?;
    tracing::info!(
        model.name = %after.model, after.number, status = %after.status, reason = after.reason, "version tried"
    );
    Ok(())
}
