//! Trees of XGBoost that the node runs, against the same trees as ONNX and in Python's process, over HTTP. They
//! take turns, and the ratios are medians of the turns.

use serde_json::Value;

use crate::{
    Result, TURN, TURNS, http::Server, load, load::Target, median, platform::Platform, python,
    repository,
};

/// What was set as limits, at one row: of what ONNX answers, and times what Python answers.
const ASKED: (f64, f64) = (1.0 / 1.2, 5.0);
const SCRIPT: &str = "benches/src/trees/model.py";

/// Measures, and prints.
pub fn run() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("bottega-bench-").tempdir()?;
    let (booster, onnx) = (folder.path().join("model"), folder.path().join("trees.onnx"));
    python::script(SCRIPT, &[python::text(&booster)?, python::text(&onnx)?])?;
    let platform = Platform::start()?;
    platform.deploy(&booster, "native")?;
    platform.deploy(&onnx, "onnx")?;
    platform.cli(&["push", python::text(&booster)?, "--name", "python"])?;
    platform.cli(&["versions", "set", "python/1", "--isolation", "process"])?;
    platform.cli(&["deploy", "python", "--model", "python/1", "--wait"])?;
    let server = platform.server();
    let shown: Value =
        serde_json::from_str(&server.call("GET", "/api/v1/models/native/versions/1", "")?)?;
    if shown["python"]["engine"] != "native" {
        return Err(format!("Python runs it: {}", shown["python"]["engine_reason"]).into());
    }
    anstream::println!(
        "trees: 100 of depth 6, XGBoost, by the node, as ONNX, in Python's process (requests/s; p50 / p99 in ms)"
    );
    let one = named(load::bodies(&example())?)?;
    same(&server, &one)?;
    let asked = |name: &str| {
        let path = format!("/v2/models/{name}/infer");
        Target::again(&server, one.iter().map(|body| server.request("POST", &path, body)).collect())
    };
    compare("one row, V2 JSON", asked)?;
    let many = load::binary_bodies(&example(), 64)?;
    let (heads, rows): (Vec<_>, Vec<_>) = many.into_iter().unzip();
    let heads = named(heads)?;
    let asked = |name: &str| {
        let path = format!("/v2/models/{name}/infer");
        let requests = heads.iter().zip(&rows).map(|(head, rows)| server.binary(&path, head, rows));
        Target::again(&server, requests.collect())
    };
    compare("64 rows, V2 binary", asked)
}

fn example() -> std::path::PathBuf {
    repository("tests/models/data/breast_cancer.example.json")
}

/// The same requests, for inputs as MLflow calls them.
fn named(bodies: Vec<String>) -> Result<Vec<String>> {
    let renamed = bodies.iter().map(|body| {
        let mut body: Value = serde_json::from_str(body)?;
        body["inputs"][0]["name"] = "input-0".into();
        Ok(body.to_string())
    });
    renamed.collect()
}

/// Whether all three say the same, as far as 32 bits tell.
fn same(server: &Server, bodies: &[String]) -> Result<()> {
    let said = |name: &str, body: &str| -> Result<f64> {
        let answer = server.call("POST", &format!("/v2/models/{name}/infer"), body)?;
        let answer: Value = serde_json::from_str(&answer)?;
        answer["outputs"][0]["data"][0].as_f64().ok_or_else(|| "no number".into())
    };
    for body in bodies {
        let native = said("native", body)?;
        for other in ["onnx", "python"] {
            let other_said = said(other, body)?;
            if (native - other_said).abs() > 1e-5 {
                return Err(format!("{other} says {other_said}, not {native}").into());
            }
        }
    }
    Ok(())
}

fn compare(form: &str, target: impl Fn(&str) -> Target) -> Result<()> {
    let (native, onnx, python) = (target("native"), target("onnx"), target("python"));
    for connections in [1, 16, 64] {
        let (mut to_onnx, mut to_python) = (Vec::new(), Vec::new());
        let mut best = [load::Figures::default(); 3];
        for _ in 0..TURNS {
            let turn = [&native, &onnx, &python].map(|target| target.press(connections, TURN));
            let [here, onnx, python] = turn;
            let figures = [here?, onnx?, python?];
            to_onnx.push(figures[0].rate() / figures[1].rate());
            to_python.push(figures[0].rate() / figures[2].rate());
            for (best, figures) in best.iter_mut().zip(figures) {
                *best = best.best(figures);
            }
        }
        let ([here, onnx, python], (of_onnx, times_python)) = (best, ASKED);
        anstream::println!(
            "  {form}, {connections:2} connections   node {here}   ONNX {onnx}   Python {python}   of ONNX {:.2}, times Python {:.1} (asked at one row: {of_onnx:.2}, {times_python})",
            median(&mut to_onnx),
            median(&mut to_python),
        );
    }
    Ok(())
}
