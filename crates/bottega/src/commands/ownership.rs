//! `bottega models move`, `bottega endpoints move`, `bottega experiments move`

use clap::{Args, Subcommand};
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
use crate::output::Output;

/// Which team shall own it.
#[derive(Args)]
pub struct To {
    /// The team that is to own it
    #[arg(long, value_name = "TEAM", required_unless_present = "no_team")]
    team: Option<String>,
    /// No team is to own it
    #[arg(long, conflicts_with = "team")]
    no_team: bool,
    /// Only if this team owns it until then
    #[arg(long, value_name = "TEAM")]
    if_team: Option<String>,
    /// Why; kept in the audit trail
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Give an experiment with its runs and files to another team
    Move {
        /// Its id
        experiment: String,
        #[command(flatten)]
        to: To,
    },
}

/// `bottega experiments …`
pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    let Verb::Move { experiment, to } = verb;
    give(server, ("experiments", &experiment), &to, output).await
}

/// Gives a thing of the collection to another team.
pub async fn give(
    server: &Connection,
    (collection, name): (&str, &str),
    to: &To,
    output: &Output,
) -> Done {
    let wanted = json!({"team": to.team, "if_team": to.if_team, "reason": to.reason});
    let given: Value = server.put(&path(&[collection, name, "team"]), &wanted).await?;
    let owner = to.team.as_ref().map_or("no team".to_owned(), |team| format!("the team {team}"));
    Ok(output.done(&given, &format!("{name} belongs to {owner}")))
}
