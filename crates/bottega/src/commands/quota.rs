//! `bottega quota …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Map, Value, json};

use super::{Done, pair};
use crate::output::{Column, Failure, Output};

/// SUBJECT is user:NAME, team:NAME or service:NAME; default:user, default:team or default:service
/// stands for all of that kind that have no limit of their own.
#[derive(Subcommand)]
pub enum Verb {
    /// Set limits of a subject; nothing that is there is deleted
    #[command(
        after_help = "Example:  bottega quota set team:fraud models=50 artifact_bytes=10GiB requests_per_second=200 burst=unlimited"
    )]
    Set {
        /// Whose
        subject: String,
        /// KEY=VALUE: a whole number (50, 10k, 2M), bytes with their unit (10GiB), unlimited, or default for what holds for all of the kind; weight=3 is three times the share of who has 1 where a gateway has too much to do
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
        limits: Vec<(String, String)>,
    },
    /// Show limits, and what is used of them
    #[command(after_help = "Example:  bottega quota show team:fraud")]
    Show {
        /// Whose [default: your own]
        subject: Option<String>,
    },
    /// List all limits that were set
    List,
    /// Ask for more
    #[command(after_help = "Example:  bottega quota request models=50 --reason \"the new market\"")]
    Request {
        /// KEY=VALUE: how much it shall allow
        #[arg(value_name = "KEY=VALUE", value_parser = pair)]
        limit: (String, String),
        /// Why, for whoever decides
        #[arg(long)]
        reason: String,
        /// For whom [default: yourself]
        #[arg(long = "for", value_name = "SUBJECT")]
        subject: Option<String>,
    },
    /// List requests for more: your own, or those of --for
    #[command(after_help = "Example:  bottega quota requests --all --state open")]
    Requests {
        /// For whom [default: yourself]
        #[arg(long = "for", value_name = "SUBJECT", conflicts_with = "all")]
        subject: Option<String>,
        /// Those of everybody, for administrators
        #[arg(long)]
        all: bool,
        /// Only those that are open, granted or refused
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Grant a request: the limit holds at once
    Grant {
        /// Its id
        request: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Another limit than the one that was asked for
        #[arg(long)]
        value: Option<String>,
    },
    /// Refuse a request
    Refuse {
        /// Its id
        request: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

const QUOTAS: &[Column<'_>] = &[
    ("quota", "/quota"),
    ("limit", "/shown"),
    ("used", "/used"),
    ("from", "/from"),
    ("resets", "/resets_at"),
    ("enforced", "/enforced"),
];

const LIMITS: &[Column<'_>] = &[
    ("subject", "/subject"),
    ("quota", "/quota"),
    ("limit", "/shown"),
    ("by", "/set_by"),
    ("since", "/set_at"),
];

const REQUESTS: &[Column<'_>] = &[
    ("id", "/id"),
    ("subject", "/subject"),
    ("quota", "/quota"),
    ("value", "/shown"),
    ("reason", "/reason"),
    ("by", "/asked_by"),
    ("state", "/state"),
    ("decided by", "/decided_by"),
    ("decision", "/decision"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Set { subject, limits } => {
            let mut given = Map::new();
            for (key, value) in limits {
                let value = if value == "default" { Value::Null } else { json!(value) };
                if given.insert(key.clone(), value).is_some() {
                    return Err(Failure::usage(&key, format!("`{key}` is given twice")));
                }
            }
            let path = path(&["quotas", &subject]);
            let sheet: Value = server.patch(&path, &json!({"limits": given})).await?;
            Ok(output.sheet(&sheet, "/quotas", QUOTAS))
        }
        Verb::Show { subject } => {
            let path = subject.map_or_else(|| "/me/quotas".to_owned(), |it| path(&["quotas", &it]));
            let sheet: Value = server.get(&path, &[]).await?;
            Ok(output.sheet(&sheet, "/quotas", QUOTAS))
        }
        Verb::List => {
            let all: Value = server.get("/quotas", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            let empty = "No limits. Set one:  bottega quota set default:user models=50";
            Ok(output.list(&items, LIMITS, empty))
        }
        Verb::Request { limit: (key, value), reason, subject } => {
            let body = json!({"quota": key, "value": value, "reason": reason, "subject": subject});
            let asked: Value = server.post("/quota-requests", &body).await?;
            Ok(output.object(&asked, REQUESTS))
        }
        Verb::Requests { subject, all, state } => {
            let mut query: Vec<_> = state.map(|state| ("state", state)).into_iter().collect();
            if !all {
                let subject = match subject {
                    Some(subject) => subject,
                    None => myself(server).await?,
                };
                query.push(("subject", subject));
            }
            let requests = server.list("/quota-requests", &query).await?;
            Ok(output.list(&requests, REQUESTS, "No requests."))
        }
        Verb::Grant { request, reason, value } => {
            let path = path(&["quota-requests", &request, "grant"]);
            let body = json!({"reason": reason, "value": value});
            let decided: Value = server.post(&path, &body).await?;
            Ok(output.object(&decided, REQUESTS))
        }
        Verb::Refuse { request, reason } => {
            let path = path(&["quota-requests", &request, "refuse"]);
            let decided: Value = server.post(&path, &json!({"reason": reason})).await?;
            Ok(output.object(&decided, REQUESTS))
        }
    }
}

/// Whom the platform takes the caller for.
pub async fn myself(server: &Connection) -> Result<String, Failure> {
    let me: Value = server.get("/me", &[]).await?;
    Ok(me["actor"].as_str().unwrap_or_default().to_owned())
}
