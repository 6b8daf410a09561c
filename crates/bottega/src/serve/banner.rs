//! What a start tells: the ready line on stdout for programs, the rest on stderr for people.

use std::{
    io::{IsTerminal as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
};

use owo_colors::OwoColorize as _;
use secrecy::ExposeSecret as _;

use super::identity::AdminToken;
use crate::settings;

/// A model of the repository, to begin with.
const SAMPLE: &str = "tests/models/data/breast_cancer.onnx";
const SAMPLE_REQUEST: &str = "tests/models/data/breast_cancer.example.json";

/// Where we listen.
pub struct Addresses {
    /// HTTP.
    pub http: SocketAddr,
    /// gRPC, where it is served.
    pub grpc: Option<SocketAddr>,
}

impl Addresses {
    /// The addresses of these listeners.
    pub fn of(http: &TcpListener, grpc: Option<&TcpListener>) -> std::io::Result<Self> {
        Ok(Self { http: http.local_addr()?, grpc: grpc.map(TcpListener::local_addr).transpose()? })
    }
}

/// Says that everything answers: exactly one line on stdout.
pub fn ready(admin: &AdminToken, at: &Addresses) {
    people(admin, at);
    let mut line = format!("ready http://{}", at.http);
    if let Some(grpc) = at.grpc {
        line.push_str(&format!(" grpc://{grpc}"));
    }
    let mut out = std::io::stdout().lock();
    // Whoever started us may have closed their end: that is no reason to stop.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

fn people(admin: &AdminToken, at: &Addresses) {
    anstream::eprintln!("\n{} is ready", "Bottega".bold());
    anstream::eprintln!("  address        http://{}", at.http);
    anstream::eprintln!("  documentation  http://{}/docs", at.http);
    match &admin.file {
        // The token itself only ever goes to a person, and only once.
        Some(file) if admin.is_new && std::io::stderr().is_terminal() => {
            anstream::eprintln!("  administrator  {}", admin.token.expose_secret());
            anstream::eprintln!("                 (shown once; kept in {})", file.display());
        }
        Some(file) => anstream::eprintln!("  administrator  the token is in {}", file.display()),
        None => anstream::eprintln!("  administrator  the token is the one that was given"),
    }
    anstream::eprintln!("\nIn another terminal:");
    for line in environment(admin, at) {
        anstream::eprintln!("  {line}");
    }
    let me = std::env::args().next().unwrap_or_else(|| "bottega".to_owned());
    // In a checkout there is a model to try; elsewhere the reader has one.
    let [name, model, request] = match Path::new(SAMPLE).is_file() {
        true => ["cancer", SAMPLE, SAMPLE_REQUEST],
        false => ["fraud", "model.onnx", "request.json"],
    };
    anstream::eprintln!("  {me} push {model} --name {name} --alias champion");
    anstream::eprintln!("  {me} deploy {name} --model {name}@champion --wait");
    anstream::eprintln!("  {me} predict {name} --file {request}\n");
}

/// What the commands cannot find by themselves.
fn environment(admin: &AdminToken, at: &Addresses) -> Vec<String> {
    let mut lines = Vec::new();
    if at.http.to_string() != "127.0.0.1:8080" {
        lines.push(format!("export BOTTEGA_URL=http://{}", at.http));
    }
    match &admin.file {
        Some(file) if *file == settings::data_dir().join("admin.token") => {}
        Some(file) => lines.push(format!("export BOTTEGA_TOKEN=$(cat '{}')", file.display())),
        None => lines.push("export BOTTEGA_TOKEN=… # the one that was given".to_owned()),
    }
    lines
}
