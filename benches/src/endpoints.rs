//! Many endpoints: the memory of 1,000 small models, and what routing costs among 10,000 names.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;

use crate::{Result, TURN, TURNS, load, load::Target, median, platform::Platform, repository};

const MODELS: usize = 1_000;
const NAMES: usize = 10_000;
/// Pushes at a time.
const HANDS: usize = 4;

/// Both figures.
pub fn run() -> Result<()> {
    memory()?;
    routing()
}

/// Endpoints of models of their own, which differ in a line of text alone.
fn memory() -> Result<()> {
    let platform = Platform::start()?;
    let model = std::fs::read(repository("tests/models/data/breast_cancer.onnx"))?;
    let folder = tempfile::tempdir()?;
    let before = platform.resident_mib()?;
    let next = AtomicUsize::new(0);
    let push = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= MODELS {
                return Ok(());
            }
            let file = folder.path().join(format!("{number}.onnx"));
            std::fs::write(&file, named(&model, number)?)?;
            platform.deploy(&file, &format!("small-{number}"))?;
        }
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(push)).collect();
        hands.into_iter().try_for_each(|hand| hand.join().map_err(|_| "a push broke off")?)
    })?;
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let server = platform.server();
    // Each answers once, so that whatever is loaded on demand is.
    for number in 0..MODELS {
        let path = format!("/v2/models/small-{number}/infer");
        server.call("POST", &path, bodies.first().ok_or("no body")?)?;
    }
    let after = platform.resident_mib()?;
    anstream::println!(
        "endpoints: {MODELS} of small models: {after:.0} MiB resident with Postgres, {before:.0} without them, {:.0} KiB each",
        (after - before) * 1024.0 / MODELS as f64,
    );
    Ok(())
}

/// A copy of a model that another digest has: the field `doc_string`, of which the last one counts.
fn named(model: &[u8], number: usize) -> Result<Vec<u8>> {
    let text = format!("copy {number}");
    let length = u8::try_from(text.len())?;
    Ok([model, &[0x32, length], text.as_bytes()].concat())
}

/// Endpoints of one model: one of them against 10,000, and 10,000 in turn.
fn routing() -> Result<()> {
    let model = repository("tests/models/data/breast_cancer.onnx");
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let (few, many) = (Platform::start()?, Platform::start()?);
    few.deploy(&model, "e0")?;
    many.deploy(&model, "e0")?;
    let server = many.server();
    for number in 1..NAMES {
        server.json("PUT", &format!("/api/v1/endpoints/e{number}"), &json!({"model": "e0/1"}))?;
    }
    while server.call("GET", &format!("/v2/models/e{}/ready", NAMES - 1), "").is_err() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let target = |platform: &Platform, names: usize| {
        let server = platform.server();
        let requests = (0..names.max(bodies.len())).map(|at| {
            let path = format!("/v2/models/e{}/infer", at % names);
            server.request("POST", &path, bodies.get(at % bodies.len()).map_or("", |body| body))
        });
        Target::again(&server, requests.collect())
    };
    let (alone, among, all) = (target(&few, 1), target(&many, 1), target(&many, NAMES));
    let (mut among_ratios, mut all_ratios, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let alone = alone.press(64, TURN)?.rate();
        among_ratios.push(among.press(64, TURN)?.rate() / alone);
        all_ratios.push(all.press(64, TURN)?.rate() / alone);
        rates.push(alone);
    }
    anstream::println!(
        "endpoints: routing, 64 connections: {:.0} requests/s with one endpoint; one among {NAMES} {:.2}x, {NAMES} in turn {:.2}x",
        median(&mut rates),
        median(&mut among_ratios),
        median(&mut all_ratios),
    );
    Ok(())
}
