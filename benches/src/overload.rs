//! Three times as many requests as can be answered: what is answered all the same, and how late.

use std::time::Duration;

use serde_json::json;

use crate::{Result, TURN, TURNS, load::Target, median, platform::Platform, repository};

/// How long a run shall take about: so long that the load itself costs little beside it.
const RUN: f64 = 2.0;
/// Connections that offer it, more than ever wait.
const CONNECTIONS: usize = 512;

/// The figures.
pub fn run() -> Result<()> {
    let platform = Platform::start()?;
    platform.deploy(&repository("tests/models/data/slow.onnx"), "slow")?;
    let server = platform.server();
    let target = |iterations: u64| {
        let body = json!({"inputs": [{
            "name": "iterations", "shape": [1], "datatype": "INT64", "data": [iterations],
        }]});
        let request = server.request("POST", "/v2/models/slow/infer", &body.to_string());
        Target::again(&server, vec![request])
    };
    let mut iterations = 100;
    while target(iterations).press(1, Duration::from_millis(500))?.p50 < RUN {
        iterations *= 2;
    }
    let target = target(iterations);
    let (mut goodput, mut late, mut shed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let unloaded = target.press(1, TURN)?;
        let mut peak: f64 = 0.0;
        for connections in [2, 4, 8, 16] {
            peak = peak.max(target.press(connections, TURN / 2)?.rate());
        }
        let offered = target.offer(3.0 * peak, CONNECTIONS, TURN * 2)?;
        goodput.push(offered.answered.rate() / peak);
        late.push(offered.answered.p99 / unloaded.p99);
        shed.push(offered.refused / (offered.refused + offered.answered.requests));
    }
    anstream::println!(
        "overload: three times the peak offered, runs of {RUN} ms and more: goodput {:.2} of the peak, p99 of what is answered {:.1}x unloaded, {:.0} % refused",
        median(&mut goodput),
        median(&mut late),
        100.0 * median(&mut shed),
    );
    Ok(())
}
