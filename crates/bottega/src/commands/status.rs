//! `bottega status`: nodes, what they hold, endpoints.

use std::process::ExitCode;

use client::Connection;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Done;
use crate::output::{Failure, Output};

pub async fn run(server: &Connection, output: &Output) -> Done {
    let nodes = nodes(server).await?;
    let held: Value = server.get("/replicas", &[]).await?;
    let endpoints = server.list("/endpoints", &[]).await?;
    if output.is_json() {
        let mut status = match nodes {
            Ok(nodes) => json!({"nodes": nodes}),
            Err(hidden) => json!({"nodes": null, "nodes_hidden": hidden}),
        };
        status["replicas"] = held["items"].clone();
        status["waiting"] = held["waiting"].clone();
        status["endpoints"] = Value::Array(endpoints);
        return Ok(output.object(&status, &[]));
    }
    match nodes {
        Ok(nodes) => show(&nodes, output),
        Err(hidden) => anstream::println!("{hidden}"),
    }
    show_held(&held, output);
    let columns = [
        ("endpoint", "/endpoint"),
        ("state", "/state"),
        ("follows", "/follows"),
        ("release", "/live/release"),
    ];
    anstream::println!();
    output.list(
        &endpoints,
        &columns,
        "No endpoints yet. Make one:  bottega deploy fraud --model fraud@champion --wait",
    );
    Ok(ExitCode::SUCCESS)
}

/// The nodes, or what to say to whoever may not see them.
async fn nodes(server: &Connection) -> Result<Result<Vec<Value>, String>, Failure> {
    match server.get::<Value>("/nodes", &[]).await {
        Ok(nodes) => Ok(Ok(nodes["items"].as_array().cloned().unwrap_or_default())),
        Err(error) if error.as_api_error().code == "forbidden" => {
            let hint = error.as_api_error().hint.unwrap_or_default();
            Ok(Err(format!("Nodes are not shown: that needs `view` on the platform; {hint}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn show(nodes: &[Value], output: &Output) {
    let nodes: Vec<_> = nodes.iter().map(with_memory).collect();
    let columns = [
        ("node", "/id"),
        ("host", "/host"),
        ("version", "/version"),
        ("cores", "/cores"),
        ("memory", "/memory"),
        ("since", "/started_at"),
        ("lease until", "/leased_until"),
    ];
    output.list(&nodes, &columns, "No gateway is running.");
}

/// What nodes are to hold, and what waits.
fn show_held(held: &Value, output: &Output) {
    let items = |of: &str| held[of].as_array().cloned().unwrap_or_default();
    let replicas: Vec<_> = items("items").iter().map(with_memory).collect();
    let columns = [
        ("endpoint", "/endpoint"),
        ("release", "/release"),
        ("model", "/model"),
        ("version", "/version"),
        ("host", "/host"),
        ("state", "/state"),
        ("memory", "/memory"),
        ("runtime", "/runtime"),
        ("runs", "/isolation"),
        ("reason", "/reason"),
    ];
    anstream::println!();
    output.list(&replicas, &columns, "No replicas: no endpoint needs one.");
    let waiting = items("waiting");
    if !waiting.is_empty() {
        let columns = [
            ("waiting", "/endpoint"),
            ("release", "/release"),
            ("nodes missing", "/missing"),
            ("why", "/reason"),
            ("since", "/since"),
        ];
        anstream::println!();
        output.list(&waiting, &columns, "");
    }
}

/// The same, with what it takes of its memory in words.
fn with_memory(item: &Value) -> Value {
    let mut item = item.clone();
    let bytes = |of: &str| item[of].as_u64().map(|bytes| HumanBytes(bytes).to_string());
    item["memory"] = match (bytes("used_bytes"), bytes("memory_bytes")) {
        (Some(used), Some(all)) => json!(format!("{used} of {all}")),
        (None, Some(takes)) => json!(takes),
        (_, None) => Value::Null,
    };
    item
}
