//! `bottega credentials …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, secret};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List credentials: names and servers, never secrets
    List,
    /// Make a credential, or put another in its place; its secret is read from stdin
    Set {
        /// Its name, by which hooks and external models refer to it
        name: String,
        /// The only server that it is sent to, like https://features.example
        #[arg(long = "for", value_name = "ORIGIN")]
        origin: String,
    },
    /// Delete a credential: what names it fails from then on
    Delete {
        /// Its name
        name: String,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("name", "/credential"),
    ("for", "/origin"),
    ("updated by", "/updated_by"),
    ("updated", "/updated_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let all: Value = server.get("/credentials", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            let empty = "No credentials yet. Make one:  bottega credentials set NAME --for https://… < FILE";
            Ok(output.list(&items, COLUMNS, empty))
        }
        Verb::Set { name, origin } => {
            let body = json!({"origin": origin, "secret": secret::read()?});
            let set: Value = server.put(&path(&["credentials", &name]), &body).await?;
            Ok(output.object(&set, COLUMNS))
        }
        Verb::Delete { name } => {
            server.delete(&path(&["credentials", &name])).await?;
            let answer = json!({"credential": name, "deleted": true});
            Ok(output.done(&answer, &format!("credential {name} is deleted")))
        }
    }
}
