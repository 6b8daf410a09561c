//! `bottega models history`: what moved when, and how it stood.

use clap::Args;
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
use crate::output::{Column, Output};

#[derive(Args)]
pub struct Options {
    /// The model
    name: String,
    /// Only moves of this alias; with --stage those of either
    #[arg(long)]
    alias: Option<String>,
    /// Only moves to or from this stage
    #[arg(long)]
    stage: Option<String>,
    /// Not before this instant
    #[arg(long, value_name = "2026-11-17T14:00:00Z")]
    since: Option<String>,
    /// Before this instant
    #[arg(long, value_name = "2026-11-17T14:00:00Z")]
    until: Option<String>,
    /// Who was each alias, and which versions were in each stage, at this instant
    #[arg(long, value_name = "2026-11-17T14:00:00Z", conflicts_with_all = ["since", "until", "alias", "stage"])]
    as_of: Option<String>,
}

const MOVES: &[Column<'_>] = &[
    ("at", "/at"),
    ("what", "/what"),
    ("from", "/from"),
    ("to", "/to"),
    ("revision", "/revision"),
    ("by", "/actor"),
    ("reason", "/reason"),
];

const STANDING: &[Column<'_>] = &[
    ("what", "/what"),
    ("version", "/version"),
    ("since", "/since"),
    ("by", "/actor"),
    ("reason", "/reason"),
];

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let Options { name, alias, stage, since, until, as_of } = options;
    let history = path(&["models", &name, "history"]);
    if let Some(at) = as_of {
        let query = [("as_of", at), ("limit", "1".to_owned())];
        let found: Value = server.get(&history, &query).await?;
        return Ok(stood(&name, &found["standing"], output));
    }
    let filters = [("alias", alias), ("stage", stage), ("since", since), ("until", until)];
    let query: Vec<_> =
        filters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let moves = server.list(&history, &query).await?;
    if output.is_json() {
        return Ok(output.list(&moves, MOVES, ""));
    }
    let rows: Vec<_> = moves.iter().map(|one| row(&name, one)).collect();
    Ok(output.list(
        &rows,
        MOVES,
        &format!("Nothing moved. Promote a version:  bottega promote {name}/1 --to champion"),
    ))
}

fn stood(name: &str, standing: &Value, output: &Output) -> std::process::ExitCode {
    if output.is_json() {
        return output.object(standing, &[]);
    }
    let each = |list: &str, pointer: &dyn Fn(&Value) -> String| -> Vec<Value> {
        let items = standing[list].as_array().into_iter().flatten();
        let rows = items.map(|item| {
            let mut row = item.clone();
            row["what"] = json!(pointer(item));
            row
        });
        rows.collect()
    };
    let mut rows =
        each("aliases", &|item| format!("{name}@{}", item["alias"].as_str().unwrap_or_default()));
    rows.extend(each("stages", &|item| {
        format!("{name}/{}", item["stage"].as_str().unwrap_or_default())
    }));
    output.list(&rows, STANDING, "No alias was set then, and every version was in None.")
}

/// A move as a line of the table, whatever moved.
fn row(name: &str, one: &Value) -> Value {
    let (what, from, to, nothing) = match one["kind"].as_str() {
        Some("alias") => {
            let alias = one["alias"].as_str().unwrap_or_default();
            (format!("{name}@{alias}"), "from_version", "to_version", "nowhere")
        }
        _ => (format!("{name}/{}", one["version"]), "from_stage", "to_stage", "deleted"),
    };
    let place = |field: &str| match one[field].is_null() {
        true => json!(nothing),
        false => one[field].clone(),
    };
    let mut row = one.clone();
    (row["from"], row["to"]) = (place(from), place(to));
    row["what"] = json!(what);
    row
}
