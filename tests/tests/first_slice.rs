//! A model goes from a file to an answer, as the README tells it.

use bottega_tests::{Options, Server, model, model_json};
use serde_json::{Value, json};

/// Asserts that an answer has the expected outputs: numbers to 1e-5, everything else exactly.
fn assert_close(answer: &Value, expected: &Value, model: &str) {
    let outputs = |body: &Value| body["outputs"].as_array().unwrap().clone();
    assert_eq!(outputs(answer).len(), outputs(expected).len(), "{model}");
    for (got, wanted) in outputs(answer).iter().zip(outputs(expected)) {
        for key in ["name", "datatype"] {
            assert_eq!(got[key], wanted[key], "{model}");
        }
        let (got, wanted) = (got["data"].as_array().unwrap(), wanted["data"].as_array().unwrap());
        assert_eq!(got.len(), wanted.len(), "{model}");
        for (got, wanted) in got.iter().zip(wanted) {
            match (got.as_f64(), wanted.as_f64()) {
                (Some(got), Some(wanted)) => {
                    assert!((got - wanted).abs() <= 1e-5, "{model}: {got} is not {wanted}")
                }
                _ => assert_eq!(got, wanted, "{model}"),
            }
        }
    }
}

#[test]
fn three_real_models_answer_as_python_does() {
    let server = Server::start();
    for name in ["breast_cancer", "digits", "color_size"] {
        let endpoint = name.replace('_', "-");
        let example = model(&format!("{name}.example.json"));
        let pushed = server
            .cli([
                "push",
                model(&format!("{name}.onnx")).to_str().unwrap(),
                "--name",
                name,
                "--input-example",
                example.to_str().unwrap(),
                "--alias",
                "champion",
            ])
            .json();
        assert_eq!(
            (&pushed["status"], &pushed["servable"]),
            (&json!("ready"), &json!("yes")),
            "{pushed}"
        );
        let deployed = server
            .cli(["deploy", &endpoint, "--model", &format!("{name}@champion"), "--wait"])
            .json();
        assert_eq!(deployed["state"], "completed");
        let again = ["deploy", &endpoint, "--model", &format!("{name}@champion"), "--wait"];
        assert_eq!(server.cli(again).json(), deployed);
        let answer = server.cli(["predict", &endpoint, "--file", example.to_str().unwrap()]).json();
        assert_eq!(
            (&answer["model_name"], &answer["model_version"]),
            (&json!(endpoint), &json!("1"))
        );
        assert_close(&answer, &model_json(&format!("{name}.expected.json")), name);
    }
}

#[test]
fn pushing_the_same_bytes_again_says_so_and_makes_nothing() {
    let server = Server::start();
    let file = model("breast_cancer.onnx");
    let push = |extra: &[&str]| {
        let mut arguments = vec!["push", file.to_str().unwrap(), "--name", "credit risk"];
        arguments.extend(extra);
        server.cli(arguments).json()
    };
    let first = push(&[]);
    assert_eq!((&first["version"], &first["created"]), (&json!(1), &json!(true)));
    let again = push(&[]);
    assert_eq!((&again["version"], &again["created"]), (&json!(1), &json!(false)));
    assert_eq!(first["digest"], again["digest"]);
    let forced = push(&["--force"]);
    assert_eq!((&forced["version"], &forced["created"]), (&json!(2), &json!(true)));
}

#[test]
fn folders_and_archives_with_weights_beside_serve_as_files_do() {
    let server = Server::start();
    let folder = model("external/model.onnx").parent().unwrap().to_owned();
    let pushed = server.cli(["push", folder.to_str().unwrap(), "--name", "external"]).json();
    assert_eq!(pushed["servable"], "yes", "{pushed}");
    for archive in ["good.zip", "good.tar", "good.tar.gz"] {
        let pushed =
            server.cli(["push", model(archive).to_str().unwrap(), "--name", archive]).json();
        assert_eq!(pushed["servable"], "yes", "{archive}: {pushed}");
    }
}

#[test]
fn a_version_comes_back_whole_and_verifies_without_a_network() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("there");
    let folder = to.to_str().unwrap();
    let pulled = server.cli(["pull", "cancer@champion", "--to", folder]).json();
    assert_eq!(pulled["version"], 1);
    let brought = std::fs::read(to.join("breast_cancer.onnx")).unwrap();
    assert_eq!(brought, std::fs::read(model("breast_cancer.onnx")).unwrap());
    let offline = || {
        let mut command = server.cli_command();
        command.env("BOTTEGA_URL", "http://127.0.0.1:1");
        command
            .args(["pull", "cancer/1", "--to", folder, "--verify", "--output", "json"])
            .output()
            .unwrap()
    };
    assert!(offline().status.success());
    std::fs::write(to.join("breast_cancer.onnx"), b"something else").unwrap();
    let changed = offline();
    assert_eq!(changed.status.code(), Some(1));
    assert!(String::from_utf8(changed.stderr).unwrap().contains("breast_cancer.onnx"));
}

#[test]
fn every_datatype_goes_through_unchanged() {
    let server = Server::start();
    let cases = [
        ("bool", "BOOL", json!([true, false, true, true])),
        ("uint8", "UINT8", json!([0, 7, 254, 255])),
        ("uint16", "UINT16", json!([0, 7, 65_534, 65_535])),
        ("uint32", "UINT32", json!([0, 7, 4_294_967_294_u32, u32::MAX])),
        ("uint64", "UINT64", json!([0, 7, u64::MAX - 1, u64::MAX])),
        ("int8", "INT8", json!([-128, 0, 1, 127])),
        ("int16", "INT16", json!([-32_768, 0, 1, 32_767])),
        ("int32", "INT32", json!([i32::MIN, 0, 1, i32::MAX])),
        ("int64", "INT64", json!([i64::MIN, 0, 1, i64::MAX])),
        ("fp16", "FP16", json!([-2.5, 0.0, 1.0, 65_504.0])),
        ("bf16", "BF16", json!([-2.5, 0.0, 1.0, 3.0])),
        ("fp32", "FP32", json!([-2.5, 0.0, 0.1, 3.4e38])),
        ("fp64", "FP64", json!([-2.5, 0.0, 0.1, 1.7e308])),
        ("bytes", "BYTES", json!(["", "žluťoučký kůň", "モデル", "\"quoted\"\n"])),
    ];
    for (name, datatype, data) in cases {
        server.serve(name, &model(&format!("identity/{name}.onnx")));
        let schema = server.cli(["endpoints", "schema", name]).json();
        let input = &schema["signature"]["inputs"][0];
        assert_eq!(input["datatype"], datatype);
        let body = json!({"id": "7", "inputs": [{"name": input["name"], "shape": [2, 2], "datatype": datatype, "data": data}]});
        let answer = server.cli(["predict", name, "--json", &body.to_string()]).json();
        assert_eq!(answer["id"], "7");
        let output = &answer["outputs"][0];
        assert_eq!(output["datatype"], datatype);
        let same = output["data"].as_array().unwrap().iter().zip(data.as_array().unwrap()).all(
            |(got, sent)| {
                match (got.as_f64(), sent.as_f64()) {
                    // FP32 is written shortest: 0.1 comes back as 0.1, not as its double.
                    (Some(got), Some(sent)) if datatype.starts_with("FP") || datatype == "BF16" => {
                        (got - sent).abs() <= sent.abs() * 1e-6
                    }
                    _ => got == sent,
                }
            },
        );
        assert!(same, "{name}: {} is not {data}", output["data"]);
    }
}

#[test]
fn a_rejected_version_says_why_and_exits_with_1() {
    let server = Server::start();
    let file = model("unknown_operator.onnx");
    let pushed = server.cli(["push", file.to_str().unwrap(), "--name", "odd"]);
    let error = pushed.error(1);
    assert!(error["message"].as_str().unwrap().contains("NoSuchOp"), "{error}");
    let version = server.cli(["versions", "show", "odd/1"]).json();
    assert_eq!((&version["status"], &version["servable"]), (&json!("rejected"), &json!("no")));
    let refused = server.cli(["deploy", "odd", "--model", "odd/1"]).error(1);
    assert_eq!(refused["code"], "conflict");
    assert!(refused["message"].as_str().unwrap().contains("NoSuchOp"), "{refused}");
}

#[test]
fn an_example_that_the_model_cannot_answer_is_refused() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let example = folder.path().join("example.json");
    std::fs::write(
        &example,
        r#"{"inputs":[{"name":"x","shape":[1,30],"datatype":"FP32","data":[1]}]}"#,
    )
    .unwrap();
    let file = model("breast_cancer.onnx");
    let pushed = server.cli([
        "push",
        file.to_str().unwrap(),
        "--name",
        "cancer",
        "--input-example",
        example.to_str().unwrap(),
    ]);
    let error = pushed.error(1);
    assert!(error["message"].as_str().unwrap().contains('x'), "{error}");
}

#[test]
fn nobody_is_told_anything_and_the_users_home_stays_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap().to_owned();
    let environment = [("HOME", path.clone()), ("XDG_CACHE_HOME", format!("{path}/.cache"))];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    // As for whoever starts it without the tests' own environment.
    let under = ["env", "-u", "ORT_DISABLE_TELEMETRY"].map(str::to_owned).into();
    let server = Server::start_with(Options { environment, under, ..Options::default() });
    server.serve("cancer", &model("breast_cancer.onnx"));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
