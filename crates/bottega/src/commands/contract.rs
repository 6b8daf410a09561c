//! `bottega endpoints contract …`: what an endpoint's callers rely on.

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, wire_name};
use crate::output::{Column, Failure, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Show what each release of an endpoint must keep
    Show {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
    },
    /// Change it; what answers now goes on answering
    #[command(
        after_help = "Example:\n  bottega endpoints contract set mood --from sentiment/4 --allow-model sentiment"
    )]
    Set {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
        /// The version whose signature it takes
        #[arg(long, value_name = "NAME/VERSION|NAME@ALIAS")]
        from: Option<String>,
        /// A model whose versions may be served, and no others; may stand several times
        #[arg(long = "allow-model", value_name = "NAME")]
        models: Vec<String>,
        /// Versions of any model may be served
        #[arg(long, conflicts_with = "models")]
        any_model: bool,
        /// Why; kept in the audit trail
        #[arg(long)]
        reason: Option<String>,
        /// Refuse where it has another revision than this
        #[arg(long, value_name = "N")]
        if_revision: Option<i32>,
    },
    /// Take it away: the next release gives the next one
    Clear {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
        /// Refuse where it has another revision than this
        #[arg(long, value_name = "N")]
        if_revision: Option<i32>,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("endpoint", "/endpoint"),
    ("revision", "/revision"),
    ("models", "/models"),
    ("inputs", "/signature/inputs"),
    ("outputs", "/signature/outputs"),
    ("by", "/set_by"),
    ("changed", "/set_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    let address = |wire: &str| path(&["endpoints", wire, "contract"]);
    match verb {
        Verb::Show { endpoint, env } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let contract: Value = server.get(&address(&wire), &[]).await?;
            if contract["signature"].is_null() && !output.is_json() {
                let sentence = format!("{wire} has no contract: its next release gives it one");
                return Ok(output.done(&contract, &sentence));
            }
            Ok(output.object(&contract, FIELDS))
        }
        Verb::Set { endpoint, env, from, models, any_model, reason, if_revision } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            if from.is_none() && models.is_empty() && !any_model {
                let message = "nothing to change: give --from, --allow-model or --any-model";
                return Err(Failure::usage("from", message));
            }
            let named = any_model || !models.is_empty();
            let body = json!({
                "from": from, "models": named.then_some(models), "reason": reason, "if_revision": if_revision,
            });
            let contract: Value = server.put(&address(&wire), &body).await?;
            let sentence = format!("the contract of {wire} has revision {}", contract["revision"]);
            Ok(output.done(&contract, &sentence))
        }
        Verb::Clear { endpoint, env, if_revision } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let query = if_revision.map(|revision| format!("?if_revision={revision}"));
            let query = query.unwrap_or_default();
            server.delete(&format!("{}{query}", address(&wire))).await?;
            let sentence = format!("{wire} has no contract: its next release gives it one");
            Ok(output.done(&json!({"endpoint": wire, "cleared": true}), &sentence))
        }
    }
}
