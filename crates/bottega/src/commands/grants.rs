//! `bottega grants …`

use clap::{Args, Subcommand};
use client::{Connection, path};
use serde_json::{Map, Value, json};

use super::{Done, dry_run};
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Give: `grants add user:ana promote model:fraud`, `grants add team:risk role:operator team:risk`
    Add(New),
    /// List grants: all, a subject's, or those on a resource
    List {
        /// Only this subject's, like user:ana
        #[arg(long)]
        subject: Option<String>,
        /// Only those on exactly this, like model:fraud
        #[arg(long)]
        resource: Option<String>,
    },
    /// Take a grant back
    Remove {
        /// Its id
        grant: String,
        /// Change nothing; show who would lose and gain what
        #[arg(long)]
        dry_run: bool,
    },
    /// Show why somebody may do something, or what would have to be granted
    Explain {
        /// user:NAME or service:NAME
        subject: String,
        /// What they want to do, like promote
        action: String,
        /// model:NAME, endpoint:NAME, experiment:ID, team:NAME or '*'
        resource: String,
        /// With which alias, for promote
        #[arg(long)]
        alias: Option<String>,
    },
}

#[derive(Args)]
pub struct New {
    /// user:NAME, team:NAME, service:NAME or group:NAME
    subject: String,
    /// view, register, edit, promote, deploy, configure, shift, invoke, delete, view-data, administer, audit or role:NAME
    action: String,
    /// model:NAME, endpoint:NAME, experiment:ID, team:NAME for all that it owns, or '*'
    resource: String,
    /// Only for things of this kind: model, endpoint or experiment
    #[arg(long)]
    kind: Option<String>,
    /// Only in this environment
    #[arg(long)]
    env: Option<String>,
    /// Only for this alias, for promote
    #[arg(long)]
    alias: Option<String>,
    /// Only for what carries this tag
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Option<String>,
    /// Not before this instant
    #[arg(long, value_name = "INSTANT")]
    not_before: Option<String>,
    /// Until this instant
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<String>,
    /// Take it away instead, whatever else gives it
    #[arg(long)]
    deny: bool,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Change nothing; show who would lose and gain what
    #[arg(long)]
    dry_run: bool,
}

const COLUMNS: &[Column<'_>] = &[
    ("id", "/id"),
    ("subject", "/subject"),
    ("effect", "/effect"),
    ("action", "/action"),
    ("resource", "/resource"),
    ("kind", "/kind"),
    ("env", "/env"),
    ("alias", "/alias"),
    ("tag", "/tag"),
    ("until", "/expires_at"),
    ("by", "/created_by"),
];

const REASONS: &[Column<'_>] = &[("policy", "/policy"), ("text", "/text")];
const NEAR: &[Column<'_>] = &[("grant", "/grant"), ("but", "/missed")];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Add(new) => {
            let (body, dry) = (body(&new), new.dry_run);
            let made: Value = server.post(&dry_run::asking("/grants", dry), &body).await?;
            if dry {
                return Ok(dry_run::tell(&made, output));
            }
            let sentence = format!(
                "{} {} {} {} (grant {})",
                new.subject,
                if new.deny { "may not" } else { "may" },
                new.action,
                new.resource,
                made["id"].as_str().unwrap_or_default()
            );
            Ok(output.done(&made, &sentence))
        }
        Verb::List { subject, resource } => {
            let query: Vec<_> = [("subject", subject), ("resource", resource)]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect();
            let all: Value = server.get("/grants", &query).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            let empty = "No grants. Give one:  bottega grants add user:ana promote model:fraud";
            Ok(output.list(&items, COLUMNS, empty))
        }
        Verb::Remove { grant, dry_run: dry } => {
            let path = path(&["grants", &grant]);
            if dry {
                let told: Value = server.delete_asking(&dry_run::asking(&path, true)).await?;
                return Ok(dry_run::tell(&told, output));
            }
            server.delete(&path).await?;
            let gone = json!({"id": grant, "deleted": true});
            Ok(output.done(&gone, &format!("grant {grant} is taken back")))
        }
        Verb::Explain { subject, action, resource, alias } => {
            let mut query = vec![("subject", subject), ("action", action), ("resource", resource)];
            query.extend(alias.map(|alias| ("alias", alias)));
            let told: Value = server.get("/grants/explain", &query).await?;
            Ok(explained(&told, &query, output))
        }
    }
}

fn body(new: &New) -> Value {
    let mut body = Map::new();
    let mut put = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), json!(value));
        }
    };
    put("subject", &Some(new.subject.clone()));
    put("action", &Some(new.action.clone()));
    put("resource", &Some(new.resource.clone()));
    put("effect", &new.deny.then(|| "deny".to_owned()));
    put("kind", &new.kind);
    put("env", &new.env);
    put("alias", &new.alias);
    put("tag", &new.tag);
    put("not_before", &new.not_before);
    put("expires_at", &new.expires_at);
    put("reason", &new.reason);
    Value::Object(body)
}

/// A decision for people: the verdict, what decided, what came near, what to do.
fn explained(told: &Value, query: &[(&str, String)], output: &Output) -> std::process::ExitCode {
    if output.is_json() {
        return output.object(told, &[]);
    }
    let word = |key: &str| {
        query
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    let verdict = if told["decision"] == "allowed" { "may" } else { "may not" };
    let (subject, action, resource) = (word("subject"), word("action"), word("resource"));
    let done = output.done(told, &format!("{subject} {verdict} {action} {resource}"));
    let items = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    if !items("policies").is_empty() {
        output.list(&items("policies"), REASONS, "");
    }
    if !items("near").is_empty() {
        output.list(&items("near"), NEAR, "");
    }
    for remedy in items("remedies") {
        anstream::println!("To allow it:  {}", remedy.as_str().unwrap_or_default());
    }
    done
}
