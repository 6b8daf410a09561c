//! The processes that touch a model and are not the node's own.
//!
//! `bottega worker --trial` is thrown away when it has tried a version. It reads its order from standard input, loads ONNX Runtime, confines itself, says so, and only
//! then touches the model. It writes reports on standard output and nothing else. `bottega worker --serve`
//! ([`serve`]) becomes the program that answers for a version, which for ONNX is `bottega worker
//! --engine` ([`engine`]).

mod confine;
mod guard;
mod program;
mod serve;

pub use self::{
    program::{answer, engine, folder},
    serve::{Inside, Serve, serve},
};

use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::process::parent_id,
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use nix::sched::CloneFlags;

use self::confine::{NOBODY, Walls};

use crate::{
    Engine, Error, ModelFolder, Runtime, arrange,
    onnx::{OnnxEngine, OnnxOptions},
    probe::probe,
    scan::{self, ScanJob},
    trial::{Order, Report, TrialJob, TrialLimits, TrialReport, Work, too_large, too_slow},
};

/// `bottega worker`, to be started for this work with nothing of this process's environment.
pub(crate) fn command(exe: &Path, work: &str) -> Command {
    let mut command = Command::new(exe);
    command.args(["worker", work]).env_clear().envs([frugal()]).current_dir("/");
    // Where the C++ library that ONNX Runtime needs lies in an unusual place.
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

/// A variable for workers, and its value: the memory that counts against them is what they may write to, so their
/// allocator (mimalloc) is to take that when it is needed, and not a GiB of it beforehand.
pub(crate) fn frugal() -> (String, String) {
    ("MIMALLOC_ARENA_EAGER_COMMIT".to_owned(), "0".to_owned())
}

/// The whole worker that tries a version or looks into its files.
#[must_use]
pub fn main() -> ExitCode {
    let report = match prepare() {
        Ok((task, limits)) => match tell(&Report::Confined) {
            Ok(()) => task.perform(&limits),
            Err(_) => return ExitCode::FAILURE,
        },
        Err(error) => Report::Failed(error.to_string()),
    };
    match tell(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn tell(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Everything that needs more than a model may have.
fn prepare() -> Result<(Task, TrialLimits), Error> {
    let ours =
        |what: &str, error: &dyn std::fmt::Display| Error::Worker(format!("{what}: {error}"));
    let left =
        confine::leave(CloneFlags::empty(), None).map_err(|error| ours("moving out", &error))?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| ours("reading its order", &error))?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|error| ours("reading its order", &error))?;
    let runtime = match &order.work {
        Work::Trial(job) => Some(Runtime::load(&job.library)?),
        Work::Scan(_) => None,
    };
    let limits = &order.limits;
    let walls = Walls {
        folder: order.work.folder(),
        readable: &[],
        scratch: None,
        talks: false,
        own_processes: false,
        user: NOBODY,
        memory_bytes: limits.memory_bytes,
        processes: 0,
        files: 64,
        time: Some(limits.time),
    };
    confine::confine(&walls, left)
        .and_then(|_| check(order.parent))
        .map_err(|error| ours("confining itself", &error))?;
    let task = match (order.work, runtime) {
        (Work::Trial(job), Some(runtime)) => Task::Trial(runtime, job),
        (Work::Trial(_), None) => return Err(Error::Worker("it has no runtime".to_owned())),
        (Work::Scan(job), _) => Task::Scan(job),
    };
    Ok((task, order.limits))
}

/// Sees that the one who started it is there, and that the model can be found: the runtime looks weights
/// up from the root down, and better our fault now than the model's.
fn check(parent: u32) -> io::Result<()> {
    if parent_id() != parent {
        return Err(io::Error::other("the process that started it is gone"));
    }
    std::env::current_dir().and_then(fs::symlink_metadata).map(drop).map_err(|error| {
        let what = "the user nobody must be able to enter the folders above the model's";
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

/// What is left to do once confined.
enum Task {
    Trial(Runtime, TrialJob),
    Scan(ScanJob),
}

impl Task {
    fn perform(self, limits: &TrialLimits) -> Report {
        match self {
            Self::Trial(runtime, job) => match attempt(&runtime, job, limits) {
                Ok(report) => Report::Ready(Box::new(report)),
                Err(error) => Report::Rejected(reason(error, limits)),
            },
            Self::Scan(job) => match look_into(&job) {
                Ok(()) => Report::Scanned,
                Err(error) => Report::Failed(format!("reading the files: {error}")),
            },
        }
    }
}

/// Tells what is in each file at once: what is told outlives the worker.
fn look_into(job: &ScanJob) -> io::Result<()> {
    for path in &job.files {
        tell(&Report::Looking(path.clone()))?;
        if let Some(found) = scan::look(Path::new("."), path)? {
            tell(&Report::Found(found))?;
        }
    }
    Ok(())
}

fn attempt(runtime: &Runtime, job: TrialJob, limits: &TrialLimits) -> Result<TrialReport, Error> {
    let start = Instant::now();
    let deadline = start + limits.time;
    // Confined, the model's folder is the present one.
    let model = ModelFolder { path: ".".into(), file: job.file, bytes: 0 };
    let options = OnnxOptions { threads: 1, max_output_bytes: limits.output_bytes };
    let mut engine = OnnxEngine::load(runtime, &model, &options)?;
    let loading = start.elapsed();
    let example = job.example.map(|example| arrange(engine.signature(), example)).transpose()?;
    let (profile, outputs) = probe(&mut engine, example.as_deref(), deadline)?;
    Ok(TrialReport {
        signature: engine.signature().clone(),
        profile,
        outputs,
        loading,
        native: None,
    })
}

/// Why a version is rejected, for its author.
fn reason(error: Error, limits: &TrialLimits) -> String {
    match error {
        Error::Input(problem) => {
            let hint = problem.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("the input example does not fit: {}{hint}", problem.message)
        }
        Error::Run(why) => format!("the model failed on its input example: {why}"),
        Error::Memory => too_large(limits),
        Error::Timeout => too_slow(limits),
        error @ (Error::Model(_)
        | Error::OutputTooLarge { .. }
        | Error::Library(_)
        | Error::Failed(_)
        | Error::Gone(_)
        | Error::Overloaded
        | Error::Draining
        | Error::Worker(_)
        | Error::Thread(_)
        | Error::Fetch(_)
        | Error::Cache { .. }) => error.to_string(),
    }
}
