//! Predictions for minutes on end: whether memory stays as it is.

use std::time::{Duration, Instant};

use crate::{Result, grpc, load, load::Target, platform::Platform, repository};

/// At a time; each turn makes new ones.
const CONNECTIONS: usize = 16;

/// The figures; so many minutes, 10 unless said.
pub fn run(minutes: Option<&String>) -> Result<()> {
    let minutes: u64 = minutes.map_or("10", String::as_str).parse()?;
    let platform = Platform::start()?;
    platform.deploy(&repository("tests/models/data/breast_cancer.onnx"), "cancer")?;
    let server = platform.server();
    let example = repository("tests/models/data/breast_cancer.example.json");
    let bodies = load::bodies(&example)?;
    let requests =
        bodies.iter().map(|body| server.request("POST", "/v2/models/cancer/infer", body));
    let json = Target::again(&server, requests.collect());
    let requests = grpc::requests(&example, "cancer", 1)?;
    let grpc = grpc::Target::new(&platform.grpc()?, Some(&platform.authorization()), &requests)?;
    let begun = Instant::now();
    let (mut first, mut last, mut requests) = ([0.0; 2], [0.0; 2], 0.0);
    for minute in 1..=minutes.max(2) {
        let end = begun + Duration::from_secs(60 * minute);
        let half = end.saturating_duration_since(Instant::now()) / 2;
        requests += json.press(CONNECTIONS, half)?.requests;
        let left = end.saturating_duration_since(Instant::now());
        requests += grpc.press(CONNECTIONS, left)?.requests;
        last = [platform.own_mib()?, platform.resident_mib()?];
        // The first minute fills what is kept.
        if minute == 1 {
            first = last;
        }
        let [own, all] = last;
        anstream::println!("  minute {minute:3}: {own:.1} MiB resident, {all:.1} with Postgres");
    }
    anstream::println!(
        "soak: {requests:.0} requests, by JSON and gRPC in turns, {CONNECTIONS} connections"
    );
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
