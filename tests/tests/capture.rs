//! Predictions that are captured: by the real binary, read by its users and by Python.

use std::{path::Path, process::Command, time::Duration};

use bottega_tests::{Caller, Options, Server, model, model_json, tool, wait_until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

fn serving() -> Server {
    let arguments = ["--capture-flush", "200ms"].map(str::to_owned).into();
    let server = Server::start_with(Options { arguments, ..Options::default() });
    server.serve("cancer", &model("breast_cancer.onnx"));
    server
}

fn infer(server: &Server, id: &str, rows: usize, first: f64) {
    let mut data = vec![0.5; rows * 30];
    data[0] = first;
    let body = json!({"id": id, "inputs": [
        {"name": "features", "datatype": "FP32", "shape": [rows, 30], "data": data},
    ]});
    Caller::of(server).json("POST", "/v2/models/cancer/infer", &body).expect(200);
}

fn captured(server: &Server, query: &str) -> Vec<Value> {
    let (status, body) = server.get_as_admin(&format!("/api/v1/endpoints/cancer/captured?{query}"));
    assert_eq!(status, 200, "{body}");
    body["items"].as_array().unwrap().clone()
}

fn metrics(server: &Server) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let asked = server.plain().get(format!("{}/metrics", server.url)).bearer_auth(server.token);
        asked.send().await.unwrap().text().await.unwrap()
    })
}

fn keep_all(server: &Server) {
    let set = server.cli(["endpoints", "capture", "cancer", "--rate", "1"]).json();
    assert_eq!(
        (&set["rate"], &set["sketches"], &set["retention"]),
        (&json!(1.0), &json!(true), &json!("30d"))
    );
    // A gateway hears of it within a moment.
    let mut at = 0;
    wait_until("rows are kept", PATIENCE, || {
        at += 1;
        infer(server, &format!("try-{at}"), 1, 0.0);
        std::thread::sleep(Duration::from_millis(300));
        !captured(server, "limit=1").is_empty()
    });
}

/// The files of artifacts that are Parquet, read by pyarrow: each row of all of them.
fn read_by_python(folder: &Path) -> Vec<Value> {
    let script = "
import glob, json, sys
import pyarrow.parquet as parquet
rows = []
for path in glob.glob(sys.argv[1] + '/*'):
    with open(path, 'rb') as file:
        if file.read(4) != b'PAR1':
            continue
    table = parquet.read_table(path)
    rows += table.to_pylist()
print(json.dumps(rows, default=str))
";
    let python =
        Command::new(tool("BOTTEGA_MLFLOW3")).args(["-c", script]).arg(folder).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    serde_json::from_slice(&python.stdout).unwrap()
}

#[test]
fn rows_are_kept_read_explained_and_deleted() {
    let server = serving();
    let shown = server.cli(["endpoints", "capture", "cancer"]).json();
    assert_eq!((&shown["revision"], &shown["rate"]), (&json!(0), &json!(0.0)));
    keep_all(&server);
    infer(&server, "inference-7", 2, 17.25);
    wait_until("its rows are there", PATIENCE, || {
        captured(&server, "inference_id=inference-7").len() == 2
    });
    let rows = captured(&server, "inference_id=inference-7");
    let first = &rows[0];
    assert_eq!(
        (&first["row"], &first["caller"], &first["protocol"]),
        (&json!(0), &json!("user:admin"), &json!("v2"))
    );
    assert_eq!(
        (&first["model"], &first["version"], &first["release"]),
        (&json!("cancer"), &json!(1), &json!(1))
    );
    let features = first["inputs"]["features"].as_array().unwrap();
    assert_eq!((features.len(), &features[0], &features[29]), (30, &json!(17.25), &json!(0.5)));
    assert_eq!(rows[1]["inputs"]["features"][0], json!(0.5));
    assert!(first["outputs"]["label"].is_i64(), "{first}");

    // What Python's readers see is the same.
    let blobs = server.data_dir().join("artifacts/blobs");
    let mut by_python = read_by_python(&blobs);
    by_python.retain(|row| row["inference_id"] == "inference-7");
    by_python.sort_by_key(|row| row["row"].as_i64());
    assert_eq!(by_python.len(), 2);
    assert_eq!(by_python[0]["input_features"], first["inputs"]["features"]);
    assert_eq!(by_python[0]["output_label"], first["outputs"]["label"]);

    let (status, inference) = server.get_as_admin("/api/v1/inferences/inference-7");
    assert_eq!(status, 200, "{inference}");
    assert_eq!(
        (&inference["endpoint"], &inference["version"]["version"]),
        (&json!("cancer"), &json!(1))
    );
    assert!(inference["version"]["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(inference["release"]["created_by"], "user:admin");
    let told = server.cli(["audit", "inference", "inference-7"]).json();
    assert_eq!(told, inference);
    let caller = Caller::of(&server);
    let (_, said) = caller.ask("GET", "/api/v1/inferences/nobody").refusal(404);
    assert!(said.contains("bottega endpoints capture"), "{said}");

    let gone = caller.ask("DELETE", "/api/v1/endpoints/cancer/captured?inference_id=inference-7");
    assert_eq!(gone.expect(200), &json!({"rows": 2, "files": 1}));
    assert!(captured(&server, "inference_id=inference-7").is_empty());
    caller.ask("GET", "/api/v1/inferences/inference-7").refusal(404);
    assert_eq!(
        caller.ask("DELETE", "/api/v1/endpoints/cancer/captured").refusal(400).0,
        "inference_id"
    );

    // Who read and who deleted is in the trail.
    for change in ["captured.read", "captured.deleted", "capture.set"] {
        wait_until(change, PATIENCE, || {
            let events = server.cli(["audit", "list", "--change", change]).json();
            !events["items"].as_array().unwrap().is_empty()
        });
    }
    let metrics = metrics(&server);
    assert!(
        metrics.contains(r#"bottega_capture_rows_total{endpoint="cancer",outcome="kept"}"#),
        "{metrics}"
    );
}

#[test]
fn what_was_written_survives_kills_and_a_quota_costs_rows_alone() {
    let server = serving();
    keep_all(&server);
    infer(&server, "before", 1, 1.0);
    wait_until("it is kept", PATIENCE, || captured(&server, "inference_id=before").len() == 1);
    let server = server.kill_and_restart();
    assert_eq!(captured(&server, "inference_id=before").len(), 1);
    infer(&server, "after", 1, 1.0);
    wait_until("it is kept", PATIENCE, || captured(&server, "inference_id=after").len() == 1);

    server.cli(["quota", "set", "user:admin", "captured_rows_per_day=0"]).json();
    std::thread::sleep(Duration::from_secs(1));
    infer(&server, "over", 1, 1.0);
    let body = model_json("breast_cancer.example.json");
    Caller::of(&server).json("POST", "/v2/models/cancer/infer", &body).expect(200);
    wait_until("it is counted", PATIENCE, || {
        metrics(&server).contains(r#"outcome="over_quota"} "#)
    });
    assert!(captured(&server, "inference_id=over").is_empty());
}
