//! `bottega settings …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List the platform's settings
    List,
    /// Change a setting
    Set {
        /// Its name
        setting: String,
        /// Its new value
        value: String,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("setting", "/setting"),
    ("value", "/value"),
    ("by", "/updated_by"),
    ("changed", "/updated_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let all: Value = server.get("/settings", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            Ok(output.list(&items, COLUMNS, "No settings."))
        }
        Verb::Set { setting, value } => {
            let changed: Value =
                server.put(&path(&["settings", &setting]), &json!({"value": value})).await?;
            Ok(output.done(&changed, &format!("{setting} is {value}")))
        }
    }
}
