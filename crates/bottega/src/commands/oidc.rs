//! `bottega oidc …`

use clap::{Args, Subcommand};
use client::{Connection, path};
use serde_json::{Map, Value, json};

use super::{Done, pair};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Show the identity provider that people log in at, and whether it answers
    Show,
    /// Say what being in a group of the provider gives
    #[command(subcommand)]
    Groups(Groups),
    /// Say which user is whom at the provider
    #[command(subcommand)]
    Identities(Identities),
    /// Say whose CI jobs get tokens of a service account
    #[command(subcommand)]
    Trusts(Trusts),
}

#[derive(Subcommand)]
pub enum Groups {
    /// List what groups give
    List,
    /// Have a group give something, to whoever logs in from now on
    #[command(
        after_help = "Examples:  bottega oidc groups add risk-engineers --team risk\n           bottega oidc groups add platform-admins --role administrator"
    )]
    Add {
        /// The group, as the provider writes it
        group: String,
        #[command(flatten)]
        gives: Gives,
    },
    /// Take back what a group gives; whoever has it loses it at their next log-in
    Remove {
        /// Its id, as `bottega oidc groups list` shows it
        id: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Gives {
    /// Membership of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// This role on everything
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
}

#[derive(Subcommand)]
pub enum Identities {
    /// List who is whom
    List {
        /// Only of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Say who a user is at the provider, so that they log in there
    Link {
        /// The user
        user: String,
        /// What the provider calls them: `sub`
        #[arg(long, value_name = "TEXT")]
        subject: String,
        /// The provider [default: the one that people log in at]
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
    },
    /// Take that back; sessions that the user came to so are over
    Unlink {
        /// Its id, as `bottega oidc identities list` shows it
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Trusts {
    /// List whose jobs get tokens
    List,
    /// Have tokens that an issuer signs for jobs exchanged for tokens of a service account
    #[command(
        after_help = "Example:  bottega oidc trusts add github --issuer https://token.actions.githubusercontent.com \\\n            --audience bottega --service ci --claim repository=acme/models --claim 'ref=refs/heads/*' --scope register"
    )]
    Add {
        /// What to call it: a-z, 0-9 and -
        name: String,
        /// Who signs: `iss`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// For whom the token must be: `aud`
        #[arg(long, value_name = "TEXT")]
        audience: String,
        /// The service account
        #[arg(long, value_name = "NAME")]
        service: String,
        /// A claim and the value that it must have, which may end in *; may be given more than once
        #[arg(long = "claim", value_name = "CLAIM=VALUE", value_parser = pair, required = true)]
        claims: Vec<(String, String)>,
        /// What the token may be used for; may be given more than once [default: all that the service account may do]
        #[arg(long = "scope", value_name = "ACTION[:RESOURCE]")]
        scopes: Vec<String>,
    },
    /// End a trust; its tokens are worth nothing within a second
    Remove {
        /// Which
        name: String,
    },
}

const PROVIDER: &[Column<'_>] = &[
    ("issuer", "/issuer"),
    ("client", "/client_id"),
    ("redirect url", "/redirect_url"),
    ("scopes", "/scopes"),
    ("name claim", "/name_claim"),
    ("groups claim", "/groups_claim"),
    ("creates users", "/create_users"),
    ("problem", "/problem"),
];

const GROUPS: &[Column<'_>] = &[
    ("id", "/id"),
    ("group", "/group"),
    ("team", "/team"),
    ("role", "/role"),
    ("by", "/created_by"),
];

const IDENTITIES: &[Column<'_>] = &[
    ("id", "/id"),
    ("user", "/user"),
    ("subject", "/subject"),
    ("issuer", "/issuer"),
    ("by", "/created_by"),
    ("last log-in", "/last_login_at"),
];

const TRUSTS: &[Column<'_>] = &[
    ("name", "/name"),
    ("service", "/service"),
    ("issuer", "/issuer"),
    ("audience", "/audience"),
    ("claims", "/claims"),
    ("scopes", "/scopes"),
    ("by", "/created_by"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Show => {
            let provider: Value = server.get("/oidc", &[]).await?;
            Ok(output.object(&provider, PROVIDER))
        }
        Verb::Groups(verb) => groups(server, verb, output).await,
        Verb::Identities(verb) => identities(server, verb, output).await,
        Verb::Trusts(verb) => trusts(server, verb, output).await,
    }
}

async fn groups(server: &Connection, verb: Groups, output: &Output) -> Done {
    match verb {
        Groups::List => {
            let empty = "No group gives anything.";
            list(server, ("/oidc/groups", &[]), GROUPS, empty, output).await
        }
        Groups::Add { group, gives: Gives { team, role } } => {
            let new = json!({"group": group, "team": team, "role": role});
            let made: Value = server.post("/oidc/groups", &new).await?;
            Ok(output.object(&made, GROUPS))
        }
        Groups::Remove { id } => remove(server, "groups", &id, output).await,
    }
}

async fn identities(server: &Connection, verb: Identities, output: &Output) -> Done {
    match verb {
        Identities::List { user } => {
            let query: Vec<_> = user.map(|user| ("user", user)).into_iter().collect();
            let empty = "Nobody has logged in by the provider.";
            list(server, ("/oidc/identities", &query), IDENTITIES, empty, output).await
        }
        Identities::Link { user, subject, issuer } => {
            let new = json!({"user": user, "subject": subject, "issuer": issuer});
            let made: Value = server.post("/oidc/identities", &new).await?;
            Ok(output.object(&made, IDENTITIES))
        }
        Identities::Unlink { id } => remove(server, "identities", &id, output).await,
    }
}

async fn trusts(server: &Connection, verb: Trusts, output: &Output) -> Done {
    match verb {
        Trusts::List => {
            let empty = "No job's token is taken.";
            list(server, ("/oidc/trusts", &[]), TRUSTS, empty, output).await
        }
        Trusts::Add { name, issuer, audience, service, claims, scopes } => {
            let claims: Map<String, Value> =
                claims.into_iter().map(|(name, value)| (name, value.into())).collect();
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let new = json!({
                "name": name, "issuer": issuer, "audience": audience, "service": service,
                "claims": claims, "scopes": scopes,
            });
            let made: Value = server.post("/oidc/trusts", &new).await?;
            Ok(output.object(&made, TRUSTS))
        }
        Trusts::Remove { name } => remove(server, "trusts", &name, output).await,
    }
}

async fn list(
    server: &Connection,
    (what, query): (&str, &[(&str, String)]),
    columns: &[Column<'_>],
    empty: &str,
    output: &Output,
) -> Done {
    let all: Value = server.get(what, query).await?;
    let items = all["items"].as_array().cloned().unwrap_or_default();
    Ok(output.list(&items, columns, empty))
}

async fn remove(server: &Connection, what: &str, which: &str, output: &Output) -> Done {
    server.delete(&path(&["oidc", what, which])).await?;
    Ok(output.done(&json!({"removed": which}), &format!("{which} is removed")))
}
