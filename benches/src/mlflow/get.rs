//! `runs/get` with a user and a password, against MLflow with `--app-name basic-auth`.

use std::time::Duration;

use serde_json::json;

use super::{API, Both, Reference, new_run, print_rates};
use crate::{Result, load::Target};

const CLIENTS: usize = 16;
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(3);

pub(super) fn run(both: &mut Both) -> Result<()> {
    let reference = Reference::start(true)?;
    let servers = [reference.server(), both.ours.server_by_password()];
    let mut targets = Vec::new();
    for server in &servers {
        let run = new_run(server)?;
        let pairs = |name: &str| -> Vec<_> {
            (0..20).map(|n| json!({"key": format!("{name}_{n}"), "value": n.to_string()})).collect()
        };
        let metrics: Vec<_> = (0..20)
            .map(|n| json!({"key": format!("metric_{n}"), "value": n, "timestamp": 1, "step": 1}))
            .collect();
        let batch = json!({
            "run_id": run, "metrics": metrics, "params": pairs("param"), "tags": pairs("tag"),
        });
        server.json("POST", &format!("{API}/runs/log-batch"), &batch)?;
        let request = server.request("GET", &format!("{API}/runs/get?run_id={run}"), "");
        targets.push(Target::again(server, vec![request]));
    }
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push([targets[0].press(CLIENTS, TURN)?, targets[1].press(CLIENTS, TURN)?]);
    }
    print_rates("runs/get with user and password: 20 metrics, params, tags", ">= 20", &turns);
    Ok(())
}
