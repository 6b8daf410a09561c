//! `bottega status`: nodes, what they hold, endpoints.

use std::process::ExitCode;

use client::Connection;
use serde_json::{Value, json};

use super::Done;
use crate::output::Output;

pub async fn run(server: &Connection, output: &Output) -> Done {
    let nodes: Value = server.get("/nodes", &[]).await?;
    let endpoints = server.list("/endpoints", &[]).await?;
    let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
    if output.is_json() {
        return Ok(output.object(&json!({"nodes": nodes, "endpoints": endpoints}), &[]));
    }
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
        &nodes,
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
