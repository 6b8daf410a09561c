//! `bottega audit …`

use clap::Subcommand;
use client::Connection;

use super::Done;
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List what was done, newest first
    List {
        /// Only by this actor, like user:admin
        #[arg(long)]
        actor: Option<String>,
        /// Only to this, like model:fraud
        #[arg(long)]
        resource: Option<String>,
        /// Not before this instant, like 2026-11-17T14:00:00Z
        #[arg(long)]
        since: Option<String>,
        /// Before this instant
        #[arg(long)]
        until: Option<String>,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("at", "/at"),
    ("actor", "/actor"),
    ("change", "/change"),
    ("resource", "/resource"),
    ("permission", "/action"),
    ("request", "/request_id"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    let Verb::List { actor, resource, since, until } = verb;
    let query: Vec<_> =
        [("actor", actor), ("resource", resource), ("since", since), ("until", until)]
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .collect();
    let events = server.list("/audit/events", &query).await?;
    Ok(output.list(&events, COLUMNS, "Nothing was done yet that fits."))
}
