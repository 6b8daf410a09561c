//! `./just bench`: what Bottega costs, as ratios against a reference in the same run.
//!
//! - Predictions: one-row V2 JSON on a logistic regression, and 1,000 rows of 64 floats in binary on
//!   a small network, against a bare actix-web and ONNX Runtime server ([`reference`]) under the same
//!   load ([`load`]). The two take turns, so that a busy machine hurts both; the figure is the median
//!   of the turns' ratios.
//!   The same over gRPC, against a bare tonic server ([`grpc`]).
//! - What a user would pick instead, on the same models and cores ([`peers`]); only when asked.
//! - Many endpoints, overload, an alias that moves under load, minutes on end ([`endpoints`], [`overload`],
//!   [`alias_move`], [`soak`]); only when asked.
//! - A version in a process of its own against the node's ([`isolation`]); only when asked.
//! - An endpoint beside one whose model does all the harm that it can ([`neighbours`]); only when asked.
//! - Access: a request that is authenticated, authorised and limited, against one that is not.
//! - Pushing: 1 GiB against `cp` and `sha256sum` of the same file.
//! - A scikit-learn model against `mlflow models serve` and its own `predict` ([`python`]); trees that the node
//!   runs against ONNX and Python's process ([`trees`]); only when asked.
//! - Starting and sitting idle: milliseconds and resident memory.
//! - The audit trail: what an event costs, and how fast millions are sealed, verified and searched.
//! - Deciding who may do what: microseconds, against the limit that was set ([`decisions`]).
//! - MLflow's protocol, against the real `mlflow server` ([`mlflow`]).
//!
//! No figure here makes anything fail: machines differ, ratios tell.

mod alias_move;
mod audit;
mod awake;
mod decisions;
mod endpoints;
mod grpc;
mod http;
mod isolation;
mod load;
mod mlflow;
mod neighbours;
mod overload;
mod peers;
mod platform;
mod processes;
mod push;
mod python;
mod reference;
mod soak;
mod trees;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use crate::{http::Server, load::Target, platform::Platform};

/// What goes wrong here goes to the reader as it is.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long one turn lasts, and how many there are.
const TURN: Duration = Duration::from_secs(4);
const TURNS: usize = 5;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        // The reference server is a process of its own, as Bottega is.
        Some("reference") => arguments
            .next()
            .ok_or_else(|| "reference MODEL THREADS".into())
            .and_then(|m| reference::serve(&m, arguments.next().as_deref().unwrap_or("1"))),
        Some("grpc-reference") => arguments
            .next()
            .ok_or_else(|| "grpc-reference MODEL THREADS".into())
            .and_then(|m| grpc::serve(&m, arguments.next().as_deref().unwrap_or("1"))),
        Some("predict") => predict(arguments.next().as_deref()),
        Some("peers") => peers::run(&arguments.collect::<Vec<_>>()),
        Some("endpoints") => endpoints::run(),
        Some("overload") => overload::run(arguments.next().as_ref()),
        Some("alias-move") => alias_move::run(),
        Some("isolation") => isolation::run(),
        Some("neighbours") => neighbours::run(),
        Some("soak") => soak::run(arguments.next().as_ref()),
        Some("quota") => quota(),
        Some("push") => push::run(),
        Some("python") => python::run(),
        Some("trees") => trees::run(),
        Some("start") => platform::start_times(),
        Some("audit") => audit::run(arguments.next().as_ref()),
        Some("policy") => decisions::run(),
        Some("mlflow") => mlflow::run(&arguments.collect::<Vec<_>>()),
        None => predict(None)
            .and_then(|()| quota())
            .and_then(|()| push::run())
            .and_then(|()| platform::start_times())
            .and_then(|()| audit::run(None))
            .and_then(|()| decisions::run())
            .and_then(|()| mlflow::run(&[])),
        Some(other) => {
            let known = "predict, peers, endpoints, overload, alias-move, isolation, soak, quota, push, python, trees, start, audit, policy or mlflow";
            Err(format!("`{other}`: expected {known}").into())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Rows of a request in binary.
const BINARY_ROWS: usize = 1000;

fn predict(protocol: Option<&str>) -> Result<()> {
    match protocol {
        None => predict_json().and_then(|()| predict_binary()).and_then(|()| grpc::run()),
        Some("json") => predict_json(),
        Some("binary") => predict_binary(),
        Some("grpc") => grpc::run(),
        Some(other) => Err(format!("predict {other}: expected json, binary or grpc").into()),
    }
}

fn predict_json() -> Result<()> {
    let model = repository("tests/models/data/breast_cancer.onnx");
    let platform = Platform::start()?;
    platform.deploy(&model, "cancer")?;
    let reference = platform::Child::reference(&model, 1)?;
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let pressed = |server: &Server, path| {
        let requests = bodies.iter().map(|body| server.request("POST", path, body));
        Target::again(server, requests.collect())
    };
    let ours = pressed(&platform.server(), "/v2/models/cancer/infer");
    let bare = pressed(&Server::new(&reference.address, None), "/infer");
    anstream::println!(
        "predictions: one row, V2 JSON, logistic regression (requests/s; p50 / p99 in ms)"
    );
    compare((&reference, &bare), (&platform, &ours), &[1, 16, 64])
}

fn predict_binary() -> Result<()> {
    let model = repository("tests/models/data/digits.onnx");
    let platform = Platform::start()?;
    platform.deploy(&model, "digits")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let reference = platform::Child::reference(&model, threads)?;
    let example = repository("tests/models/data/digits.example.json");
    let bodies = load::binary_bodies(&example, BINARY_ROWS)?;
    let pressed = |server: &Server, path| {
        let requests = bodies.iter().map(|(json, tensors)| server.binary(path, json, tensors));
        Target::again(server, requests.collect())
    };
    let ours = pressed(&platform.server(), "/v2/models/digits/infer");
    let bare = pressed(&Server::new(&reference.address, None), "/infer");
    anstream::println!(
        "predictions: {BINARY_ROWS} rows of 64 floats, V2 binary, small network (requests/s; p50 / p99 in ms)"
    );
    compare((&reference, &bare), (&platform, &ours), &[1, 16])
}

/// What can be pressed, by whichever protocol.
trait Pressed {
    /// What there are many of at a time.
    const OF: &str = "connections";

    /// Presses for one turn, by so many at a time.
    fn turn(&self, count: usize) -> Result<load::Figures>;
}

impl Pressed for Target {
    fn turn(&self, connections: usize) -> Result<load::Figures> {
        self.press(connections, TURN)
    }
}

/// Presses both in turns, and prints what came of it.
fn compare<P: Pressed>(
    (reference, bare): (&platform::Child, &P),
    (platform, ours): (&Platform, &P),
    counts: &[usize],
) -> Result<()> {
    for &count in counts {
        let _awake = awake::Awake::for_connections(count)?;
        let mut ratios = Vec::new();
        let (mut cpu, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
        let (mut best_bare, mut best_ours) = (load::Figures::default(), load::Figures::default());
        for _ in 0..TURNS {
            let (bare_cpu, ours_cpu) = (reference.cpu()?, platform.cpu()?);
            let bare = bare.turn(count)?;
            let bare_cost = (reference.cpu()? - bare_cpu) / bare.requests;
            let ours = ours.turn(count)?;
            let ours_cost = (platform.cpu()? - ours_cpu) / ours.requests;
            ratios.push(ours.rate() / bare.rate());
            cpu.push(ours_cost / bare_cost);
            p50.push(ours.p50 / bare.p50);
            p99.push(ours.p99 / bare.p99);
            best_bare = best_bare.best(bare);
            best_ours = best_ours.best(ours);
        }
        anstream::println!(
            "  {count:3} {}   bare {best_bare}   bottega {best_ours}   ratio {:.2}   p50 {:.2}x   p99 {:.2}x   cpu/request {:.2}x",
            P::OF,
            median(&mut ratios),
            median(&mut p50),
            median(&mut p99),
            median(&mut cpu),
        );
    }
    Ok(())
}

/// A request that is authenticated, authorised and counted against a rate, against one that is not.
fn quota() -> Result<()> {
    let platform = Platform::start()?;
    platform.deploy(&repository("tests/models/data/breast_cancer.onnx"), "cancer")?;
    let server = platform.server();
    let limits = serde_json::json!({"limits": {"requests_per_second": "1M", "burst": "1M"}});
    server.json("PATCH", "/api/v1/quotas/user:admin", &limits)?;
    let open = Server::new(&server.address, None);
    let open = Target::again(&open, vec![open.request("GET", "/v2/health/ready", "")]);
    let limited = server.request("GET", "/v2/models/cancer/ready", "");
    let limited = Target::again(&server, vec![limited]);
    anstream::println!(
        "a limited request against an open one, 64 connections (requests/s; p50 / p99 in ms)"
    );
    let mut ratios = Vec::new();
    let (mut best_open, mut best_limited) = (load::Figures::default(), load::Figures::default());
    for _ in 0..TURNS {
        let (open, limited) = (open.press(64, TURN)?, limited.press(64, TURN)?);
        ratios.push(limited.rate() / open.rate());
        best_open = best_open.best(open);
        best_limited = best_limited.best(limited);
    }
    let ratio = median(&mut ratios);
    anstream::println!("  open {best_open}   limited {best_limited}   ratio {ratio:.2}");
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
