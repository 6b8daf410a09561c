//! A scikit-learn model in processes of its own, against `mlflow models serve` with the same model at 64
//! connections, and against the model's own `predict` in a loop at 32 rows. Ours and theirs take turns, and
//! the figures are medians of the turns.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Result, TURN, TURNS, http::Server, load, load::Target, median, platform::Platform, repository,
};

const CONNECTIONS: usize = 64;
/// How long MLflow's server may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(120);
const MODEL: &str = "benches/src/python/model.py";
const SCORING: &str = "/serve/model/invocations";
const V2: &str = "/v2/models/model/infer";

/// All of it.
pub fn run() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("bottega-bench-").tempdir()?;
    let model = folder.path().join("model");
    script(MODEL, &["make", text(&model)?])?;
    let platform = Platform::start()?;
    let begun = Instant::now();
    platform.deploy(&model, "model")?;
    anstream::println!(
        "python: the first version is served after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    platform.cli(&["push", text(&model)?, "--name", "model", "--force"])?;
    anstream::println!(
        "  a second one with the same packages is ready after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    for (resident, share) in platform.workers()? {
        anstream::println!(
            "  an idle process of it has {resident:.0} MiB resident, {share:.0} with its share of what others have too (asked: 120)"
        );
    }
    against_mlflow(&platform, &model)?;
    against_a_loop(&platform, &model)
}

fn against_mlflow(platform: &Platform, model: &Path) -> Result<()> {
    let rows = example()?;
    let bodies: Vec<_> = rows.iter().map(|row| json!({"inputs": [row]}).to_string()).collect();
    let theirs = Mlflow::start(model, &bodies[0])?;
    let (us, them) = (platform.server(), theirs.server());
    let answer = |server: &Server, path, body: &str| -> Result<Value> {
        let found: Value = serde_json::from_str(&server.call("POST", path, body)?)?;
        let first = &found["predictions"];
        Ok(first.get("output-0").unwrap_or(first).clone())
    };
    for body in &bodies {
        let (ours, theirs) = (answer(&us, SCORING, body)?, answer(&them, "/invocations", body)?);
        if ours != theirs {
            return Err(format!("they answer {theirs}, not {ours}").into());
        }
    }
    let target = |server: &Server, path: &str, bodies: &[String]| {
        let requests = bodies.iter().map(|body| server.request("POST", path, body)).collect();
        Target::again(server, requests)
    };
    let v2: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({"inputs": [
                {"name": "input-0", "shape": [1, row.len()], "datatype": "FP32", "data": row},
            ]})
            .to_string()
        })
        .collect();
    let mlflow = target(&them, "/invocations", &bodies);
    for (form, ours) in
        [("MLflow's scoring", target(&us, SCORING, &bodies)), ("V2 JSON", target(&us, V2, &v2))]
    {
        let (mut ratios, mut rates, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (us, them) = (ours.press(CONNECTIONS, TURN)?, mlflow.press(CONNECTIONS, TURN)?);
            ratios.push(us.rate() / them.rate());
            rates.push(us.rate());
            others.push(them.rate());
        }
        anstream::println!(
            "  one row, {CONNECTIONS} connections, {form}: {:.0} against {:.0} requests/s of `mlflow models serve`: {:.1}x",
            median(&mut rates),
            median(&mut others),
            median(&mut ratios),
        );
    }
    Ok(())
}

fn against_a_loop(platform: &Platform, model: &Path) -> Result<()> {
    let us = platform.server();
    let example = repository("tests/models/data/breast_cancer.example.json");
    let bodies = load::binary_bodies(&example, 32)?;
    let named = |json: &str| -> Result<String> {
        let mut body: Value = serde_json::from_str(json)?;
        body["inputs"][0]["name"] = json!("input-0");
        Ok(body.to_string())
    };
    let requests = bodies.iter().map(|(json, rows)| Ok(us.binary(V2, &named(json)?, rows)));
    let ours = Target::again(&us, requests.collect::<Result<_>>()?);
    let (mut ratios, mut rates, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let us = ours.press(CONNECTIONS, TURN)?.rate();
        let seconds = TURN.as_secs_f64().to_string();
        let alone: f64 = script(MODEL, &["loop", text(model)?, &seconds])?.trim().parse()?;
        ratios.push(us / alone);
        rates.push(us);
        loops.push(alone);
    }
    anstream::println!(
        "  32 rows, {CONNECTIONS} connections, binary tensors: {:.0} requests/s against {:.0} calls/s of `predict` in a loop: {:.2}x",
        median(&mut rates),
        median(&mut loops),
        median(&mut ratios),
    );
    Ok(())
}

/// Rows of numbers that the model knows.
fn example() -> Result<Vec<Vec<Value>>> {
    let file = repository("tests/models/data/breast_cancer.example.json");
    let example: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let data = example["inputs"][0]["data"].as_array().ok_or("the example has no data")?;
    let flat: Vec<_> = data
        .iter()
        .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]))
        .collect();
    Ok(flat.chunks(30).take(16).map(<[Value]>::to_vec).collect())
}

/// What a script of the repository prints.
pub fn script(file: &str, arguments: &[&str]) -> Result<String> {
    let mut command = python()?;
    command.arg("-B").arg(repository(file)).args(arguments);
    let done = command.stderr(Stdio::null()).output()?;
    match done.status.success() {
        true => Ok(String::from_utf8(done.stdout)?),
        false => Err(format!("{command:?}: {}", done.status).into()),
    }
}

fn python() -> Result<Command> {
    let python = PathBuf::from(std::env::var_os("BOTTEGA_MLFLOW3").ok_or("BOTTEGA_MLFLOW3")?);
    // MLflow starts its server by the name of a program that lies among its packages.
    let programs =
        python.parent().and_then(Path::parent).ok_or("BOTTEGA_MLFLOW3")?.join("packages/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?;
    let mut command = Command::new(python);
    command.env("PATH", path).env("OMP_NUM_THREADS", "1").env("MLFLOW_DISABLE_TELEMETRY", "true");
    Ok(command)
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "the path is not UTF-8".into())
}

/// `mlflow models serve`, ended when dropped.
struct Mlflow {
    process: Child,
    port: u16,
}

impl Mlflow {
    fn start(model: &Path, body: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = python()?
            .args([
                "-B",
                "-m",
                "mlflow",
                "models",
                "serve",
                "--env-manager",
                "local",
                "-h",
                "127.0.0.1",
            ])
            .args(["-m", text(model)?, "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, which can be ended as a whole.
            .process_group(0)
            .spawn()?;
        let running = Self { process, port };
        let begun = Instant::now();
        while let Err(error) = running.server().call("POST", "/invocations", body) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("`mlflow models serve` does not answer: {error}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(running)
    }

    fn server(&self) -> Server {
        Server::new(&format!("127.0.0.1:{}", self.port), None)
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _asked = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ended = self.process.wait();
    }
}
