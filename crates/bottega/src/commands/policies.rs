//! `bottega policies …`

use std::path::PathBuf;

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, dry_run};
use crate::output::{Column, Failure, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List the policies that administrators wrote
    List,
    /// List the roles, with what each allows
    Roles,
    /// Write a policy from a file in Cedar, in place of the one of that name
    Set {
        /// What to call it: a-z, 0-9 and -
        name: String,
        /// Where its text is
        file: PathBuf,
        /// The revision that it takes the place of; 0 for a new one
        #[arg(long)]
        if_revision: Option<i32>,
        /// Change nothing; show who would lose and gain what
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a policy
    Delete {
        /// Which
        name: String,
        /// Change nothing; show who would lose and gain what
        #[arg(long)]
        dry_run: bool,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("name", "/name"),
    ("revision", "/revision"),
    ("by", "/updated_by"),
    ("updated", "/updated_at"),
    ("text", "/text"),
];

const ROLES: &[Column<'_>] = &[("role", "/role"), ("allows", "/actions")];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let all: Value = server.get("/policies", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            let empty =
                "No policies: roles and grants decide. Write one:  bottega policies set NAME FILE";
            Ok(output.list(&items, COLUMNS, empty))
        }
        Verb::Roles => {
            let all: Value = server.get("/roles", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            Ok(output.list(&items, ROLES, ""))
        }
        Verb::Set { name, file, if_revision, dry_run: dry } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Failure::usage("file", format!("{}: {error}", file.display())))?;
            let path = dry_run::asking(&path(&["policies", &name]), dry);
            let body = json!({"text": text, "if_revision": if_revision});
            let written: Value = server.put(&path, &body).await?;
            if dry {
                return Ok(dry_run::tell(&written, output));
            }
            let sentence = format!("policy {name} decides, revision {}", written["revision"]);
            Ok(output.done(&written, &sentence))
        }
        Verb::Delete { name, dry_run: dry } => {
            let path = path(&["policies", &name]);
            if dry {
                let told: Value = server.delete_asking(&dry_run::asking(&path, true)).await?;
                return Ok(dry_run::tell(&told, output));
            }
            server.delete(&path).await?;
            let gone = json!({"name": name, "deleted": true});
            Ok(output.done(&gone, &format!("policy {name} is removed")))
        }
    }
}
