//! `bottega logs`

use std::{process::ExitCode, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use client::{Connection, path};
use domain::{Clock as _, Problem, SystemClock, parse_duration};
use serde::Deserialize;
use serde_json::Value;

use super::Done;
use crate::output::{Failure, Output, visible};

/// How often is looked for what is new.
const EVERY: Duration = Duration::from_millis(500);
/// The most that comes in one answer.
const PAGE: usize = 1000;

#[derive(clap::Args)]
pub struct Options {
    /// The endpoint
    endpoint: String,
    /// Its environment [default: production]
    #[arg(long)]
    env: Option<String>,
    /// What its models printed that run in processes of their own, in place of what was answered
    #[arg(long)]
    printed: bool,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// Since when: so long ago, like 10m, or an instant, like 2026-11-17T14:00:00Z
    #[arg(long, value_name = "DURATION|INSTANT")]
    since: Option<String>,
    /// How many of the last entries, unless --since says where to begin
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next_after: i64,
}

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let endpoint = super::wire_name(&options.endpoint, options.env.as_deref())?;
    let url = path(&["endpoints", &endpoint, if options.printed { "printed" } else { "logs" }]);
    let since = options.since.as_deref().map(instant).transpose()?;
    let limit = if since.is_some() { PAGE } else { options.limit as usize };
    let mut query = vec![("limit", limit.to_string())];
    query.extend(since.clone().map(|since| ("since", since)));
    loop {
        let page: Page = server.get(&url, &query).await?;
        for entry in &page.items {
            show(entry, output);
        }
        let is_over = query.len() == 1 || page.items.len() < PAGE;
        query = vec![("limit", PAGE.to_string()), ("after", page.next_after.to_string())];
        // Still, lest an answer without entries leads to the beginning of the log.
        query.extend(since.clone().map(|since| ("since", since)));
        if is_over && !options.follow {
            return Ok(ExitCode::SUCCESS);
        }
        if is_over {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// The instant that somebody means.
fn instant(text: &str) -> Result<String, Failure> {
    let at = match parse_duration(text) {
        Ok(ago) => chrono::TimeDelta::from_std(ago)
            .ok()
            .and_then(|ago| SystemClock.now().checked_sub_signed(ago)),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)),
    };
    let at = at.ok_or_else(|| {
        Problem::invalid("since", format!("`{text}` is no duration and no instant"))
            .hint("like 10m, or 2026-11-17T14:00:00Z")
    })?;
    Ok(at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// One entry as one line.
fn show(entry: &Value, output: &Output) {
    if output.is_json() {
        anstream::println!("{entry}");
        return;
    }
    let text = |key: &str| visible(entry[key].as_str().unwrap_or("–"));
    let number = |key: &str| entry[key].as_i64().unwrap_or_default();
    let version = match (entry["model"].as_str(), entry["version"].as_i64()) {
        (Some(model), Some(version)) => visible(&format!("{model}/{version}")),
        _ => visible("–"),
    };
    if let Some(line) = entry["line"].as_str() {
        anstream::println!("{}  {version}  {}", text("at"), visible(line));
        return;
    }
    let left_out = number("left_out");
    if left_out > 0 {
        anstream::println!("… {left_out} more, not told");
    }
    // What an answer is called finds it in what was captured; a refusal has no more than its request.
    let id = if entry["inference_id"].is_string() { "inference_id" } else { "request_id" };
    let field = entry["field"].as_str().map(|field| format!(" at {field}")).unwrap_or_default();
    anstream::println!(
        "{}  {}{}  {version}  {}  {}  {} rows  {} µs (queue {}, compute {})  {}",
        text("at"),
        text("code"),
        visible(&field),
        text("caller"),
        text("protocol"),
        number("rows"),
        number("total_micros"),
        number("queue_micros"),
        number("compute_micros"),
        text(id),
    );
}
