//! An alias moves 100 times under load: how long until the new version answers, and what fails.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Result, load, load::Target, platform::Platform, repository};

const MOVES: usize = 100;

/// The figures.
pub fn run() -> Result<()> {
    let platform = Platform::start()?;
    let model = repository("tests/models/data/breast_cancer.onnx");
    let file = model.to_str().ok_or("the path is not UTF-8")?;
    platform.cli(&["push", file, "--name", "cancer", "--alias", "champion"])?;
    platform.cli(&["push", file, "--name", "cancer", "--force"])?;
    platform.cli(&["deploy", "cancer", "--model", "cancer@champion", "--wait"])?;
    let server = platform.server();
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let body = bodies.first().ok_or("no body")?;
    let requests =
        bodies.iter().map(|body| server.request("POST", "/v2/models/cancer/infer", body));
    let target = Target::again(&server, requests.collect());
    let is_over = AtomicBool::new(false);
    let (moved, pressed) = std::thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<f64> {
            let mut requests = 0.0;
            while !is_over.load(Ordering::Relaxed) {
                // An answer other than 200 ends it.
                requests += target.press(8, Duration::from_secs(1))?.requests;
            }
            Ok(requests)
        });
        let moves = || -> Result<Vec<f64>> {
            let mut times = Vec::new();
            for at in 0..MOVES {
                let version = 2 - at % 2;
                let awaited = version.to_string();
                let begun = Instant::now();
                server.json(
                    "PUT",
                    "/api/v1/models/cancer/aliases/champion",
                    &json!({"version": version}),
                )?;
                loop {
                    let answer: Value = serde_json::from_str(&server.call(
                        "POST",
                        "/v2/models/cancer/infer",
                        body,
                    )?)?;
                    if answer["model_version"] == awaited.as_str() {
                        break;
                    }
                }
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            Ok(times)
        };
        let moved = moves();
        is_over.store(true, Ordering::Relaxed);
        (moved, load.join())
    });
    let requests = pressed.map_err(|_| "the load broke off")??;
    let mut times = moved?;
    times.sort_by(f64::total_cmp);
    let at =
        |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    anstream::println!(
        "alias: moved {MOVES} times under load of 8 connections ({requests:.0} requests, 0 failed): to the first answer of the new version p50 {:.0} ms, p99 {:.0} ms",
        at(0.5),
        at(0.99),
    );
    Ok(())
}
