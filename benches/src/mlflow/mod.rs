//! MLflow's protocol, side by side with the real `mlflow server`: default number of workers, default
//! SQLite, no accounts unless told, on the same machine under the same load. The two take turns.
//!
//! ```text
//! ./just bench mlflow                  all parts
//! ./just bench mlflow log-batch get    these
//! ```

mod alias;
mod files;
mod get;
mod log_batch;
mod points;
mod reference;
mod search;

use std::time::{Duration, Instant};

use serde_json::json;

use self::reference::Reference;
use crate::{Result, http::Server, load::Figures, platform::Platform};

/// Where both keep what is measured.
const API: &str = "/api/2.0/mlflow";

/// What can be measured: its name, and how.
type Part = (&'static str, fn(&mut Both) -> Result<()>);

const PARTS: [Part; 6] = [
    ("log-batch", log_batch::run),
    ("get", get::run),
    ("alias", alias::run),
    ("files", files::run),
    ("search", search::run),
    ("points", points::run),
];

/// Measures the parts that are named, or all.
pub fn run(wanted: &[String]) -> Result<()> {
    let names = PARTS.map(|(name, _)| name);
    if let Some(other) = wanted.iter().find(|part| !names.contains(&part.as_str())) {
        return Err(format!("`{other}`: expected some of {}", names.join(", ")).into());
    }
    let begun = Instant::now();
    anstream::println!("mlflow: against `mlflow server` {}", reference::version()?);
    anstream::println!("  machine: {}", machine());
    let mut both = Both { ours: Platform::start()?, reference: None };
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            part(&mut both)?;
        }
    }
    anstream::println!("  all of it: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The two servers.
struct Both {
    ours: Platform,
    reference: Option<Reference>,
}

impl Both {
    /// The real one, started when it is first needed.
    fn reference(&mut self) -> Result<&Reference> {
        if self.reference.is_none() {
            self.reference = Some(Reference::start(false)?);
        }
        self.reference.as_ref().ok_or_else(|| "it was just started".into())
    }

    /// MLflow's server, then ours.
    fn servers(&mut self) -> Result<[Server; 2]> {
        let theirs = self.reference()?.server();
        Ok([theirs, self.ours.server()])
    }
}

/// A new run in the experiment `Default`.
fn new_run(server: &Server) -> Result<String> {
    let asked = json!({"experiment_id": "0", "start_time": 1_700_000_000_000_i64});
    let made = server.json("POST", &format!("{API}/runs/create"), &asked)?;
    text(&made["run"]["info"]["run_id"])
}

fn text(value: &serde_json::Value) -> Result<String> {
    Ok(value.as_str().ok_or_else(|| format!("not a text: {value}"))?.to_owned())
}

/// Times what is done.
fn timed(done: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    done()?;
    Ok(begun.elapsed())
}

/// The median, in milliseconds.
fn median_ms(times: &[Duration]) -> f64 {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    crate::median(&mut times)
}

/// Prints the rates of two that took turns, the best of each and the median of the turns' ratios.
fn print_rates(what: &str, asked: &str, turns: &[[Figures; 2]]) {
    let mut ratios: Vec<f64> =
        turns.iter().map(|[theirs, ours]| ours.rate() / theirs.rate()).collect();
    let best =
        |which: usize| turns.iter().fold(Figures::default(), |best, turn| best.best(turn[which]));
    anstream::println!("  {what} (requests/s; p50 / p99 in ms)");
    anstream::println!(
        "    mlflow {}   bottega {}   ratio {:.1} (asked: {asked})",
        best(0),
        best(1),
        crate::median(&mut ratios)
    );
}

/// On what this is measured.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let kib: f64 = field(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    format!(
        "{cores} x {}, {:.0} GiB, load before {}",
        field(&cpu, "model name"),
        kib / 1024.0 / 1024.0,
        read("/proc/loadavg").split_whitespace().next().unwrap_or_default()
    )
}
