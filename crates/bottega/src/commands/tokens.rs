//! `bottega tokens …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::Done;
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a token; it is shown once
    #[command(
        after_help = "Your own:             bottega tokens create --name laptop --expires-in 30d\nA service account's:  bottega tokens create --service ci --name deploys --scope deploy --scope view\nFor boto3:            bottega tokens create --name scoring --scope invoke --sigv4"
    )]
    Create {
        /// Whose it is [default: your own]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Whose it is
        #[arg(long, value_name = "NAME", conflicts_with = "user")]
        service: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// How long it lasts [default: until it is revoked]
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
        /// What it may be used for, as ACTION or ACTION:RESOURCE; may be given several times
        /// [default: all that its holder may do]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Show the access key and secret too that AWS's clients sign requests to SageMaker's runtime by
        #[arg(long)]
        sigv4: bool,
    },
    /// List tokens: all for an administrator, else your own
    List {
        /// Only of this holder, as user:NAME or service:NAME
        #[arg(long, value_name = "SUBJECT")]
        holder: Option<String>,
    },
    /// Make a token worth nothing
    Revoke {
        /// Its id
        id: String,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("token", "/token"),
    ("access key", "/sigv4/access_key_id"),
    ("secret", "/sigv4/secret_access_key"),
    ("id", "/id"),
    ("holder", "/holder"),
    ("name", "/name"),
    ("scopes", "/scopes"),
    ("expires", "/expires_at"),
];

const COLUMNS: &[Column<'_>] = &[
    ("id", "/id"),
    ("holder", "/holder"),
    ("name", "/name"),
    ("prefix", "/prefix"),
    ("scopes", "/scopes"),
    ("expires", "/expires_at"),
    ("last used", "/last_used_at"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Create { user, service, name, expires_in, scopes, sigv4 } => {
            let holder = user.map(|user| format!("user:{user}"));
            let holder = holder.or_else(|| service.map(|service| format!("service:{service}")));
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let new = json!({
                "name": name, "holder": holder, "scopes": scopes, "expires_in": expires_in, "sigv4": sigv4,
            });
            let token: Value = server.post("/tokens", &new).await?;
            Ok(output.object(&token, FIELDS))
        }
        Verb::List { holder } => {
            let query: Vec<_> = holder.map(|holder| ("holder", holder)).into_iter().collect();
            let tokens = server.list("/tokens", &query).await?;
            let empty = "No tokens yet. Make one:  bottega tokens create --name laptop";
            Ok(output.list(&tokens, COLUMNS, empty))
        }
        Verb::Revoke { id } => {
            server.delete(&path(&["tokens", &id])).await?;
            let answer = json!({"id": id, "revoked": true});
            Ok(output.done(&answer, &format!("the token {id} is worth nothing")))
        }
    }
}
