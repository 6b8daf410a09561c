//! `bottega endpoints …`

use std::{io::Write as _, process::ExitCode};

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, capture, contract, graph, ownership, wire_name};
use crate::{
    cli::Format,
    output::{Column, Failure, Output},
};

#[derive(Subcommand)]
pub enum Verb {
    /// List endpoints
    List,
    /// Show one endpoint
    Show {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
    },
    /// Delete an endpoint: it answers no more
    Delete {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
    },
    /// Give an endpoint to another team; it answers as before
    Move {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
        #[command(flatten)]
        to: ownership::To,
    },
    /// Show what an endpoint takes and answers, with an example; or typed code that calls it
    Schema {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
        /// Write code in this language, or the JSON Schemas
        #[arg(long, value_enum)]
        lang: Option<Language>,
    },
    /// Show what an endpoint serves, and where that comes from
    Lineage {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
        /// How many steps in each direction
        #[arg(long, value_name = "STEPS", default_value_t = 10)]
        depth: u32,
    },
    /// Show and change what each release of an endpoint must keep
    #[command(subcommand)]
    Contract(contract::Verb),
    /// Show and change what is captured of an endpoint's predictions
    Capture(capture::Options),
    /// List the releases of an endpoint: who was live when
    Releases {
        /// The endpoint
        endpoint: String,
        /// Its environment [default: production]
        #[arg(long)]
        env: Option<String>,
    },
}

/// What to show an endpoint's schema as.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Language {
    Python,
    Rust,
    #[value(name = "typescript")]
    TypeScript,
    /// JSON Schemas of requests and answers.
    Json,
}

impl Language {
    /// Its name for the API, where it is code.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Python => Some("python"),
            Self::Rust => Some("rust"),
            Self::TypeScript => Some("typescript"),
            Self::Json => None,
        }
    }
}

pub const FIELDS: &[Column<'_>] = &[
    ("endpoint", "/endpoint"),
    ("environment", "/env"),
    ("state", "/state"),
    ("follows", "/follows"),
    ("held", "/held"),
    ("blocked", "/blocked"),
    ("live release", "/live/release"),
    ("serves", "/live/versions"),
    ("request timeout", "/live/serving/timeout"),
    ("loaded on demand", "/live/serving/on_demand"),
    ("sticky by", "/live/serving/routing/sticky"),
    ("rules", "/live/serving/routing/rules"),
    ("shadow", "/live/serving/routing/shadow"),
    ("fallback", "/live/serving/routing/fallback"),
    ("hooks before", "/live/serving/hooks/before"),
    ("hooks after", "/live/serving/hooks/after"),
    ("next release", "/target/release"),
    ("owner", "/owner"),
    ("team", "/team"),
    ("updated", "/updated_at"),
];

const COLUMNS: &[Column<'_>] = &[
    ("endpoint", "/endpoint"),
    ("state", "/state"),
    ("follows", "/follows"),
    ("release", "/live/release"),
    ("serves", "/live/versions"),
    ("updated", "/updated_at"),
];

const RELEASES: &[Column<'_>] = &[
    ("release", "/release"),
    ("state", "/state"),
    ("versions", "/versions"),
    ("settings", "/serving"),
    ("by", "/created_by"),
    ("created", "/created_at"),
    ("reason", "/reason"),
    ("outcome", "/outcome"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let endpoints = server.list("/endpoints", &[]).await?;
            let empty =
                "No endpoints yet. Make one:  bottega deploy fraud --model fraud@champion --wait";
            Ok(output.list(&endpoints, COLUMNS, empty))
        }
        Verb::Show { endpoint, env } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let endpoint: Value = server.get(&path(&["endpoints", &wire]), &[]).await?;
            Ok(output.object(&endpoint, FIELDS))
        }
        Verb::Delete { endpoint, env } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            server.delete(&path(&["endpoints", &wire])).await?;
            Ok(output.done(
                &json!({"endpoint": wire, "deleted": true}),
                &format!("endpoint {wire} is deleted"),
            ))
        }
        Verb::Move { endpoint, env, to } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            ownership::give(server, ("endpoints", &wire), &to, output).await
        }
        Verb::Schema { endpoint, env, lang } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let at = path(&["endpoints", &wire, "schema"]);
            if let Some(lang) = lang.and_then(Language::code) {
                let code = server.bytes(&at, &[("lang", lang.to_owned())]).await?;
                std::io::stdout().lock().write_all(&code).map_err(Failure::io)?;
                return Ok(ExitCode::SUCCESS);
            }
            let schema: Value = server.get(&at, &[]).await?;
            let is_json = output.is_json() || lang.is_some();
            let fields = [
                ("inputs", "/signature/inputs"),
                ("outputs", "/signature/outputs"),
                ("example", "/example_text"),
            ];
            let mut shown = schema.clone();
            shown["example_text"] = json!(schema["example"].to_string());
            Ok(if is_json {
                Output::new(Format::Json).object(&schema, &[])
            } else {
                output.object(&shown, &fields)
            })
        }
        Verb::Lineage { endpoint, env, depth } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let query = [("depth", depth.to_string())];
            let graph: Value = server.get(&path(&["endpoints", &wire, "lineage"]), &query).await?;
            graph::show(&graph, output);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Contract(verb) => contract::run(server, verb, output).await,
        Verb::Capture(options) => capture::run(server, options, output).await,
        Verb::Releases { endpoint, env } => {
            let wire = wire_name(&endpoint, env.as_deref())?;
            let releases = server.list(&path(&["endpoints", &wire, "releases"]), &[]).await?;
            Ok(output.list(&releases, RELEASES, "No releases yet."))
        }
    }
}
