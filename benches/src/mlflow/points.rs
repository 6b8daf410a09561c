//! Ten million points of metrics, and one long history of them in short.

use std::time::Duration;

use serde_json::Value;

use super::{API, Both, log_batch::body, median_ms, new_run, timed};
use crate::{Result, load::Target, repository};

/// What comes in through `log-batch`: ten metrics of each run, a hundred steps at once.
const BATCHES: usize = 1_000;
const BATCH: usize = 1_000;
const KEYS: usize = 10;
const CLIENTS: usize = 16;
/// What is filled in by SQL: runs, and points of the one metric of each.
const RUNS: usize = 90;
const POINTS: usize = 100_000;
/// How many points a history is shown by.
const SHOWN: usize = 1_000;
const TIMES: [usize; 2] = [3, 9];
const LONG_ENOUGH: Duration = Duration::from_secs(120);

pub(super) fn run(both: &mut Both) -> Result<()> {
    ingest(both)?;
    let servers = both.servers()?;
    let runs = (0..RUNS).map(|_| new_run(&servers[1])).collect::<Result<Vec<_>>>()?;
    let variables =
        [("runs", format!("{{{}}}", runs.join(","))), ("last", (POINTS - 1).to_string())];
    let file = repository("benches/src/mlflow/fill_points.sql");
    let filled = timed(|| both.ours.sql(&file, &variables))?;
    anstream::println!("    {} more by SQL: {:.1} s", RUNS * POINTS, filled.as_secs_f64());
    let theirs = new_run(&servers[0])?;
    both.reference()?.fill(&["points".to_owned(), theirs.clone(), POINTS.to_string()])?;
    let mut medians = Vec::new();
    for (which, (server, run)) in servers.iter().zip([&theirs, &runs[RUNS / 2]]).enumerate() {
        let path = format!(
            "{API}/metrics/get-history-bulk-interval?run_ids={run}&metric_key=curve&max_results={SHOWN}"
        );
        let mut answer = String::new();
        let mut taken = Vec::new();
        for _ in 0..TIMES[which] {
            taken.push(timed(|| {
                answer = server.call("GET", &path.replace("/api/", "/ajax-api/"), "")?;
                Ok(())
            })?);
        }
        let answer: Value = serde_json::from_str(&answer)?;
        let shown = answer["metrics"].as_array().map_or(0, Vec::len);
        if !(SHOWN..SHOWN + 3).contains(&shown) {
            return Err(format!("{shown} points are shown").into());
        }
        medians.push(median_ms(&taken));
    }
    anstream::println!(
        "    a history of {POINTS} shown by {SHOWN} (median, ms): mlflow, which has no others, {:.1}   bottega {:.1} (asked: < 100)   ratio {:.1}",
        medians[0],
        medians[1],
        medians[0] / medians[1]
    );
    Ok(())
}

/// The first million, as clients send them.
fn ingest(both: &Both) -> Result<()> {
    let server = both.ours.server();
    let runs = (0..CLIENTS).map(|_| new_run(&server)).collect::<Result<Vec<_>>>()?;
    let request = |batch: usize| {
        let first = batch / CLIENTS * (BATCH / KEYS);
        let which = |n: usize| (format!("curve_{}", n % KEYS), first + n / KEYS);
        let body = body(&runs[batch % CLIENTS], BATCH, which);
        server.request("POST", &format!("{API}/runs/log-batch"), &body)
    };
    let requests = (0..BATCHES).map(request).collect();
    let figures = Target::once(&server, requests).press(CLIENTS, LONG_ENOUGH)?;
    anstream::println!("  {} points", BATCHES * BATCH + RUNS * POINTS);
    anstream::println!(
        "    {:.0} through log-batch, 1000 at once, {CLIENTS} clients: {:.0} points/s (p50 / p99 of a batch: {:.0} / {:.0} ms)",
        figures.requests * BATCH as f64,
        figures.rate() * BATCH as f64,
        figures.p50,
        figures.p99
    );
    Ok(())
}
