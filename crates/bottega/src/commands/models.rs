//! `bottega models …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, graph::Dependents, ownership};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List models
    List {
        /// Only those whose name holds this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Show one model
    Show {
        /// The model
        name: String,
        /// With the aliases and the newest version that it had at this instant
        #[arg(long, value_name = "2026-11-17T14:00:00Z")]
        as_of: Option<String>,
    },
    /// Show what moved when, and how the model stood at a moment
    History(super::history::Options),
    /// List, add and remove promotion rules of a model
    Rules {
        /// The model
        name: String,
        #[command(subcommand)]
        verb: super::rules::Verb,
    },
    /// List what would break, or lose its origin, if a model were deleted
    Dependents {
        /// The model
        name: String,
    },
    /// Delete a model with all its versions, until it is restored or its retention time is over
    Delete {
        /// The model
        name: String,
        /// Do not ask, whatever loses its origin
        #[arg(long)]
        yes: bool,
    },
    /// Give a model with its versions to another team; endpoints that follow it go on
    Move {
        /// The model
        name: String,
        #[command(flatten)]
        to: ownership::To,
    },
    /// List the models that are deleted and can be restored
    Deleted,
    /// Restore the model of this name that was deleted last
    Restore {
        /// The model
        name: String,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("name", "/name"),
    ("description", "/description"),
    ("owner", "/owner"),
    ("team", "/team"),
    ("latest version", "/latest_version"),
    ("aliases", "/aliases"),
    ("stages", "/stages"),
    ("tags", "/tags"),
    ("as of", "/as_of"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
];

const COLUMNS: &[Column<'_>] = &[
    ("name", "/name"),
    ("latest", "/latest_version"),
    ("aliases", "/aliases"),
    ("owner", "/owner"),
    ("team", "/team"),
    ("updated", "/updated_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List { search } => {
            let query: Vec<_> = search.map(|text| ("search", text)).into_iter().collect();
            let models = server.list("/models", &query).await?;
            Ok(output.list(
                &models,
                COLUMNS,
                "No models yet. Push one:  bottega push model.onnx --name fraud",
            ))
        }
        Verb::Show { name, as_of } => {
            let model: Value = server.get(&path(&["models", &name]), &super::moment(as_of)).await?;
            Ok(output.object(&model, FIELDS))
        }
        Verb::Rules { name, verb } => super::rules::run(server, &name, verb, output).await,
        Verb::History(options) => super::history::run(server, options, output).await,
        Verb::Dependents { name } => {
            Ok(Dependents::get(server, &path(&["models", &name])).await?.show(output))
        }
        Verb::Delete { name, yes } => {
            let path = path(&["models", &name]);
            let dependents = Dependents::get(server, &path).await?;
            if !yes {
                dependents.confirm(&format!("model {name}"), output)?;
            }
            server.delete(&path).await?;
            let gone = json!({"name": name, "deleted": true, "dependents": dependents.items()});
            Ok(output.done(&gone, &format!("model {name} is deleted")))
        }
        Verb::Move { name, to } => ownership::give(server, ("models", &name), &to, output).await,
        Verb::Deleted => {
            let deleted = server.list("/deleted-models", &[]).await?;
            let columns = [("name", "/name"), ("deleted", "/deleted_at")];
            Ok(output.list(&deleted, &columns, "No model can be restored."))
        }
        Verb::Restore { name } => {
            let path = path(&["models", &name, "restore"]);
            let restored: Value = server.post(&path, &json!({})).await?;
            Ok(output.done(&restored, &format!("model {name} is restored")))
        }
    }
}
