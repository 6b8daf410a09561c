//! The registry as MLflow's clients speak it.

use std::time::Duration;

use actix_web::http::Method;
use domain::{Runtime, Servable};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::platform::{Answer, Platform};

/// Calls with a JSON body.
async fn post(platform: &Platform, path: &str, body: Value) -> Answer {
    platform.call(Method::POST, path, body).await
}

async fn register(platform: &Platform, name: &str) {
    post(platform, "registered-models/create", json!({"name": name})).await.expect(200);
}

/// A version whose bytes are elsewhere: what most of these tests need no files for.
async fn version(platform: &Platform, name: &str) -> Answer {
    let body = json!({"name": name, "source": "s3://bucket/model"});
    post(platform, "model-versions/create", body).await
}

async fn stage(platform: &Platform, version: &str, stage: &str, archive: bool) -> Answer {
    let body = json!({
        "name": "fraud", "version": version, "stage": stage, "archive_existing_versions": archive,
    });
    post(platform, "model-versions/transition-stage", body).await
}

#[actix_web::test]
async fn a_model_is_made_once_renamed_described_and_deleted() {
    let platform = Platform::start().await;
    let new = json!({"name": "fraud", "tags": [{"key": "team", "value": "risk"}]});
    let made = post(&platform, "registered-models/create", new.clone()).await.expect(200);
    assert_eq!(made["registered_model"]["tags"], new["tags"]);
    let again = post(&platform, "registered-models/create", new).await;
    let message = again.refusal(400, "RESOURCE_ALREADY_EXISTS");
    assert_eq!(message, "Registered Model (name=fraud) already exists.");

    let update = json!({"name": "fraud", "description": "cards"});
    let updated = platform.call(Method::PATCH, "registered-models/update", update).await;
    assert_eq!(updated.expect(200)["registered_model"]["description"], "cards");
    let rename = json!({"name": "fraud", "new_name": "cards"});
    post(&platform, "registered-models/rename", rename).await.expect(200);
    let gone = platform.get("mlflow/registered-models/get?name=fraud").await;
    let message = gone.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(message, "Registered Model with name=fraud not found");
    register(&platform, "fraud").await;
    let taken = json!({"name": "fraud", "new_name": "cards"});
    post(&platform, "registered-models/rename", taken)
        .await
        .refusal(400, "RESOURCE_ALREADY_EXISTS");

    let delete = json!({"name": "cards"});
    platform.call(Method::DELETE, "registered-models/delete", delete.clone()).await.expect(200);
    let again = platform.call(Method::DELETE, "registered-models/delete", delete).await;
    again.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    register(&platform, "cards").await;
}

#[actix_web::test]
async fn of_many_who_make_a_model_at_once_one_does() {
    let platform = Platform::start().await;
    let new = || post(&platform, "registered-models/create", json!({"name": "fraud"}));
    let answers = join_all((0..10).map(|_| new())).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refusal(400, "RESOURCE_ALREADY_EXISTS");
    }
}

#[actix_web::test]
async fn fifty_racing_versions_get_fifty_numbers_in_a_row() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    let answers = join_all((0..50).map(|_| version(&platform, "fraud"))).await;
    let mut numbers: Vec<i32> = answers
        .iter()
        .map(|answer| {
            answer.expect(200)["model_version"]["version"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_number_is_not_given_again_after_its_version_is_deleted() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    version(&platform, "fraud").await.expect(200);
    let alias = json!({"name": "fraud", "alias": "champion", "version": "1"});
    post(&platform, "registered-models/alias", alias).await.expect(200);
    let gone = json!({"name": "fraud", "version": "1"});
    platform.call(Method::DELETE, "model-versions/delete", gone).await.expect(200);
    let absent = platform.get("mlflow/model-versions/get?name=fraud&version=1").await;
    let message = absent.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(message, "Model Version (name=fraud, version=1) not found");
    let model = platform.get("mlflow/registered-models/get?name=fraud").await.expect(200);
    assert_eq!(model["registered_model"].get("aliases"), None, "{model}");
    let next = version(&platform, "fraud").await.expect(200);
    assert_eq!(next["model_version"]["version"], "2");
}

#[actix_web::test]
async fn stages_hold_the_newest_of_each_and_archive_the_others() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    for _ in 0..3 {
        version(&platform, "fraud").await.expect(200);
    }
    stage(&platform, "1", "production", false).await.expect(200);
    let moved = stage(&platform, "2", "Production", true).await.expect(200);
    assert_eq!(moved["model_version"]["current_stage"], "Production");
    let asked = json!({"name": "fraud"});
    let latest = post(&platform, "registered-models/get-latest-versions", asked).await.expect(200);
    let found: Vec<_> = latest["model_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (version["version"].as_str().unwrap(), version["current_stage"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, [("1", "Archived"), ("2", "Production"), ("3", "None")]);
    stage(&platform, "3", "Live", false).await.refusal(400, "INVALID_PARAMETER_VALUE");
    stage(&platform, "3", "Archived", true).await.refusal(400, "INVALID_PARAMETER_VALUE");
    stage(&platform, "9", "Staging", false).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn an_alias_is_a_word_that_is_no_version() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    version(&platform, "fraud").await.expect(200);
    let set = |alias: &str| {
        post(
            &platform,
            "registered-models/alias",
            json!({"name": "fraud", "alias": alias, "version": "1"}),
        )
    };
    set("best-1").await.expect(200);
    for bad in ["latest", "LATEST", "v1", "V22", "a b", "a/b", &"x".repeat(256)] {
        set(bad).await.refusal(400, "INVALID_PARAMETER_VALUE");
    }
    let path = "mlflow/registered-models/alias?name=fraud&alias=";
    for alias in ["best-1", "latest"] {
        let found = platform.get(&format!("{path}{alias}")).await.expect(200);
        assert_eq!(found["model_version"]["version"], "1", "{alias}");
    }
    let absent = platform.get(&format!("{path}other")).await;
    absent.refusal(400, "INVALID_PARAMETER_VALUE");
    let gone = json!({"name": "fraud", "alias": "other"});
    platform.call(Method::DELETE, "registered-models/alias", gone).await.expect(200);
}

#[actix_web::test]
async fn a_source_must_be_held_by_what_it_names() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    let create = |body: Value| {
        let mut whole = json!({"name": "fraud"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        post(&platform, "model-versions/create", whole)
    };
    let run = "0123456789abcdef0123456789abcdef";
    let model = format!("m-{run}");
    for bad in [
        json!({"source": "file:///etc/passwd"}),
        json!({"source": "/etc/passwd"}),
        json!({"source": "s3://bucket/../other"}),
        json!({"source": "s3://bucket/%252e%252e/other"}),
        json!({"source": format!("runs:/{run}/model")}),
        json!({"source": format!("runs:/{run}/model"), "run_id": "other"}),
        json!({"source": format!("models:/{model}")}),
        json!({"source": format!("models:/{model}"), "model_id": "m-other"}),
        json!({"source": "mlflow-artifacts:/0/x/artifacts/model"}),
        json!({"source": "mlflow-artifacts:/0/x/artifacts/model", "run_id": run}),
    ] {
        create(bad.clone()).await.refusal(400, "INVALID_PARAMETER_VALUE");
    }
    create(json!({})).await.refusal(400, "INVALID_PARAMETER_VALUE");
    let made = create(json!({"source": "dbfs:/model"})).await.expect(200);
    assert_eq!(made["model_version"]["status"], "READY");
    let copied = create(json!({"source": "models:/fraud/1"})).await.expect(200);
    assert_eq!(copied["model_version"]["source"], "models:/fraud/1");
    let absent = json!({"name": "other", "source": "s3://b/m"});
    post(&platform, "model-versions/create", absent).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn a_versions_files_are_read_by_the_proxy_and_outlive_those_of_the_run() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    let run = platform.run().await;
    let root = format!("0/{run}/artifacts/model");
    platform.put(&format!("{root}/MLmodel"), "flavors: {}\n").await.expect(200);
    platform.put(&format!("{root}/data/weights.bin"), "abc").await.expect(200);
    let body = json!({"name": "fraud", "source": format!("runs:/{run}/model"), "run_id": run});
    let made = post(&platform, "model-versions/create", body).await.expect(200);
    assert_eq!(made["model_version"]["run_id"], json!(run));
    platform.send(Platform::file(Method::DELETE, &root)).await.expect(200);

    let uri = platform.get("mlflow/model-versions/get-download-uri?name=fraud&version=1").await;
    let uri = uri.expect(200)["artifact_uri"].as_str().unwrap().to_owned();
    let path = uri.strip_prefix("mlflow-artifacts:/").unwrap();
    let listed = platform.get(&format!("mlflow-artifacts/artifacts?path={path}")).await.expect(200);
    let expected = json!([
        {"path": "MLmodel", "is_dir": false, "file_size": 12}, {"path": "data", "is_dir": true},
    ]);
    assert_eq!(listed["files"], expected);
    let below = platform.get(&format!("mlflow-artifacts/artifacts?path={path}/data")).await;
    assert_eq!(below.expect(200)["files"][0]["path"], "weights.bin");
    let file =
        platform.send(Platform::file(Method::GET, &format!("{path}/data/weights.bin"))).await;
    assert_eq!((file.status.as_u16(), &file.body[..]), (200, &b"abc"[..]));
    let write = Platform::file(Method::PUT, &format!("{path}/MLmodel")).set_payload("x");
    assert!(platform.send(write).await.status.is_client_error(), "a version never changes");
}

/// A version made of these files of a run, as our own API shows it.
async fn packaged(platform: &Platform, files: &[(&str, &'static str)]) -> store::versions::Version {
    let run = platform.run().await;
    for (path, content) in files {
        platform.put(&format!("0/{run}/artifacts/model/{path}"), content).await.expect(200);
    }
    let body = json!({"name": "fraud", "source": format!("runs:/{run}/model"), "run_id": run});
    let made = post(platform, "model-versions/create", body).await.expect(200);
    assert_eq!(made["model_version"]["status"], "READY", "the bytes are stored");
    let number = made["model_version"]["version"].as_str().unwrap();
    platform.version("fraud", number.parse().unwrap()).await
}

#[actix_web::test]
async fn a_packaged_model_is_registered_whatever_is_wrong_with_it() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    let sklearn = "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {}\n";
    for (files, runtime, reason) in [
        (
            vec![("MLmodel", sklearn), ("model.pkl", "x")],
            Runtime::Python,
            "it has no signature, which says what goes in and comes out: log the model with `signature=` or `input_example=`",
        ),
        (
            vec![("MLmodel", "flavors: [\n")],
            Runtime::None,
            "`MLmodel`: expected mapping start at line 1, column 10",
        ),
        (
            vec![("MLmodel", "flavors: {onnx: {data: model.onnx}}\n")],
            Runtime::None,
            "`MLmodel` names the ONNX file `model.onnx`, which is not given",
        ),
        (
            vec![("MLmodel", "flavors: {onnx: {data: model.onnx}}\n"), ("model.onnx", "text")],
            Runtime::None,
            "`model.onnx`: the model file is not ONNX",
        ),
    ] {
        let version = packaged(&platform, &files).await;
        assert_eq!((version.servable, version.runtime), (Servable::No, runtime), "{files:?}");
        let why = version.reason.unwrap();
        assert!(why.starts_with(reason), "{why}");
    }
    let version = platform.version("fraud", 1).await;
    assert_eq!(version.packaging.loader_module.as_deref(), Some("mlflow.sklearn"));
}

#[actix_web::test]
async fn what_lies_elsewhere_is_registered_and_never_served() {
    let platform = Platform::start().await;
    register(&platform, "fraud").await;
    for (at, source) in [
        "s3://bucket/model",
        "http://elsewhere.example/model",
        "https://elsewhere.example/api/2.0/models/m",
        "gs://bucket/model",
        "dbfs:/model",
        "hdfs://host/model",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({"name": "fraud", "source": source});
        let made = post(&platform, "model-versions/create", body).await.expect(200);
        assert_eq!(made["model_version"]["status"], "READY");
        assert_eq!(made["model_version"]["source"], json!(source));
        let number = i32::try_from(at + 1).unwrap();
        let version = platform.version("fraud", number).await;
        assert_eq!((version.servable, version.runtime), (Servable::No, Runtime::None));
        let obstacle = version.obstacle().unwrap();
        assert_eq!(
            obstacle,
            format!(
                "`fraud/{number}` cannot be served: its bytes are not here: its source is `{source}`"
            )
        );
        let uri = platform
            .get(&format!("mlflow/model-versions/get-download-uri?name=fraud&version={number}"))
            .await;
        assert_eq!(uri.expect(200)["artifact_uri"], json!(source));
    }
    let copy = json!({"name": "fraud", "source": "models:/fraud/1"});
    post(&platform, "model-versions/create", copy).await.expect(200);
    let copied = platform.version("fraud", 7).await;
    assert!(copied.origin.is_external && copied.servable == Servable::No);
    for (source, code) in [
        ("models:/other/1", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/fraud@nobody", "RESOURCE_DOES_NOT_EXIST"),
        ("models://registry/fraud/1", "INVALID_PARAMETER_VALUE"),
        ("file:///srv/model", "INVALID_PARAMETER_VALUE"),
    ] {
        let body = json!({"name": "fraud", "source": source});
        let answer = post(&platform, "model-versions/create", body).await;
        let status = if code == "RESOURCE_DOES_NOT_EXIST" { 404 } else { 400 };
        answer.refusal(status, code);
    }
    // The logged model is the one thing of it that would be here.
    let id = "m-0123456789abcdef0123456789abcdef";
    let body = json!({"name": "fraud", "source": "s3://bucket/model", "model_id": id});
    let answer = post(&platform, "model-versions/create", body).await;
    let refusal = answer.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(refusal, format!("Logged model with ID '{id}' not found."));
}

#[actix_web::test]
async fn many_ask_at_once_where_aliases_point_and_each_hears_of_its_own() {
    let platform = Platform::start().await;
    for name in ["fraud", "cards"] {
        register(&platform, name).await;
        for number in ["1", "2"] {
            version(&platform, name).await.expect(200);
            let alias = json!({"name": name, "alias": format!("a{number}"), "version": number});
            post(&platform, "registered-models/alias", alias).await.expect(200);
        }
    }
    let asked = [("fraud", "a1"), ("fraud", "a2"), ("cards", "a1"), ("cards", "a3"), ("x", "a1")];
    let ask = async |n: usize| {
        let (name, alias) = asked[n % asked.len()];
        let path = format!("mlflow/registered-models/alias?name={name}&alias={alias}");
        let answer = platform.get(&path).await;
        match (name, alias) {
            ("x", _) => {
                answer.refusal(404, "RESOURCE_DOES_NOT_EXIST");
            }
            (_, "a3") => {
                answer.refusal(400, "INVALID_PARAMETER_VALUE");
            }
            _ => {
                let found = &answer.expect(200)["model_version"];
                assert_eq!((&found["name"], &found["version"]), (&json!(name), &json!(alias[1..])));
            }
        }
    };
    join_all((0..20).map(ask)).await;
    // Some ask and go away while somebody looks for them and for others.
    for _ in 0..3 {
        let gone = async {
            tokio::time::timeout(Duration::from_micros(300), join_all((0..8).map(ask))).await
        };
        let (_, stay) = tokio::join!(gone, join_all((0..8).map(ask)));
        assert_eq!(stay.len(), 8);
    }
}
