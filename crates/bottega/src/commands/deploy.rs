//! `bottega deploy`: makes an endpoint serve a version, or follow an alias.

use std::time::{Duration, Instant};

use clap::Args;
use client::{Connection, path};
use domain::Problem;
use serde_json::{Value, json};

use super::{Done, wire_name};
use crate::output::{Failure, Output};

#[derive(Args)]
pub struct Options {
    /// The endpoint; a new name makes it
    endpoint: String,
    /// What it serves: whatever an alias points to, the newest version in a stage, or one version
    #[arg(long, value_name = "NAME@ALIAS|NAME/STAGE|NAME/VERSION")]
    model: String,
    /// Its environment [default: production]
    #[arg(long)]
    env: Option<String>,
    /// How traffic moves; today all at once, when the new version is warm
    #[arg(long)]
    strategy: Option<String>,
    /// Canary steps in percent (comes with rollouts)
    #[arg(long, value_name = "5,25,100")]
    steps: Option<String>,
    /// How long each canary step lasts (comes with rollouts)
    #[arg(long, value_name = "DURATION")]
    step_duration: Option<String>,
    /// Shares of several versions (comes with rollouts)
    #[arg(long, value_name = "N/V=90,N/V=10")]
    split: Option<String>,
    /// Copies on each node (comes with nodes)
    #[arg(long, value_name = "N|MIN..MAX")]
    replicas: Option<String>,
    /// The team that is to own a new endpoint [default: your home team]
    #[arg(long)]
    team: Option<String>,
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

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let later = [
        ("steps", &options.steps),
        ("step-duration", &options.step_duration),
        ("split", &options.split),
        ("replicas", &options.replicas),
    ];
    if let Some((option, _)) = later.iter().find(|(_, value)| value.is_some()) {
        let message = format!(
            "--{option} is not there yet: today all traffic moves at once, one replica a node"
        );
        return Err(Failure::usage(option, message));
    }
    let wire = wire_name(&options.endpoint, options.env.as_deref())?;
    let mut body = json!({"model": options.model});
    if let Some(strategy) = &options.strategy {
        body["strategy"] = json!(strategy);
    }
    if let Some(team) = &options.team {
        body["team"] = json!(team);
    }
    if let Some(reason) = &options.reason {
        body["reason"] = json!(reason);
    }
    let mut endpoint: Value = server.put(&path(&["endpoints", &wire]), &body).await?;
    // What this very call asked for; a later release by somebody else is not ours to wait for.
    // Where all was so already, there is no target, and the live release is the answer.
    let on_its_way = &endpoint["target"]["release"];
    let release = if on_its_way.is_null() { &endpoint["live"]["release"] } else { on_its_way };
    let release = release.clone();
    if options.wait {
        let bar = output.progress();
        bar.waiting("loading and warming");
        endpoint = wait(server, &wire, endpoint, options.timeout).await?;
    }
    tell(server, &wire, &endpoint, &release, output).await
}

/// Waits while a release of the endpoint is on its way.
pub async fn wait(
    server: &Connection,
    wire: &str,
    first: Value,
    patience: Duration,
) -> Result<Value, Failure> {
    let until = Instant::now() + patience;
    let mut endpoint = first;
    while endpoint["state"] == "progressing" {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = format!(
                "endpoint {wire} is not ready after {} s; it goes on by itself",
                patience.as_secs()
            );
            return Err(client::Error::Timeout(message).into());
        }
        let seconds = left.as_secs().clamp(1, 30).to_string();
        endpoint = server.get(&path(&["endpoints", wire]), &[("wait", seconds)]).await?;
    }
    Ok(endpoint)
}

/// Says how the release that was asked for stands.
pub async fn tell(
    server: &Connection,
    wire: &str,
    endpoint: &Value,
    release: &Value,
    output: &Output,
) -> Done {
    let address = path(&["endpoints", wire, "releases", &release.to_string()]);
    let release: Value = server.get(&address, &[]).await?;
    let state = release["state"].as_str().unwrap_or_default();
    let answer = json!({"endpoint": wire, "release": release["release"], "state": state, "follows": endpoint["follows"]});
    let what = format!("endpoint {wire}, release {}", release["release"]);
    if matches!(state, "failed" | "aborted") {
        let why = release["outcome"].as_str().unwrap_or("no reason was given");
        let problem = Problem::conflict(format!("{what} {state}: {why}"));
        return Err(problem
            .hint(format!("`bottega endpoints show {wire}` says what answers now"))
            .into());
    }
    let follows = endpoint["follows"].as_str().unwrap_or_default();
    let sentence = match state {
        "progressing" => format!("{what} is on its way (follows {follows}); --wait waits for it"),
        _ => format!(
            "{what} answers (follows {follows}):  bottega predict {wire} --file request.json"
        ),
    };
    Ok(output.done(&answer, &sentence))
}
