//! `bottega models rules NAME …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List the rules
    List,
    /// Add a rule: `accuracy >= 0.9`, `accuracy >= champion + 0.005 on dataset june`, `has signature`
    Add {
        /// What a version must show
        rule: String,
        /// The alias or stage that it guards [default: all of them]
        #[arg(long = "for", value_name = "TARGET")]
        target: Option<String>,
    },
    /// Remove a rule
    Remove {
        /// Its id
        id: String,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("id", "/id"),
    ("rule", "/rule"),
    ("for", "/target"),
    ("by", "/created_by"),
    ("created", "/created_at"),
];

pub async fn run(server: &Connection, model: &str, verb: Verb, output: &Output) -> Done {
    let rules = path(&["models", model, "rules"]);
    match verb {
        Verb::List => {
            let all: Value = server.get(&rules, &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            Ok(output.list(&items, COLUMNS, "No rules: every version may be promoted."))
        }
        Verb::Add { rule, target } => {
            let body = json!({"rule": rule, "target": target});
            let made: Value = server.post(&rules, &body).await?;
            let sentence = format!("{model} has the rule {}", made["rule"]);
            Ok(output.done(&made, &sentence))
        }
        Verb::Remove { id } => {
            server.delete(&path(&["models", model, "rules", &id])).await?;
            let gone = json!({"name": model, "rule": id, "deleted": true});
            Ok(output.done(&gone, &format!("the rule {id} is removed")))
        }
    }
}
