//! `bottega teams …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, users::delete};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a team; its members are data scientists on what it will own
    #[command(
        after_help = "Example:  bottega teams create risk\n          bottega teams add risk ana"
    )]
    Create {
        /// What to call it; it is for good
        name: String,
        /// The name to show
        #[arg(long, value_name = "TEXT", default_value = "")]
        display_name: String,
    },
    /// List teams
    List,
    /// Show a team and its members
    Show {
        /// Its name
        name: String,
    },
    /// Set where a team's versions run, unless they or their releases say it
    #[command(after_help = "Example:  bottega teams set risk --isolation process")]
    Set {
        /// Its name
        name: String,
        /// In the node's process, in one of their own, confined, or as the node says
        #[arg(long, value_name = "in-process|process|default", value_parser = ["in-process", "process", "default"])]
        isolation: String,
    },
    /// Delete a team that owns nothing; its members stay
    #[command(after_help = "Example:  bottega teams delete risk")]
    Delete {
        /// Its name
        name: String,
    },
    /// Make somebody a member of a team
    Add {
        /// The team
        team: String,
        /// A user, or service:NAME
        member: String,
    },
    /// Take somebody out of a team
    Remove {
        /// The team
        team: String,
        /// A user, or service:NAME
        member: String,
    },
}

const COLUMNS: &[Column<'_>] = &[
    ("team", "/name"),
    ("display name", "/display_name"),
    ("members", "/members"),
    ("isolation", "/isolation"),
    ("by", "/created_by"),
    ("created", "/created_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Create { name, display_name } => {
            let new = json!({"name": name, "display_name": display_name});
            let team: Value = server.post("/teams", &new).await?;
            Ok(output.object(&team, COLUMNS))
        }
        Verb::List => {
            let teams = server.list("/teams", &[]).await?;
            Ok(output.list(&teams, COLUMNS, "No teams yet. Make one:  bottega teams create risk"))
        }
        Verb::Show { name } => {
            let mut team: Value = server.get(&path(&["teams", &name]), &[]).await?;
            let members = server.list(&path(&["teams", &name, "members"]), &[]).await?;
            let names = members.into_iter().map(|mut member| member["member"].take());
            team["members"] = names.collect();
            Ok(output.object(&team, COLUMNS))
        }
        Verb::Set { name, isolation } => {
            let edit = json!({"isolation": (isolation != "default").then_some(isolation)});
            let team: Value = server.patch(&path(&["teams", &name]), &edit).await?;
            Ok(output.object(&team, COLUMNS))
        }
        Verb::Delete { name } => delete(server, "teams", &name, output).await,
        Verb::Add { team, member } => {
            let member = subject(member);
            let path = path(&["teams", &team, "members", &member]);
            let done: Value = server.put(&path, &json!({})).await?;
            let sentence = match done["changed"] == true {
                true => format!("{member} is in {team}"),
                false => format!("{member} was in {team} before"),
            };
            Ok(output.done(&done, &sentence))
        }
        Verb::Remove { team, member } => {
            let member = subject(member);
            server.delete(&path(&["teams", &team, "members", &member])).await?;
            let done = json!({"team": team, "member": member, "removed": true});
            Ok(output.done(&done, &format!("{member} is not in {team}")))
        }
    }
}

/// Whoever is named without a kind is a user.
fn subject(member: String) -> String {
    if member.contains(':') { member } else { format!("user:{member}") }
}
