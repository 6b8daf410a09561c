//! `bottega rollout …` and `bottega rollback`

use std::time::Duration;

use clap::{Args, Subcommand};
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, deploy, wire_name};
use crate::output::Output;

#[derive(Subcommand)]
pub enum Verb {
    /// Show the newest rollout of an endpoint
    Show {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
    },
}

#[derive(Args)]
pub struct Rollback {
    /// The endpoint
    endpoint: String,
    /// Its environment [default: production]
    #[arg(long)]
    env: Option<String>,
    /// The release to put back [default: the last good one before the live one]
    #[arg(long, value_name = "RELEASE")]
    to: Option<i32>,
    /// Why; kept in the history
    #[arg(long)]
    reason: Option<String>,
    /// Wait until it answers
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "60s", value_parser = domain::parse_duration)]
    timeout: Duration,
}

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    let Verb::Show { endpoint, env } = verb;
    let wire = wire_name(&endpoint, env.as_deref())?;
    let rollout: Value = server.get(&path(&["endpoints", &wire, "rollout"]), &[]).await?;
    let fields = [
        ("endpoint", "/endpoint"),
        ("release", "/release"),
        ("state", "/state"),
        ("step", "/step"),
        ("weights", "/weights"),
        ("waiting", "/waiting"),
    ];
    Ok(output.object(&rollout, &fields))
}

pub async fn rollback(server: &Connection, options: Rollback, output: &Output) -> Done {
    let wire = wire_name(&options.endpoint, options.env.as_deref())?;
    let mut body = json!({});
    if let Some(to) = options.to {
        body["to"] = json!(to);
    }
    if let Some(reason) = &options.reason {
        body["reason"] = json!(reason);
    }
    let made: Value = server.post(&path(&["endpoints", &wire, "rollback"]), &body).await?;
    let mut endpoint: Value = server.get(&path(&["endpoints", &wire]), &[]).await?;
    if options.wait {
        let bar = output.progress();
        bar.waiting("loading and warming");
        endpoint = deploy::wait(server, &wire, endpoint, options.timeout).await?;
    }
    deploy::tell(server, &wire, &endpoint, &made["release"], output).await
}
