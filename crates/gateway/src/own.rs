//! `bottega worker --own`: a program of a version's author, started and asked from beside it.
//!
//! It runs in the walls of the version's process ([`inference::process`]), where the network has nobody else.
//! When the program ends, so does this, as it did.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use actix_web::web::Bytes;
use domain::{Signature, Tensor, process::Process};
use inference::{Engine, Error, OwnOrder, worker};
use remote::{Asks, Failure, Model, Server, exchange, posted};
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::external::failed;

/// How often the program is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one such question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a program takes to be seen as ended that has closed its connections.
const ENDING: Duration = Duration::from_millis(200);

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    worker::answer(|order| Ok(Box::new(OwnEngine::start(order)?)))
}

/// A program that answers.
struct OwnEngine {
    model: Model,
    local: Local,
    runtime: Runtime,
    output_bytes: usize,
}

/// What asks a program of the same process.
struct Local(Client);

impl Asks for Local {
    async fn post(
        &self,
        server: &Server,
        body: Vec<u8>,
        most: usize,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        exchange(posted(&self.0, server, body), most, deadline).await
    }
}

impl OwnEngine {
    fn start(order: Value) -> Result<Self, Error> {
        let order: OwnOrder =
            serde_json::from_value(order).map_err(|error| Error::Model(error.to_string()))?;
        let OwnOrder { process, signature, output_bytes, threads, loading_ms } = order;
        let ours = |error: &dyn std::fmt::Display| Error::Worker(error.to_string());
        let model = Model::new(&process.external()?, &signature);
        let model = model.map_err(|failure| Error::Model(failure.to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ours(&error))?;
        let client = Client::builder().no_proxy().redirect(Policy::none()).tcp_nodelay(true);
        let client = client.build().map_err(|error| ours(&error))?;
        has_network()?;
        let until = Instant::now() + Duration::from_millis(loading_ms);
        let ended = run(&process, threads)?;
        runtime.block_on(ready(&client, &process, &ended, until))?;
        Ok(Self { model, local: Local(client), runtime, output_bytes })
    }
}

/// Where a machine gives no network to a version, its program cannot be asked.
fn has_network() -> Result<(), Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.as_ref().ok().and_then(|listener| listener.local_addr().ok());
    let reached = address.is_some_and(|address| std::net::TcpStream::connect(address).is_ok());
    let why = "this machine gives a version no network to itself, which a program that answers over HTTP needs";
    if reached { Ok(()) } else { Err(Error::Model(why.to_owned())) }
}

/// Starts the program; the way it ended comes by the channel, if it ends before it is ready.
fn run(process: &Process, threads: usize) -> Result<mpsc::Receiver<String>, Error> {
    let folder = worker::folder()?;
    let program = process.program();
    let program = match process.own() {
        Some(own) => folder.join(own.as_str()).into_os_string(),
        None => program.into(),
    };
    let mut command = Command::new(program);
    command
        .args(process.command.iter().skip(1))
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")])
        .env("OMP_NUM_THREADS", threads.to_string())
        .env("SAGEMAKER_BIND_TO_PORT", process.port.to_string())
        .envs(&process.environment)
        .current_dir(&folder)
        // This one's is the talk with the node.
        .stdin(Stdio::null())
        .stdout(Stdio::inherit());
    let child = command.spawn().map_err(|error| {
        Error::Model(format!("`{}` cannot be started: {error}", process.program()))
    })?;
    let (tell, ended) = mpsc::channel();
    let name = process.program().to_owned();
    let watch = move || end_with(child, &name, &tell);
    thread::Builder::new().name("program".to_owned()).spawn(watch).map_err(Error::Thread)?;
    Ok(ended)
}

/// Waits for the program's end, and ends as it did.
fn end_with(mut child: Child, name: &str, tell: &mpsc::Sender<String>) {
    let how = match child.wait() {
        Ok(status) => format!("`{name}` ended ({status})"),
        Err(error) => format!("`{name}` is not to be seen any more: {error}"),
    };
    // Whoever waits for it to be ready says it; else this is the last word.
    if tell.send(how.clone()).is_err() {
        drop(io::Write::write_all(&mut io::stderr(), format!("{how}\n").as_bytes()));
        std::process::exit(1);
    }
}

/// Waits until the program says that it is ready.
async fn ready(
    client: &Client,
    process: &Process,
    ended: &mpsc::Receiver<String>,
    until: Instant,
) -> Result<(), Error> {
    let place = format!("http://127.0.0.1:{}{}", process.port, process.ready());
    let url = Url::parse(&place).map_err(|error| Error::Model(error.to_string()))?;
    loop {
        let asked = client.get(url.clone()).timeout(PATIENCE).send().await;
        let is_ready = asked.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK);
        if let Ok(how) = ended.try_recv() {
            return Err(Error::Model(format!("{how} before it answered 200 at `{place}`")));
        }
        if is_ready {
            return Ok(());
        }
        if Instant::now() >= until {
            let last = match asked {
                Ok(answer) => format!("it answers {} there", answer.status().as_u16()),
                Err(_) => "nobody answers there".to_owned(),
            };
            return Err(Error::Model(format!(
                "`{}` is not ready in time: it was to answer 200 at `{place}`, and {last}",
                process.program()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Engine for OwnEngine {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let asked = self.model.ask(&self.local, inputs, self.output_bytes, deadline);
        let asked = self.runtime.block_on(asked);
        if let Err(Failure::Unreachable(_)) = &asked {
            // Most likely it has ended, which is told better by whoever waits for that: then this ends here.
            thread::sleep(ENDING);
        }
        asked.map_err(|failure| failed(failure, &self.model, "its program"))
    }

    /// A question that was asked may have been answered.
    fn ends_runs_early(&self) -> bool {
        false
    }
}
