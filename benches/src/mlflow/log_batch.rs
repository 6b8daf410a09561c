//! Sixteen clients, each with a run of its own, log 100 metrics at once, step after step.

use std::{fmt::Write as _, time::Duration};

use super::{API, Both, new_run, print_rates};
use crate::{Result, http::Server, load::Target};

const CLIENTS: usize = 16;
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(4);
/// More than either gets through in one turn, so that no point is ever sent twice.
const MOST_PER_TURN: [usize; 2] = [2_000, 10_000];

pub(super) fn run(both: &mut Both) -> Result<()> {
    let servers = both.servers()?;
    let mut runs = Vec::new();
    for server in &servers {
        runs.push((0..CLIENTS).map(|_| new_run(server)).collect::<Result<Vec<_>>>()?);
    }
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let press = |which: usize| {
            let most = MOST_PER_TURN[which];
            let steps = turn * most..(turn + 1) * most;
            Target::once(&servers[which], requests(&servers[which], &runs[which], steps))
                .press(CLIENTS, TURN)
        };
        turns.push([press(0)?, press(1)?]);
    }
    print_rates("log-batch: 100 metrics, 16 clients", ">= 10", &turns);
    Ok(())
}

/// A batch of each step, its run in turn.
fn requests(server: &Server, runs: &[String], steps: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let request = |step: usize| {
        let body = body(&runs[step % runs.len()], 100, |n| (format!("metric_{n}"), step));
        server.request("POST", &format!("{API}/runs/log-batch"), &body)
    };
    steps.map(request).collect()
}

/// A batch of this many metrics, each with the key and the step that `which` gives it.
pub(super) fn body(run: &str, metrics: usize, which: impl Fn(usize) -> (String, usize)) -> String {
    let mut body = format!("{{\"run_id\": \"{run}\", \"metrics\": [");
    for n in 0..metrics {
        let (key, step) = which(n);
        let comma = if n == 0 { "" } else { ", " };
        let (value, timestamp) = ((step + n) as f64 / 1000.0, 1_700_000_000_000_usize + step);
        // Writing to a text cannot fail.
        let _ = write!(
            body,
            "{comma}{{\"key\": \"{key}\", \"value\": {value}, \"timestamp\": {timestamp}, \"step\": {step}}}"
        );
    }
    body.push_str("], \"params\": [], \"tags\": []}");
    body
}
