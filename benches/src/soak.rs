//! Predictions for minutes on end: whether memory stays as it is.

use std::time::{Duration, Instant};

use crate::{Result, load, load::Target, platform::Platform, repository};

/// The figures; so many minutes, 10 unless said.
pub fn run(minutes: Option<&String>) -> Result<()> {
    let minutes: u64 = minutes.map_or("10", String::as_str).parse()?;
    let platform = Platform::start()?;
    platform.deploy(&repository("tests/models/data/breast_cancer.onnx"), "cancer")?;
    let server = platform.server();
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let requests =
        bodies.iter().map(|body| server.request("POST", "/v2/models/cancer/infer", body));
    let target = Target::again(&server, requests.collect());
    let begun = Instant::now();
    let (mut first, mut last, mut requests) = ([0.0; 2], [0.0; 2], 0.0);
    for minute in 1..=minutes.max(2) {
        let left =
            (begun + Duration::from_secs(60 * minute)).saturating_duration_since(Instant::now());
        requests += target.press(16, left)?.requests;
        last = [platform.own_mib()?, platform.resident_mib()?];
        // The first minute fills what is kept.
        if minute == 1 {
            first = last;
        }
        let [own, all] = last;
        anstream::println!("  minute {minute:3}: {own:.1} MiB resident, {all:.1} with Postgres");
    }
    anstream::println!("soak: {requests:.0} requests, 16 connections");
    for (whose, first, last) in
        [("the server", first[0], last[0]), ("with Postgres", first[1], last[1])]
    {
        anstream::println!(
            "  {whose}: {first:.1} MiB after a minute, {last:.1} at the end ({:+.1} %)",
            100.0 * (last / first - 1.0),
        );
    }
    Ok(())
}
