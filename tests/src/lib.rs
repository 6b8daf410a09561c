//! Tests of the whole: the house's walls, and the real binary driven as its users drive it.
//!
//! [`Server`] is a `bottega up` on a data directory of its own; [`Server::cli`] runs the CLI
//! against it, [`Server::http`] speaks HTTP to it. `./just test` builds the binary and installs
//! what these tests need; without it they fail and say so.

mod caller;
mod platform;
mod postgres;
mod reference;
mod server;

use std::{path::PathBuf, process::Command};

pub use caller::{Caller, Reply};
pub use platform::{Database, Platform};
pub use postgres::Postgres;
pub use reference::{Files, MlflowServer};
pub use server::{Answer, Options, Server, bottega, wait_for, wait_until};
pub use weed::Weed;

/// A file of the repository's test models.
#[must_use]
pub fn model(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/data").join(name);
    assert!(path.is_file(), "{} is not there: ./just models makes it", path.display());
    path
}

/// The JSON in a file of the repository's test models.
#[must_use]
pub fn model_json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(model(name)).unwrap()).unwrap()
}

/// An environment variable that `./just test` sets.
#[must_use]
pub fn tool(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests by ./just test"))
        .into()
}

/// Runs a script of `tests/clients` against a server, by the Python of this variable, until it ends well.
///
/// # Panics
/// It does not, with what it said.
pub fn run_client(python: &str, server: &Server, script: &str, arguments: &[&str]) {
    let output = Command::new(tool(python))
        .arg("-B")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients").join(script))
        .args(arguments)
        .env("BOTTEGA_URL", &server.url)
        .env("BOTTEGA_GRPC", &server.grpc)
        .env("BOTTEGA_TOKEN", server.token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {said}");
}
