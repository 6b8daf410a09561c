//! What an endpoint keeps of its goodput beside one whose model floods its output, takes all memory, forks,
//! computes or writes without end, or ends at each request.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    Result, TURN,
    load::{self, Target},
    median,
    platform::Platform,
    repository,
};

const MANNERS: [&str; 6] = ["floods", "grows", "forks", "burns", "writes", "dies"];
/// The endpoint is offered this part of what it can answer.
const PART: f64 = 0.3;
const CONNECTIONS: usize = 32;
/// How often each is looked at, alone and beside the other in turn.
const LOOKS: usize = 3;
/// What was set as limit.
const ASKED: f64 = 0.9;

/// Measures, and prints.
pub fn run() -> Result<()> {
    let platform = Platform::start()?;
    platform.deploy(&repository("tests/models/data/breast_cancer.onnx"), "good")?;
    platform.cli(&["settings", "set", "pickle", "allow"])?;
    let bodies = load::bodies(&repository("tests/models/data/breast_cancer.example.json"))?;
    let server = platform.server();
    let requests = bodies.iter().map(|body| server.request("POST", "/v2/models/good/infer", body));
    let good = Target::again(&server, requests.collect());
    let rate = PART * good.press(CONNECTIONS, TURN)?.rate();
    anstream::println!(
        "neighbours: {rate:.0} requests/s offered to an endpoint, beside one that …"
    );
    for manner in MANNERS {
        bad(&platform, manner)?;
        let (mut kept, mut alone_p99, mut beside_p99) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..LOOKS {
            let offer = || good.offer(rate, CONNECTIONS, Duration::ZERO, TURN);
            let alone = offer()?.answered;
            let is_over = AtomicBool::new(false);
            let beside = thread::scope(|scope| {
                scope.spawn(|| {
                    let path = format!("/v2/models/{manner}/infer");
                    let x = json!({"name": "x", "datatype": "FP32", "shape": [1], "data": [-1]});
                    let body = json!({"inputs": [x]}).to_string();
                    while !is_over.load(Relaxed) {
                        // It is refused: that is what it is for.
                        drop(server.call("POST", &path, &body));
                    }
                });
                thread::sleep(TURN / 4);
                let beside = offer();
                is_over.store(true, Relaxed);
                beside
            })?;
            let beside = beside.answered;
            kept.push(beside.rate() / alone.rate());
            alone_p99.push(alone.p99);
            beside_p99.push(beside.p99);
        }
        platform.cli(&["endpoints", "delete", manner])?;
        anstream::println!(
            "  {manner:7} keeps {:.2} of its goodput (asked: {ASKED}), p99 {:.1} ms against {:.1} ms alone",
            median(&mut kept),
            median(&mut beside_p99),
            median(&mut alone_p99),
        );
    }
    Ok(())
}

/// Serves a model that does this when it is asked.
fn bad(platform: &Platform, manner: &str) -> Result<()> {
    let folder = platform.folder().join(manner);
    fs::create_dir_all(&folder)?;
    fs::copy(repository("benches/src/python/neighbour.py"), folder.join("neighbour.py"))?;
    let says = json!({"command": ["python3", "neighbour.py", manner], "protocol": "sagemaker"});
    fs::write(folder.join("process.yaml"), says.to_string())?;
    let signature = folder.with_extension("json");
    let tensor = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": [1]}]);
    fs::write(&signature, json!({"inputs": tensor("x"), "outputs": tensor("y")}).to_string())?;
    let text =
        |path: &std::path::Path| path.to_str().map(str::to_owned).ok_or("the path is not UTF-8");
    let (folder, signature) = (text(&folder)?, text(&signature)?);
    platform.cli(&["push", &folder, "--name", manner, "--signature", &signature])?;
    let version = format!("{manner}/1");
    platform.cli(&["deploy", manner, "--model", &version, "--request-timeout", "2s", "--wait"])
}
