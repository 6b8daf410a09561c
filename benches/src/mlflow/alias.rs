//! What an alias points to, against the same server's `/health`: what asking costs besides HTTP.

use std::time::Duration;

use serde_json::json;

use super::{API, Both};
use crate::{Result, http::Server, load::Target};

const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(2);

pub(super) fn run(both: &mut Both) -> Result<()> {
    anstream::println!("  registered-models/alias against /health (requests/s; p50 / p99 in ms)");
    let [theirs, ours] = both.servers()?;
    for (name, server, asked) in [("bottega", &ours, " (asked: <= 2)"), ("mlflow", &theirs, "")] {
        let (health, alias) = targets(server)?;
        for clients in [1, 16] {
            let (mut ratios, mut last) = (Vec::new(), None);
            for _ in 0..TURNS {
                let pair = (health.press(clients, TURN)?, alias.press(clients, TURN)?);
                ratios.push(pair.1.p99 / pair.0.p99);
                last = Some(pair);
            }
            let (health, alias) = last.unwrap_or_default();
            anstream::println!(
                "    {name}, {clients:2} clients: health {health}   alias {alias}   ratio of p99 {:.1}{asked}",
                crate::median(&mut ratios)
            );
        }
    }
    Ok(())
}

/// `/health`, and a model's alias.
fn targets(server: &Server) -> Result<(Target, Target)> {
    let post = |path: &str, body| server.json("POST", &format!("{API}{path}"), &body);
    post("/registered-models/create", json!({"name": "bench"}))?;
    post("/model-versions/create", json!({"name": "bench", "source": "s3://bench/model"}))?;
    post(
        "/registered-models/alias",
        json!({"name": "bench", "alias": "champion", "version": "1"}),
    )?;
    let ask = |path: &str| Target::again(server, vec![server.request("GET", path, "")]);
    let alias = ask(&format!("{API}/registered-models/alias?name=bench&alias=champion"));
    Ok((ask("/health"), alias))
}
