//! `bottega deploy`: makes an endpoint serve a version, or follow an alias.

use std::time::{Duration, Instant};

use clap::Args;
use client::{Connection, path};
use domain::{ModelRef, Problem};
use serde_json::{Value, json};

use super::{Done, serving::ServingOptions, wire_name};
use crate::output::{Failure, Output};

#[derive(Args)]
pub struct Options {
    /// The endpoint; a new name makes it
    endpoint: String,
    /// What it serves: whatever an alias points to, the newest version in a stage, or one version; what
    /// it serves already, where only settings change
    #[arg(long, value_name = "NAME@ALIAS|NAME/STAGE|NAME/VERSION")]
    model: Option<String>,
    #[command(flatten)]
    serving: ServingOptions,
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
    let later = [("steps", &options.steps), ("step-duration", &options.step_duration)];
    if let Some((option, _)) = later.iter().find(|(_, value)| value.is_some()) {
        let message = format!("--{option} is not there yet: today all traffic moves at once");
        return Err(Failure::usage(option, message));
    }
    let wire = wire_name(&options.endpoint, options.env.as_deref())?;
    let mut body = ordered(server, &wire, options.model, &options.serving).await?;
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

/// What is to be served, and how.
async fn ordered(
    server: &Connection,
    wire: &str,
    model: Option<String>,
    serving: &ServingOptions,
) -> Result<Value, Failure> {
    let asked = serving.asked()?;
    let served = match (&model, &asked.split, &asked.model) {
        (Some(model), ..) => Some(model.clone()),
        (None, Some((_, main)), Some((_, name))) => Some(format!("{name}/{main}")),
        (None, ..) => None,
    };
    if let Some((option, name)) = &asked.model {
        // Settings name versions by their numbers: those of what the endpoint serves.
        let served = match &served {
            Some(served) => served.clone(),
            None => {
                let endpoint: Value = server.get(&path(&["endpoints", wire]), &[]).await?;
                endpoint["follows"].as_str().unwrap_or_default().to_owned()
            }
        };
        let served: ModelRef = served.parse()?;
        if served.model.as_str() != name {
            let message = format!(
                "`{name}` is not the model that `{wire}` serves: that is `{}`",
                served.model
            );
            return Err(Failure::usage(option, message));
        }
    }
    let mut body = json!({});
    if let Some(model) = served {
        body["model"] = json!(model);
    }
    if let Some((split, _)) = asked.split {
        body["split"] = split;
    }
    if !asked.serving.is_empty() {
        body["serving"] = Value::Object(asked.serving);
    }
    Ok(body)
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
