//! `bottega predict`: a V2 body goes in, the answer comes out unchanged.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use client::Connection;
use domain::Problem;

use super::{Done, wire_name};
use crate::output::Failure;

#[derive(Args)]
#[command(group = clap::ArgGroup::new("body").required(true))]
pub struct Options {
    /// The endpoint
    endpoint: String,
    /// Its environment [default: production]
    #[arg(long)]
    env: Option<String>,
    /// The request body, V2 JSON
    #[arg(long, group = "body", value_name = "JSON")]
    json: Option<String>,
    /// A file with the request body
    #[arg(long, group = "body", value_name = "FILE")]
    file: Option<PathBuf>,
    /// `-` reads the request body from standard input
    #[arg(group = "body", value_name = "-", value_parser = ["-"])]
    stdin: Option<String>,
}

pub async fn run(server: &Connection, options: Options) -> Done {
    let wire = wire_name(&options.endpoint, options.env.as_deref())?;
    let body = match (options.json, options.file) {
        (Some(json), _) => json.into_bytes(),
        (None, Some(file)) if file.as_os_str() != "-" => std::fs::read(&file).map_err(|error| {
            Problem::invalid("file", format!("--file {}: {error}", file.display()))
        })?,
        (None, _) => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).map_err(Failure::io)?;
            body
        }
    };
    let answer = server.infer(&wire, body).await?;
    let mut out = std::io::stdout().lock();
    out.write_all(&answer).and_then(|()| out.write_all(b"\n")).map_err(Failure::io)?;
    Ok(ExitCode::SUCCESS)
}
