//! `bottega usage …`

use std::io::Write as _;

use clap::{Args, Subcommand};
use client::Connection;
use serde_json::{Map, Value, json};

use super::{Done, pair};
use crate::output::{Column, Failure, Output};

/// Which use.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  bottega usage --since 2026-11-01 --by day,model\n  bottega usage --all --by team --csv > november.csv\n  bottega usage prices --set requests=0.00001 --set cpu_seconds=0.00005 --currency EUR"
)]
pub struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Whose: an account's, or of what a team owns [default: your own]
    #[arg(long = "for", value_name = "SUBJECT", conflicts_with = "all")]
    subject: Option<String>,
    /// Of everybody, for administrators
    #[arg(long)]
    all: bool,
    /// From that day on, in UTC, like 2026-11-01
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Before that day
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// Only of that model
    #[arg(long)]
    model: Option<String>,
    /// Only through that endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// What to tell apart: day, subject, team, model, endpoint [default: all]
    #[arg(long, value_name = "COLUMNS")]
    by: Option<String>,
    /// Write CSV
    #[arg(long)]
    csv: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Show what use costs, or set all prices at once
    Prices {
        /// UNIT=PRICE: of one of requests, rows, cpu_seconds, bytes_in, bytes_out, artifact_byte_days
        #[arg(long = "set", value_name = "UNIT=PRICE", value_parser = pair, requires = "currency")]
        set: Vec<(String, String)>,
        /// In which currency, by its three letters
        #[arg(long, requires = "set")]
        currency: Option<String>,
    },
}

const TOTALS: &[Column<'_>] = &[
    ("day", "/day"),
    ("subject", "/subject"),
    ("team", "/team"),
    ("model", "/model"),
    ("endpoint", "/endpoint"),
    ("requests", "/requests"),
    ("rows", "/rows"),
    ("errors", "/errors"),
    ("cpu s", "/cpu_seconds"),
    ("bytes in", "/bytes_in"),
    ("bytes out", "/bytes_out"),
    ("byte-days", "/artifact_byte_days"),
    ("cost", "/cost"),
];

const PRICES: &[Column<'_>] =
    &[("currency", "/currency"), ("prices", "/prices"), ("by", "/set_by"), ("since", "/set_at")];

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    if let Some(Verb::Prices { set, currency }) = options.verb {
        let prices: Value = if set.is_empty() {
            server.get("/usage/prices", &[]).await?
        } else {
            let mut prices = Map::new();
            for (unit, price) in set {
                prices.insert(unit, json!(price));
            }
            server.put("/usage/prices", &json!({"currency": currency, "prices": prices})).await?
        };
        return Ok(output.object(&prices, PRICES));
    }
    let mut query = Vec::new();
    let named = [
        ("since", options.since),
        ("until", options.until),
        ("model", options.model),
        ("endpoint", options.endpoint),
        ("by", options.by),
    ];
    query.extend(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if !options.all {
        let subject = match options.subject {
            Some(subject) => subject,
            None => super::quota::myself(server).await?,
        };
        query.push(("subject", subject));
    }
    if options.csv {
        query.push(("format", "csv".to_owned()));
        let text = server.bytes("/usage", &query).await?;
        std::io::stdout().write_all(&text).map_err(Failure::io)?;
        return Ok(std::process::ExitCode::SUCCESS);
    }
    let totals = server.list("/usage", &query).await?;
    Ok(output.list(&totals, TOTALS, "Nothing was used."))
}
