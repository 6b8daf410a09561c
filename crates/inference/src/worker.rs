//! The throw-away process in which a version is tried: `bottega worker --trial`.
//!
//! It reads its order from standard input, loads ONNX Runtime, confines itself, says so, and only
//! then touches the model. It writes reports on standard output and nothing else.

mod confine;

use std::{
    io::{self, Read, Write},
    process::ExitCode,
    time::Instant,
};

use crate::{
    Engine, Error, ModelFolder, Runtime, arrange,
    onnx::{OnnxEngine, OnnxOptions},
    probe::probe,
    trial::{Order, Report, TrialLimits, TrialReport, too_large, too_slow},
};

/// The whole worker.
#[must_use]
pub fn main() -> ExitCode {
    let report = match prepare() {
        Ok((runtime, order)) => match tell(&Report::Confined) {
            Ok(()) => try_out(&runtime, &order),
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
fn prepare() -> Result<(Runtime, Order), Error> {
    let ours =
        |what: &str, error: &dyn std::fmt::Display| Error::Worker(format!("{what}: {error}"));
    let left = confine::leave().map_err(|error| ours("moving out", &error))?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| ours("reading its order", &error))?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|error| ours("reading its order", &error))?;
    let runtime = Runtime::load(&order.job.library)?;
    confine::confine(&order, left).map_err(|error| ours("confining itself", &error))?;
    Ok((runtime, order))
}

fn try_out(runtime: &Runtime, order: &Order) -> Report {
    match attempt(runtime, order) {
        Ok(report) => Report::Ready(Box::new(report)),
        Err(error) => Report::Rejected(reason(error, &order.limits)),
    }
}

fn attempt(runtime: &Runtime, order: &Order) -> Result<TrialReport, Error> {
    let start = Instant::now();
    let deadline = start + order.limits.time;
    // Confined, the model's folder is the present one.
    let model = ModelFolder { path: ".".into(), file: order.job.file.clone(), bytes: 0 };
    let options = OnnxOptions { threads: 1, max_output_bytes: order.limits.output_bytes };
    let mut engine = OnnxEngine::load(runtime, &model, &options)?;
    let loading = start.elapsed();
    let example = order
        .job
        .example
        .clone()
        .map(|example| arrange(engine.signature(), example))
        .transpose()?;
    let (profile, outputs) = probe(&mut engine, example.as_deref(), deadline)?;
    Ok(TrialReport { signature: engine.signature().clone(), profile, outputs, loading })
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
        | Error::Overloaded
        | Error::Draining
        | Error::Worker(_)
        | Error::Thread(_)
        | Error::Fetch(_)
        | Error::Cache { .. }) => error.to_string(),
    }
}
