//! `bottega webhooks …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, secret};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List webhooks
    List,
    /// Make a webhook
    Create {
        /// What to call it
        name: String,
        /// Where deliveries go
        #[arg(long, value_name = "URL")]
        to: String,
        /// What it hears of, like `model_version.created`; may be given several times
        #[arg(long = "event", value_name = "EVENT", required = true)]
        events: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Read from stdin the secret that deliveries are signed with
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Show one webhook
    Show {
        /// Its id
        webhook: String,
    },
    /// Delete a webhook with its deliveries
    Delete {
        /// Its id
        webhook: String,
    },
    /// Send a webhook an example, and show what it answers
    Test {
        /// Its id
        webhook: String,
        /// An example of which event [default: its first]
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
    },
    /// List what a webhook was told, and what came of it
    Deliveries {
        /// Its id
        webhook: String,
        /// Only those that are pending, delivered or dead
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Try deliveries again that were given up: all of a webhook, or one
    Replay {
        /// Its id
        webhook: String,
        /// Only this delivery
        #[arg(long, value_name = "ID")]
        delivery: Option<String>,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("description", "/description"),
    ("url", "/url"),
    ("status", "/status"),
    ("signed", "/signed"),
    ("events", "/events"),
    ("owner", "/owner"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
];

const COLUMNS: &[Column<'_>] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("status", "/status"),
    ("events", "/events"),
    ("url", "/url"),
];

const DELIVERIES: &[Column<'_>] = &[
    ("id", "/id"),
    ("event", "/event"),
    ("resource", "/resource"),
    ("state", "/state"),
    ("tries", "/attempts"),
    ("status", "/last_status"),
    ("error", "/last_error"),
    ("next try", "/next_try_at"),
    ("created", "/created_at"),
];

const TESTED: &[Column<'_>] =
    &[("success", "/success"), ("status", "/status"), ("answer", "/body"), ("error", "/error")];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let webhooks = server.list("/webhooks", &[]).await?;
            let empty = "No webhooks yet. Make one:  bottega webhooks create ci --to https://… --event model_version.created";
            Ok(output.list(&webhooks, COLUMNS, empty))
        }
        Verb::Create { name, to, events, description, secret_stdin } => {
            let secret = if secret_stdin { Some(secret::read()?) } else { None };
            let new = json!({
                "name": name, "url": to, "events": events, "description": description,
                "secret": secret,
            });
            let webhook: Value = server.post("/webhooks", &new).await?;
            Ok(output.object(&webhook, FIELDS))
        }
        Verb::Show { webhook } => {
            let webhook: Value = server.get(&path(&["webhooks", &webhook]), &[]).await?;
            Ok(output.object(&webhook, FIELDS))
        }
        Verb::Delete { webhook } => {
            server.delete(&path(&["webhooks", &webhook])).await?;
            let answer = json!({"webhook": webhook, "deleted": true});
            Ok(output.done(&answer, &format!("webhook {webhook} is deleted")))
        }
        Verb::Test { webhook, event } => {
            let path = path(&["webhooks", &webhook, "test"]);
            let tested: Value = server.post(&path, &json!({"event": event})).await?;
            Ok(output.object(&tested, TESTED))
        }
        Verb::Deliveries { webhook, state } => {
            let query: Vec<_> = state.map(|state| ("state", state)).into_iter().collect();
            let deliveries =
                server.list(&path(&["webhooks", &webhook, "deliveries"]), &query).await?;
            Ok(output.list(&deliveries, DELIVERIES, "No deliveries."))
        }
        Verb::Replay { webhook, delivery } => {
            let path = match &delivery {
                Some(delivery) => path(&["webhooks", &webhook, "deliveries", delivery, "replay"]),
                None => path(&["webhooks", &webhook, "replay"]),
            };
            let replayed: Value = server.post(&path, &json!({})).await?;
            let sentence = format!("{} deliveries are tried again", replayed["replayed"]);
            Ok(output.done(&replayed, &sentence))
        }
    }
}
