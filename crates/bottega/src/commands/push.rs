//! `bottega push`: sends a model and waits for its trial.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use client::{Connection, path, push};
use domain::Problem;
use serde_json::{Map, Value, json};

use super::{Done, external::ExternalOptions, pair};
use crate::output::{Failure, Output, exit, visible};

#[derive(Args)]
pub struct Options {
    /// A model file, a folder, or a .zip, .tar or .tar.gz archive
    #[arg(required_unless_present = "external")]
    path: Option<PathBuf>,
    #[command(flatten)]
    external: ExternalOptions,
    /// The model's name; a new one makes the model
    #[arg(long)]
    name: String,
    /// A V2 request body that the model must be able to answer; the trial asks it
    #[arg(long, value_name = "FILE")]
    input_example: Option<PathBuf>,
    /// A signature in place of the one in the file: {"inputs":[…],"outputs":[…]}
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Point this alias to the new version
    #[arg(long)]
    alias: Option<String>,
    /// A tag of the version
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// What is special about this version
    #[arg(long)]
    description: Option<String>,
    /// The run that trained it
    #[arg(long)]
    run_id: Option<String>,
    /// The digest of the data that it was trained on
    #[arg(long)]
    dataset_digest: Option<String>,
    /// The commit of the training code
    #[arg(long)]
    git_commit: Option<String>,
    /// Anywhere else that it comes from
    #[arg(long, value_name = "URL")]
    source_url: Option<String>,
    /// The team that is to own a new model [default: your home team]
    #[arg(long)]
    team: Option<String>,
    /// The training profile that drift is measured against (comes with monitoring)
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Where it runs, unless a release says it: in the node's process, or in one of its own, confined
    #[arg(long, value_name = "in-process|process", value_parser = ["in-process", "process"])]
    isolation: Option<String>,
    /// Make a new version even if these very files are there
    #[arg(long)]
    force: bool,
    /// Do not wait for the trial
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the trial
    #[arg(long, default_value = "120s", value_parser = domain::parse_duration)]
    timeout: Duration,
}

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    if options.baseline.is_some() {
        return Err(Failure::usage(
            "baseline",
            "--baseline: baselines are not there yet; they come with monitoring",
        ));
    }
    // What is wrong here must not cost an upload first.
    options.name.parse::<domain::ModelName>()?;
    let mut body = body(&options)?;
    let bar = output.progress();
    let files = match (&options.path, options.external.file()?) {
        (Some(path), None) => push::send(server, path, &bar).await?,
        (None, Some(folder)) => push::send(server, folder.path(), &bar).await?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::usage(
                "external",
                "give files, or the server that runs the model",
            ));
        }
    };
    body.insert("files".to_owned(), json!(files));
    let version: Value = server.post(&path(&["models", &options.name, "versions"]), &body).await?;
    drop(bar);
    if options.no_wait {
        return Ok(tell(&version, output));
    }
    tried(server, version, options.timeout, output).await
}

/// Waits until a version that is there was tried, if it is to be, and tells what came of it.
pub(super) async fn tried(
    server: &Connection,
    version: Value,
    patience: Duration,
    output: &Output,
) -> Done {
    let bar = output.progress();
    bar.waiting("trying the model");
    let version = wait(server, version, patience).await?;
    drop(bar);
    Ok(tell(&version, output))
}

fn body(options: &Options) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    if let Some(file) = &options.input_example {
        put("input_example", json_file(file, "input-example")?);
    }
    if let Some(file) = &options.signature {
        put("signature", json_file(file, "signature")?);
    }
    if let Some(team) = &options.team {
        put("team", json!(team));
    }
    if let Some(alias) = &options.alias {
        put("alias", json!(alias));
    }
    if let Some(description) = &options.description {
        put("description", json!(description));
    }
    if !options.tags.is_empty() {
        put(
            "tags",
            options
                .tags
                .iter()
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect::<Map<_, _>>()
                .into(),
        );
    }
    let lineage: Map<_, _> = [
        ("run_id", &options.run_id),
        ("dataset_digest", &options.dataset_digest),
        ("git_commit", &options.git_commit),
        ("source_url", &options.source_url),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), json!(value))))
    .collect();
    if !lineage.is_empty() {
        put("lineage", lineage.into());
    }
    if let Some(isolation) = &options.isolation {
        put("isolation", json!(isolation));
    }
    if options.force {
        put("force", json!(true));
    }
    Ok(body)
}

fn json_file(file: &PathBuf, option: &str) -> Result<Value, Failure> {
    let text = std::fs::read(file).map_err(|error| {
        Problem::invalid(option, format!("--{option} {}: {error}", file.display()))
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        Problem::invalid(option, format!("--{option} {} is not JSON: {error}", file.display()))
            .into()
    })
}

/// Waits until the trial is over.
async fn wait(server: &Connection, version: Value, patience: Duration) -> Result<Value, Failure> {
    let number = version["version"].to_string();
    let address =
        path(&["models", version["model"].as_str().unwrap_or_default(), "versions", &number]);
    let created = version["created"].clone();
    let until = Instant::now() + patience;
    let mut version = version;
    while version["status"] == "pending" {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message =
                format!("the trial of version {number} is not over after {} s", patience.as_secs());
            return Err(client::Error::Timeout(message).into());
        }
        let seconds = left.as_secs().clamp(1, 30).to_string();
        version = server.get(&address, &[("wait", seconds)]).await?;
    }
    version["created"] = created;
    Ok(version)
}

fn tell(version: &Value, output: &Output) -> ExitCode {
    let text = |key: &str| version[key].as_str().unwrap_or_default().to_owned();
    let brief = json!({
        "name": version["model"], "version": version["version"], "digest": version["digest"],
        "status": version["status"], "servable": version["servable"], "reason": version["reason"],
        "created": version["created"], "notes": version["notes"],
    });
    let name = format!("{}/{}", text("model"), version["version"]);
    if version["status"] == "rejected" {
        output.done(&brief, "");
        let problem = Problem::conflict(format!("{name} is rejected: {}", text("reason")));
        return output.failure(&Failure::from(problem).exiting(exit::FAILED));
    }
    let known =
        if version["created"] == false { ", these very files were there already" } else { "" };
    let servable = match text("servable").as_str() {
        "yes" => "servable".to_owned(),
        "checking" => "its trial is not over".to_owned(),
        _ => format!("not servable: {}", text("reason")),
    };
    let notes = version["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let notes: String = notes.map(|note| format!("\n  note: {}", visible(note))).collect();
    output.done(&brief, &format!("{name} is {}, {servable}{known}{notes}", text("status")))
}
