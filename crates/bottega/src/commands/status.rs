//! `bottega status`: nodes, what they hold, endpoints.

use std::process::ExitCode;

use client::Connection;
use serde_json::{Value, json};

use super::Done;
use crate::output::{Failure, Output};

pub async fn run(server: &Connection, output: &Output) -> Done {
    let nodes = nodes(server).await?;
    let endpoints = server.list("/endpoints", &[]).await?;
    if output.is_json() {
        let mut status = match nodes {
            Ok(nodes) => json!({"nodes": nodes}),
            Err(hidden) => json!({"nodes": null, "nodes_hidden": hidden}),
        };
        status["endpoints"] = Value::Array(endpoints);
        return Ok(output.object(&status, &[]));
    }
    match nodes {
        Ok(nodes) => show(&nodes, output),
        Err(hidden) => anstream::println!("{hidden}"),
    }
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
    let replicas: Vec<_> = nodes
        .iter()
        .flat_map(|node| {
            node["replicas"].as_array().into_iter().flatten().map(|replica| {
                let mut replica = replica.clone();
                replica["host"] = node["host"].clone();
                replica
            })
        })
        .collect();
    output.list(
        nodes,
        &[("node", "/id"), ("host", "/host"), ("since", "/started_at")],
        "No gateway is running.",
    );
    let columns = [
        ("host", "/host"),
        ("model", "/model"),
        ("version", "/version"),
        ("state", "/state"),
        ("reason", "/reason"),
    ];
    anstream::println!();
    output.list(&replicas, &columns, "No replicas: no endpoint needs one.");
}
