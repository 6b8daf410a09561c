//! Postgres is away: first it stands still, then it is killed and started again.
//!
//! How long, each time, is in `BOTTEGA_OUTAGE_SECONDS`; `./just outage` says a minute.

use std::time::Duration;

use bottega_tests::{Caller, Options, Postgres, Server, model, wait_for};
use serde_json::{Value, json};
use tokio::{task::block_in_place, time::sleep};

use crate::load::{Load, request, slowest};

const PATIENCE: Duration = Duration::from_secs(60);

fn seconds() -> Duration {
    let seconds = std::env::var("BOTTEGA_OUTAGE_SECONDS").map_or(10, |it| it.parse().unwrap());
    Duration::from_secs(seconds)
}

fn serving(postgres: &Postgres) -> Server {
    let url = postgres.url();
    let arguments = ["--database-url", &url, "--capture-flush", "1s"].map(str::to_owned).into();
    let server = Server::start_with(Options { arguments, ..Options::default() });
    server.serve("cancer", &model("breast_cancer.onnx"));
    server.cli(["endpoints", "capture", "cancer", "--rate", "1"]).json();
    server.cli(["quota", "set", "user:admin", "predictions_per_month=100000000"]).json();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_no_prediction_fails_and_all_are_counted_after() {
    let mut postgres = block_in_place(Postgres::start);
    let server = block_in_place(|| serving(&postgres));
    // What was set is known to the gateway by then.
    sleep(Duration::from_secs(2)).await;
    let load = Load::on(&server, 3, Duration::from_millis(10));
    sleep(Duration::from_secs(2)).await;
    postgres.freeze();
    sleep(seconds()).await;
    postgres.thaw();
    sleep(Duration::from_secs(3)).await;
    block_in_place(|| postgres.kill());
    sleep(seconds()).await;
    block_in_place(|| postgres.start_again());
    sleep(Duration::from_secs(3)).await;
    let answers = load.stop().await;
    let count: u64 = answers.iter().map(|answers| answers.len() as u64).sum();
    eprintln!("{count} answers, slowest {:?}", slowest(&answers));
    block_in_place(|| all_are_counted(&postgres, &server, count));
}

fn all_are_counted(postgres: &Postgres, server: &Server, count: u64) {
    let used = || {
        let usage = server.cli(["usage", "--by", "endpoint"]).json();
        let items = usage["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["endpoint"] == "cancer");
        item.map_or(Value::Null, |item| item["requests"].clone())
    };
    wait_for("what was used", PATIENCE, used, |used| *used == count);
    let number = |query: &str| json!(postgres.value(query).parse::<u64>().unwrap());
    let sketched = "SELECT coalesce(sum(rows), 0) FROM capture_sketches
        WHERE role = 'output' AND name = 'label'";
    wait_for("rows in distributions", PATIENCE, || number(sketched), |rows| *rows == count);
    let kept = "SELECT coalesce(sum(rows), 0) FROM capture_segments";
    wait_for("rows that are kept", PATIENCE, || number(kept), |rows| *rows == count);
    // What is owed is paid by the next lease.
    let caller = Caller::of(server);
    let month = || {
        caller.json("POST", "/v2/models/cancer/infer", &request()).expect(200);
        server.cli(["quota", "show"]).json()["used"]["predictions_per_month"].clone()
    };
    wait_for("the month's quota", PATIENCE, month, |used| used.as_u64() >= Some(count));
    eprintln!("the quota counts {} for {count} predictions", month());
}
