//! `bottega models …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
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
    },
    /// List, add and remove promotion rules of a model
    Rules {
        /// The model
        name: String,
        #[command(subcommand)]
        verb: super::rules::Verb,
    },
    /// Delete a model with all its versions
    Delete {
        /// The model
        name: String,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("name", "/name"),
    ("description", "/description"),
    ("owner", "/owner"),
    ("latest version", "/latest_version"),
    ("aliases", "/aliases"),
    ("tags", "/tags"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
];

const COLUMNS: &[Column<'_>] = &[
    ("name", "/name"),
    ("latest", "/latest_version"),
    ("aliases", "/aliases"),
    ("owner", "/owner"),
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
        Verb::Show { name } => {
            let model: Value = server.get(&path(&["models", &name]), &[]).await?;
            Ok(output.object(&model, FIELDS))
        }
        Verb::Rules { name, verb } => super::rules::run(server, &name, verb, output).await,
        Verb::Delete { name } => {
            server.delete(&path(&["models", &name])).await?;
            Ok(output
                .done(&json!({"name": name, "deleted": true}), &format!("model {name} is deleted")))
        }
    }
}
