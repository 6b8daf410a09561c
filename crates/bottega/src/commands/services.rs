//! `bottega services …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{
    Done,
    users::{delete, set_disabled},
};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a service account: a program with tokens of its own
    #[command(
        after_help = "Example:  bottega services create ci\n          bottega tokens create --service ci --name deploys --expires-in 90d"
    )]
    Create {
        /// What to call it; it is for good
        name: String,
        /// The name to show
        #[arg(long, value_name = "TEXT", default_value = "")]
        display_name: String,
    },
    /// List service accounts
    List,
    /// Show a service account
    Show {
        /// Its name
        name: String,
    },
    /// Keep a service account out: its tokens are worth nothing
    Disable {
        /// Its name
        name: String,
    },
    /// Let a service account in again
    Enable {
        /// Its name
        name: String,
    },
    /// Delete a service account for good; what it made stays
    Delete {
        /// Its name
        name: String,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("service", "/name"),
    ("display name", "/display_name"),
    ("teams", "/teams"),
    ("home team", "/home_team"),
    ("disabled", "/disabled"),
    ("by", "/created_by"),
    ("created", "/created_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Create { name, display_name } => {
            let new = json!({"name": name, "display_name": display_name});
            let service: Value = server.post("/services", &new).await?;
            Ok(output.object(&service, FIELDS))
        }
        Verb::List => {
            let services = server.list("/services", &[]).await?;
            let empty = "No service accounts yet. Make one:  bottega services create ci";
            Ok(output.list(&services, FIELDS, empty))
        }
        Verb::Show { name } => {
            let service: Value = server.get(&path(&["services", &name]), &[]).await?;
            Ok(output.object(&service, FIELDS))
        }
        Verb::Disable { name } => set_disabled(server, "services", &name, true, output).await,
        Verb::Enable { name } => set_disabled(server, "services", &name, false, output).await,
        Verb::Delete { name } => delete(server, "services", &name, output).await,
    }
}
