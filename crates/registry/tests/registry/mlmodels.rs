//! Versions that MLflow packaged; the `MLmodel` files are its own, of crate `domain`'s tests.

use serde_json::{Value, json};

use crate::{
    onnx,
    platform::{Platform, versions_of},
};

macro_rules! written {
    ($name:literal) => {
        include_bytes!(concat!("../../../domain/tests/mlmodels/", $name))
    };
}

const ONNX: &[u8] = written!("3.17.2/onnx/MLmodel");
const ONNX_COLUMNS: &[u8] = written!("3.17.2/onnx-columns/MLmodel");
const ONNX_EXAMPLE: &[u8] = written!("3.17.2/onnx/serving_input_example.json");
const SKLEARN: &[u8] = written!("2.22.2/sklearn-columns/MLmodel");
const SKLEARN_EXAMPLE: &[u8] = written!("2.22.2/sklearn-columns/serving_input_example.json");
const XGBOOST: &[u8] = written!("3.17.2/xgboost/MLmodel");
const NESTED: &[u8] = written!("3.17.2/pyfunc-nested/MLmodel");
const TYPES: &[u8] = written!("3.17.2/pyfunc-types/MLmodel");
const EXAMPLE: &str = "serving_input_example.json";

/// Registers these files, and more of the body.
async fn push(
    platform: &Platform,
    files: &[(&str, &[u8])],
    more: Value,
) -> crate::platform::Answer {
    let mut listed = Vec::new();
    for (path, content) in files {
        listed.push(platform.file(path, content).await);
    }
    let mut body = json!({"files": listed});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    platform.post(&versions_of("fraud"), body).await
}

async fn made(platform: &Platform, files: &[(&str, &[u8])]) -> Value {
    push(platform, files, json!({})).await.expect(201)
}

async fn refused(platform: &Platform, files: &[(&str, &[u8])]) -> String {
    push(platform, files, json!({})).await.refusal(400, Some("files"))
}

#[actix_web::test]
async fn an_onnx_flavour_is_tried_with_the_example_that_mlflow_wrote() {
    let platform = Platform::start().await;
    let model = onnx::model(1);
    let files = [("MLmodel", ONNX), ("model.onnx", &model), (EXAMPLE, ONNX_EXAMPLE)];
    let version = made(&platform, &files).await;
    for (field, expected) in [
        ("status", "pending"),
        ("servable", "checking"),
        ("runtime", "onnx"),
        ("model_file", "model.onnx"),
        ("loader_module", "mlflow.onnx"),
    ] {
        assert_eq!(version[field], expected, "{field}");
    }
    assert_eq!(version["signature"]["inputs"][0]["shape"], json!(["batch", 2]));
    let x =
        json!({"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.5, 31.0, 200.0, 44.0]});
    assert_eq!(version["input_example"], json!({"inputs": [x]}));
    assert_eq!(version["flavors"]["onnx"]["data"], "model.onnx");
    assert_eq!(version["flavors"]["python_function"]["env"]["conda"], "conda.yaml");
    assert_eq!(version["mlmodel"]["mlflow_version"], "3.17.2");
    assert_eq!(version.get("notes"), None, "{version}");
    let shown = platform.get("/models/fraud/versions/1").await.expect(200);
    assert_eq!((&shown["flavors"], &shown["mlmodel"]), (&version["flavors"], &version["mlmodel"]));
}

#[actix_web::test]
async fn the_flavour_says_which_of_several_onnx_files_is_loaded() {
    let platform = Platform::start().await;
    let (right, wrong) = (onnx::model(1), onnx::with_output("other"));
    let text = |data: &str| format!("flavors: {{onnx: {{data: {data}}}}}\n").into_bytes();
    let file = text("right.onnx");
    let files = [("MLmodel", &file[..]), ("model.onnx", &wrong), ("right.onnx", &right)];
    let version = made(&platform, &files).await;
    assert_eq!(
        (&version["model_file"], &version["servable"]),
        (&json!("right.onnx"), &json!("checking"))
    );
    assert_eq!(version["signature"]["outputs"][0]["name"], "y");

    let (file, weights) = (text("net"), onnx::with_weights_in("w.bin"));
    let files = [
        ("MLmodel", &file[..]),
        ("net/a.onnx", &weights),
        ("net/w.bin", b"1234"),
        ("model.onnx", &wrong),
    ];
    assert_eq!(made(&platform, &files).await["model_file"], "net/a.onnx");

    let files = [("MLmodel", &file[..]), ("model.onnx", &wrong)];
    let message = refused(&platform, &files).await;
    assert_eq!(message, "`MLmodel` names the ONNX file `net`, which is not given");
    let files = [("MLmodel", &file[..]), ("net/a.onnx", &right), ("net/b.onnx", &wrong)];
    assert!(
        refused(&platform, &files)
            .await
            .contains("several files end in .onnx: `net/a.onnx`, `net/b.onnx`")
    );
    let file = text("[a]");
    let message = refused(&platform, &[("MLmodel", &file[..]), ("model.onnx", &right)]).await;
    assert_eq!(message, "`MLmodel`: `flavors.onnx.data` does not name the ONNX file");
}

#[actix_web::test]
async fn the_onnx_files_signature_stands_where_mlmodel_has_another() {
    let platform = Platform::start().await;
    let model = onnx::model(1);
    let version = made(&platform, &[("MLmodel", ONNX_COLUMNS), ("model.onnx", &model)]).await;
    assert_eq!(version["servable"], "checking");
    assert_eq!(version["signature"]["inputs"][0]["name"], "x");
    let note = "the signature in `MLmodel` is not taken over, the ONNX file's own is kept: the signature has 2 inputs, but the file has 1";
    assert_eq!(version["notes"], json!([note]));
    assert_eq!(version["mlmodel"]["inputs"], json!(["amount: double", "age: long"]));

    let tensor = |shape: &str| {
        format!(
            r#"[{{"type": "tensor", "tensor-spec": {{"dtype": "float32", "shape": {shape}}}}}]"#
        )
    };
    let fixed = format!(
        "flavors: {{onnx: {{data: model.onnx}}}}\nsignature:\n  inputs: '{0}'\n  outputs: '{0}'\n",
        tensor("[8, 2]")
    );
    let version = made(&platform, &[("MLmodel", fixed.as_bytes()), ("model.onnx", &model)]).await;
    let spec = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": [8, 2]}]);
    assert_eq!(version["signature"], json!({"inputs": spec("x"), "outputs": spec("y")}));
    assert_eq!(version.get("notes"), None, "{version}");
}

#[actix_web::test]
async fn flavours_that_need_python_wait_for_their_trial() {
    let platform = Platform::start().await;
    let stray = onnx::model(1);
    let files = [
        ("MLmodel", SKLEARN),
        ("model.pkl", b"x".as_slice()),
        (EXAMPLE, SKLEARN_EXAMPLE),
        ("extra/a.onnx", &stray),
        ("python_env.yaml", b"python: 3.11.2\ndependencies: [-r requirements.txt]\n"),
        ("requirements.txt", b"mlflow==2.22.2\nscikit-learn==1.9.1\n"),
    ];
    let version = made(&platform, &files).await;
    for (field, expected) in [
        ("status", "pending"),
        ("servable", "checking"),
        ("runtime", "python"),
        ("loader_module", "mlflow.sklearn"),
        ("model_file", "model.pkl"),
    ] {
        assert_eq!(version[field], expected, "{field}");
    }
    assert_eq!(
        version["signature"]["inputs"][1],
        json!({"name": "age", "datatype": "INT64", "shape": [-1]})
    );
    assert_eq!(version["input_example"]["inputs"][1]["data"], json!([31, 44]));
    assert_eq!(version["flavors"]["sklearn"]["pickled_model"], "model.pkl");
    let needs = json!({"flavour": "sklearn", "version": "3.11.2", "requirements": ["scikit-learn==1.9.1", "numpy", "pandas"]});
    assert_eq!(version["python"], needs);
}

#[actix_web::test]
async fn what_a_python_process_could_not_run_says_why() {
    let platform = Platform::start().await;
    let model = [("MLmodel", XGBOOST), ("model.json", b"{}".as_slice())];
    let with = |requirements: &'static str| {
        [model.as_slice(), &[("requirements.txt", requirements.as_bytes())]].concat()
    };
    for (files, reason) in [
        (model.to_vec(), "no packages are named"),
        (with("-r other.txt\n"), "the requirement `-r other.txt` is an option"),
        (
            with("git+https://example.org/x.git\n"),
            "the requirement `git+https://example.org/x.git` names",
        ),
        (vec![("MLmodel", XGBOOST), ("requirements.txt", b"xgboost")], "`MLmodel` names `model."),
    ] {
        let version = made(&platform, &files).await;
        let found = version["reason"].as_str().unwrap();
        assert!(found.starts_with(reason), "{found}");
        assert_eq!((&version["status"], &version["servable"]), (&json!("ready"), &json!("no")));
    }
    let version = made(&platform, &[("MLmodel", NESTED)]).await;
    assert!(version["reason"].as_str().unwrap().starts_with("it has no signature"), "{version}");
    assert_eq!(version.get("signature"), None);
    let note = "the signature in `MLmodel` is not taken over, it is left out: input `scores: array of double` is no tensor and no plain column";
    assert_eq!(version["notes"], json!([note]));
    let version = made(&platform, &[("MLmodel", TYPES)]).await;
    assert_eq!(
        version["notes"],
        json!(["MLflow may leave out inputs that are asked for here: `string`"])
    );
    let version = made(&platform, &[("MLmodel", b"flavors: {crate: {version: 1}}\n")]).await;
    assert_eq!(
        (&version["runtime"], &version["reason"]),
        (&json!("none"), &json!("no runtime here can serve its flavour `crate`"))
    );
    let version = made(&platform, &[("MLmodel", b"flavors: {}\n")]).await;
    assert_eq!(version["reason"], "`MLmodel` names no flavour");

    let endpoint = json!({"model": "fraud/1"});
    let answer = platform.put("/endpoints/fraud", endpoint).await.expect(409);
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("no packages are named"),
        "{answer}"
    );
}

#[actix_web::test]
async fn an_example_that_cannot_be_a_request_is_left_out_and_said() {
    let platform = Platform::start().await;
    let model = onnx::model(1);
    let long = vec![b' '; (1 << 20) + 1];
    for (example, why) in [
        (&b"{\"inputs\": [[1, null]]}"[..], "`x` gets `null`: expected FP32"),
        (
            b"{\"inputs\": [[1, 2, 3]]}",
            "the input example does not fit the model: `x` has shape [1, 3], but the model expects [batch, 2]",
        ),
        (b"{", "it is no JSON: EOF while parsing an object at line 1 column 1"),
        (&long, "it has 1048577 bytes: expected at most 1048576"),
    ] {
        let files = [("MLmodel", ONNX), ("model.onnx", &model), (EXAMPLE, example)];
        let version = made(&platform, &files).await;
        assert_eq!(
            (&version["servable"], version.get("input_example")),
            (&json!("checking"), None)
        );
        let note = format!("the input example `{EXAMPLE}` is left out: {why}");
        assert_eq!(version["notes"], json!([note]));
    }
    let version = made(&platform, &[("MLmodel", ONNX), ("model.onnx", &model)]).await;
    let note = format!("the input example `{EXAMPLE}` is left out: the file is not given");
    assert_eq!(version["notes"], json!([note]));

    let given =
        json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [7, 8]}]});
    let files = [("MLmodel", ONNX), ("model.onnx", &model[..]), (EXAMPLE, ONNX_EXAMPLE)];
    let version = push(&platform, &files, json!({"input_example": given})).await.expect(201);
    assert_eq!(version["input_example"], given, "what its author gave comes first");
}

#[actix_web::test]
async fn a_broken_mlmodel_is_refused_with_what_is_wrong_where() {
    let platform = Platform::start().await;
    let model = onnx::model(1);
    let long = vec![b'#'; (1 << 20) + 1];
    for (content, expected) in [
        (&b""[..], "`MLmodel`: it is empty"),
        (b"\xff\xfe", "`MLmodel`: YAML parser input is not valid UTF-8"),
        (b"- a\n", "`MLmodel`: expected mapping"),
        (b"flavors: {}\nflavors: {}\n", "`MLmodel`: duplicate mapping key `flavors`"),
        (
            b"flavors: {}\nsignature: {inputs: '['}\n",
            "`MLmodel`: `signature.inputs` is not the JSON text",
        ),
        (&long, "`MLmodel`: it has 1048577 bytes: expected at most 1048576"),
    ] {
        let message = refused(&platform, &[("MLmodel", content), ("model.onnx", &model)]).await;
        assert!(message.starts_with(expected), "{message}");
    }
    platform.get("/models/fraud").await.expect(404);
}

#[actix_web::test]
async fn a_model_that_is_one_folder_down_is_found() {
    let platform = Platform::start().await;
    let model = onnx::model(1);
    let example = format!("model/{EXAMPLE}");
    let files = [
        ("README.md", &b"x"[..]),
        ("model/MLmodel", ONNX),
        ("model/model.onnx", &model),
        (&example, ONNX_EXAMPLE),
    ];
    let version = made(&platform, &files).await;
    assert_eq!(
        (&version["model_file"], &version["runtime"]),
        (&json!("model/model.onnx"), &json!("onnx"))
    );
    assert_eq!(version["input_example"]["inputs"][0]["shape"], json!([2, 2]));
    let message = refused(&platform, &[("a/MLmodel", ONNX), ("b/MLmodel", SKLEARN)]).await;
    assert_eq!(message, "2 folders hold an MLmodel file: `a/MLmodel`, `b/MLmodel`");
    // What a model keeps within it is its own affair.
    let files = [("MLmodel", SKLEARN), ("a/MLmodel", ONNX), ("b/MLmodel", ONNX)];
    assert_eq!(made(&platform, &files).await["loader_module"], "mlflow.sklearn");
    let version = made(&platform, &[("a/b/MLmodel", SKLEARN)]).await;
    assert_eq!((&version["runtime"], version.get("flavors")), (&json!("none"), None));
}

#[actix_web::test]
async fn the_run_that_logged_it_is_its_lineage_and_its_signature_counts() {
    let platform = Platform::start().await;
    let run = "0123456789abcdef0123456789abcdef";
    let logged = [NESTED, b"run_id: 0123456789abcdef0123456789abcdef\n"].concat();
    let version = made(&platform, &[("MLmodel", &logged)]).await;
    assert_eq!(version["lineage"], json!({"run_id": run}));
    let given = json!({"lineage": {"run_id": "mine"}, "force": true});
    let version = push(&platform, &[("MLmodel", &logged)], given).await.expect(201);
    assert_eq!(version["lineage"], json!({"run_id": "mine"}));
    platform.post("/models/fraud/rules", json!({"rule": "has signature"})).await.expect(201);
    platform.put("/models/fraud/aliases/champion", json!({"version": 1})).await.expect(200);
    made(&platform, &[("MLmodel", written!("3.17.2/sklearn-bare/MLmodel"))]).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 3})).await.expect(403);
}
