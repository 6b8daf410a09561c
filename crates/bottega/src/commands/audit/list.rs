//! Events, on the terminal.

use std::{collections::HashSet, process::ExitCode, time::Duration};

use client::Connection;
use serde::Deserialize;
use serde_json::Value;

use super::{Done, Which};
use crate::output::{Column, Failure, Output, visible};

const COLUMNS: &[Column<'_>] = &[
    ("at", "/at"),
    ("actor", "/actor"),
    ("for", "/on_behalf_of"),
    ("change", "/change"),
    ("resource", "/resource"),
    ("decision", "/decision"),
    ("permission", "/action"),
    ("from", "/address"),
    ("request", "/request_id"),
];

/// How often is looked for what is new.
const EVERY: Duration = Duration::from_millis(500);

/// How late an event may turn up: its transaction began that long before it ended.
const LATE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next_cursor: Option<String>,
}

/// Events, newest first, up to so many.
async fn newest(
    server: &Connection,
    query: &[(&'static str, String)],
    most: usize,
) -> Result<Vec<Value>, Failure> {
    let mut items: Vec<Value> = Vec::new();
    let mut query = query.to_vec();
    query.push(("limit", most.clamp(1, 1000).to_string()));
    loop {
        let page: Page = server.get("/audit/events", &query).await?;
        items.extend(page.items);
        query.retain(|(key, _)| *key != "cursor");
        match page.next_cursor {
            Some(cursor) if items.len() < most => query.push(("cursor", cursor)),
            _ => break,
        }
    }
    items.truncate(most);
    Ok(items)
}

pub async fn list(
    server: &Connection,
    which: Which,
    limit: Option<usize>,
    output: &Output,
) -> Done {
    let events = newest(server, &which.query(), limit.unwrap_or(usize::MAX)).await?;
    Ok(output.list(&events, COLUMNS, "Nothing was done yet that fits."))
}

pub async fn tail(
    server: &Connection,
    which: Which,
    follow: bool,
    lines: usize,
    output: &Output,
) -> Done {
    let query = which.query();
    let mut events = newest(server, &query, lines).await?;
    let mut seen: HashSet<i64> = HashSet::new();
    let mut since = None;
    loop {
        for event in events.iter().rev() {
            let id = event["id"].as_i64().unwrap_or_default();
            if seen.insert(id) {
                show(event, output);
            }
            let at = event["at"].as_str().and_then(|at| at.parse::<domain::Timestamp>().ok());
            since = since.max(at);
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(EVERY).await;
        let mut recent = query.clone();
        if let Some(since) = since {
            let from = since - LATE;
            recent.retain(|(key, _)| *key != "since");
            recent.push(("since", from.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)));
        }
        events = newest(server, &recent, usize::MAX).await?;
        // What is older than what is asked for next need not be remembered.
        let recent: HashSet<_> = events.iter().filter_map(|event| event["id"].as_i64()).collect();
        if since.is_some() {
            let before = seen.clone();
            seen.retain(|id| recent.contains(id));
            events.retain(|event| event["id"].as_i64().is_none_or(|id| !before.contains(&id)));
        }
    }
}

/// One event as one line.
fn show(event: &Value, output: &Output) {
    if output.is_json() {
        anstream::println!("{event}");
        return;
    }
    let text = |pointer: &str| visible(event[pointer].as_str().unwrap_or("–"));
    anstream::println!(
        "{}  {}  {}  {}  {}",
        text("at"),
        text("actor"),
        text("change"),
        text("resource"),
        text("decision")
    );
}
