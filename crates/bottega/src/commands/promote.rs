//! `bottega promote`: moves an alias, or a version to a stage; and back.

use clap::{ArgGroup, Args};
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, version_reference};
use crate::output::{Failure, Output};

#[derive(Args)]
#[command(group(ArgGroup::new("pointer").required(true).args(["to", "stage"])))]
pub struct Options {
    /// The version; with --back the model alone
    #[arg(value_name = "NAME/VERSION|NAME")]
    version: String,
    /// The alias that shall point to it
    #[arg(long, value_name = "ALIAS")]
    to: Option<String>,
    /// The stage that it shall go to
    #[arg(long)]
    stage: Option<String>,
    /// Archive all others that are in the stage
    #[arg(long, conflicts_with_all = ["to", "back"])]
    archive: bool,
    /// Undo the last move of the alias, or to or from the stage
    #[arg(long)]
    back: bool,
    /// Undo it only if the alias is at this revision
    #[arg(long, value_name = "REVISION", requires = "back", conflicts_with = "stage")]
    if_revision: Option<i32>,
    /// Why; kept in the history
    #[arg(long)]
    reason: Option<String>,
    /// Move it although promotion rules stand against it
    #[arg(long, requires = "reason")]
    r#override: bool,
}

impl Options {
    fn body(&self, mut body: Value) -> Value {
        if let Some(reason) = &self.reason {
            body["reason"] = json!(reason);
        }
        body
    }

    fn url(&self, segments: &[&str]) -> String {
        let override_rules = if self.r#override { "?override=true" } else { "" };
        format!("{}{override_rules}", path(segments))
    }
}

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    match (&options.to, &options.stage) {
        (Some(alias), _) => move_alias(server, &options, alias, output).await,
        (None, Some(stage)) if options.back => revert_stage(server, &options, stage, output).await,
        (None, Some(stage)) => move_to_stage(server, &options, stage, output).await,
        (None, None) => Err(Failure::usage("to", "say where: --to ALIAS or --stage STAGE")),
    }
}

async fn move_alias(server: &Connection, options: &Options, alias: &str, output: &Output) -> Done {
    let (model, moved): (_, Value) = if options.back {
        let model = model_alone(&options.version)?;
        let mut body = options.body(json!({}));
        if let Some(revision) = options.if_revision {
            body["if_revision"] = json!(revision);
        }
        let url = options.url(&["models", &model, "aliases", alias, "revert"]);
        (model, server.post(&url, &body).await?)
    } else {
        let (model, number) = version_reference(&options.version)?;
        let url = options.url(&["models", &model, "aliases", alias]);
        let body = options.body(json!({"version": number}));
        (model, server.put(&url, &body).await?)
    };
    let (version, revision) = (&moved["version"], &moved["revision"]);
    let answer = json!({
        "name": model, "version": version, "alias": alias, "revision": revision,
        "followers": moved["followers"],
    });
    let sentence = format!("{model}@{alias} is {model}/{version} (revision {revision})");
    Ok(output.done(&answer, &with_followers(sentence, &moved)))
}

async fn move_to_stage(
    server: &Connection,
    options: &Options,
    stage: &str,
    output: &Output,
) -> Done {
    let (model, number) = version_reference(&options.version)?;
    let url = options.url(&["models", &model, "versions", &number.to_string(), "stage"]);
    let body = json!({"stage": stage, "archive_existing_versions": options.archive});
    let moved: Value = server.put(&url, &options.body(body)).await?;
    let answer = json!({
        "name": model, "version": moved["version"], "stage": moved["stage"],
        "archived": moved["archived"], "followers": moved["followers"],
    });
    let mut sentence = format!("{model}/{number} is in {}", text(&moved["stage"]));
    for archived in moved["archived"].as_array().into_iter().flatten() {
        sentence.push_str(&format!("\n  {model}/{archived} is archived"));
    }
    Ok(output.done(&answer, &with_followers(sentence, &moved)))
}

async fn revert_stage(
    server: &Connection,
    options: &Options,
    stage: &str,
    output: &Output,
) -> Done {
    let model = model_alone(&options.version)?;
    let url = options.url(&["models", &model, "stages", stage, "revert"]);
    let reverted: Value = server.post(&url, &options.body(json!({}))).await?;
    let answer = json!({
        "name": model, "stage": reverted["stage"], "moved": reverted["moved"],
        "followers": reverted["followers"],
    });
    let mut sentence = format!("the last move of {model}/{} is undone", text(&reverted["stage"]));
    for moved in reverted["moved"].as_array().into_iter().flatten() {
        let (from, to) = (text(&moved["from"]), text(&moved["to"]));
        sentence.push_str(&format!("\n  {model}/{} went from {from} to {to}", moved["version"]));
    }
    Ok(output.done(&answer, &with_followers(sentence, &reverted)))
}

/// The model that is gone back in, named without a version.
fn model_alone(text: &str) -> Result<String, Failure> {
    let name: domain::ModelName = text.parse().map_err(|_| {
        let message = format!("`{text}`: with --back name the model alone, like fraud");
        Failure::usage("version", message)
    })?;
    Ok(name.to_string())
}

/// And what became of the endpoints that follow.
fn with_followers(mut sentence: String, moved: &Value) -> String {
    for follower in moved["followers"].as_array().into_iter().flatten() {
        let endpoint = text(&follower["endpoint"]);
        let line = match follower["blocked"].as_str() {
            Some(why) => format!("\n  endpoint {endpoint} stays where it is: {why}"),
            None => format!("\n  endpoint {endpoint} follows: release {}", follower["release"]),
        };
        sentence.push_str(&line);
    }
    sentence
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
