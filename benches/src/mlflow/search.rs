//! Searches over 100,000 runs, the same on both, filled into both databases directly.

use std::time::Duration;

use serde_json::{Value, json};

use super::{API, Both, median_ms, text, timed};
use crate::{Result, http::Server, repository};

const RUNS: usize = 100_000;
/// How often each asks.
const TIMES: [usize; 2] = [3, 9];

/// What is asked: a name, a filter, an order, how many, and which page.
type Question = (&'static str, &'static str, &'static [&'static str], usize, usize);

const QUESTIONS: [Question; 6] = [
    ("by metric and tag, by metric, 100", BOTH, &["metrics.accuracy DESC"], 100, 1),
    ("the same, 1000", BOTH, &["metrics.accuracy DESC"], 1000, 1),
    ("by metric and tag, by time, 100", BOTH, &["attributes.start_time DESC"], 100, 1),
    ("by metric and tag, by another metric, 100", BOTH, &["metrics.loss ASC"], 100, 1),
    ("by params LIKE and a rare tag, 100", RARE, &[], 100, 1),
    ("all, newest first, page 10 of 100", "", &[], 100, 10),
];
const BOTH: &str = "metrics.accuracy > 0.5 AND tags.team = 'team-3'";
const RARE: &str = "params.optimizer LIKE 'ad%' AND tags.batch = '77'";

pub(super) fn run(both: &mut Both) -> Result<()> {
    let servers = both.servers()?;
    let mut experiments = Vec::new();
    for server in &servers {
        let asked = json!({"name": "searched"});
        let made = server.json("POST", &format!("{API}/experiments/create"), &asked)?;
        experiments.push(text(&made["experiment_id"])?);
    }
    let arguments = ["runs".to_owned(), experiments[0].clone(), RUNS.to_string()];
    let theirs = timed(|| both.reference()?.fill(&arguments))?;
    let variables = [("experiment", experiments[1].clone()), ("runs", RUNS.to_string())];
    let file = repository("benches/src/mlflow/fill_runs.sql");
    let ours = timed(|| both.ours.sql(&file, &variables))?;
    anstream::println!(
        "  search over {RUNS} runs (filled by SQL: mlflow {:.0} s, bottega {:.0} s; median, ms)",
        theirs.as_secs_f64(),
        ours.as_secs_f64()
    );
    for question in QUESTIONS {
        let mut medians = Vec::new();
        let mut found = Vec::new();
        for (which, server) in servers.iter().enumerate() {
            let (ids, times) = ask(server, &experiments[which], question, TIMES[which])?;
            medians.push(median_ms(&times));
            found.push(ids);
        }
        let same = if found[0] == found[1] { "the same runs" } else { "OTHER RUNS" };
        anstream::println!(
            "    {}: mlflow {:.1}   bottega {:.1}   ratio {:.1} (asked: >= 10, < 200 ms); {} found, {same}",
            question.0,
            medians[0],
            medians[1],
            medians[0] / medians[1],
            found[1].len()
        );
    }
    Ok(())
}

/// The runs of the page that is asked for, and how long it took each time. Earlier pages only give
/// the token.
fn ask(
    server: &Server,
    experiment: &str,
    (_, filter, order, size, page): Question,
    times: usize,
) -> Result<(Vec<String>, Vec<Duration>)> {
    let path = format!("{API}/runs/search");
    let mut asked = json!({
        "experiment_ids": [experiment], "filter": filter, "order_by": order, "max_results": size,
    });
    for _ in 1..page {
        let answer = server.json("POST", &path, &asked)?;
        asked["page_token"] = answer["next_page_token"].clone();
    }
    let body = asked.to_string();
    let mut answer = String::new();
    let mut taken = Vec::new();
    for _ in 0..times {
        taken.push(timed(|| {
            answer = server.call("POST", &path, &body)?;
            Ok(())
        })?);
    }
    let answer: Value = serde_json::from_str(&answer)?;
    let runs = answer["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok((runs.iter().map(|run| text(&run["info"]["run_id"])).collect::<Result<_>>()?, taken))
}
