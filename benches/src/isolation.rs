//! A version in a process of its own against the same model in the node's, over HTTP.

use std::time::Duration;

use crate::{
    Result, TURN, TURNS,
    load::{self, Figures, Target},
    median,
    platform::Platform,
    repository,
};

/// What was set as limit.
const ASKED: f64 = 0.5;

/// Measures, and prints.
pub fn run() -> Result<()> {
    let model = repository("tests/models/data/breast_cancer.onnx");
    let platform = Platform::start()?;
    platform.deploy(&model, "inside")?;
    platform.deploy(&model, "apart")?;
    platform.cli(&["versions", "set", "apart/1", "--isolation", "process"])?;
    // It is loaded anew, and traffic moves.
    std::thread::sleep(Duration::from_secs(5));
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let server = platform.server();
    let target = |endpoint: &str| {
        let path = format!("/v2/models/{endpoint}/infer");
        let requests = bodies.iter().map(|body| server.request("POST", &path, body));
        Target::again(&server, requests.collect())
    };
    let (inside, apart) = (target("inside"), target("apart"));
    anstream::println!(
        "isolation: one row, V2 JSON, logistic regression, in a process of its own (requests/s; p50 / p99 in ms)"
    );
    for connections in [1, 16, 64] {
        let mut ratios = Vec::new();
        let (mut best_inside, mut best_apart) = (Figures::default(), Figures::default());
        for _ in 0..TURNS {
            let here = inside.press(connections, TURN)?;
            let there = apart.press(connections, TURN)?;
            ratios.push(there.rate() / here.rate());
            best_inside = best_inside.best(here);
            best_apart = best_apart.best(there);
        }
        anstream::println!(
            "  {connections:3} connections   inside {best_inside}   apart {best_apart}   ratio {:.2} (asked at 64: {ASKED})",
            median(&mut ratios),
        );
    }
    Ok(())
}
