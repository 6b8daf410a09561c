//! Moves of aliases and stages by MLflow's clients: what rules stand against, and who follows.

use actix_web::http::Method;
use auth::{Permit, Verb};
use domain::{EndpointRef, ModelRef, Resource};
use registry::{endpoints, rules};
use serde_json::{Value, json};

use crate::platform::{Answer, Platform};

async fn post(platform: &Platform, path: &str, body: Value) -> Answer {
    platform.call(Method::POST, path, body).await
}

fn permit<V: Verb>(platform: &Platform, resource: Resource) -> Permit<V> {
    platform.access.system("test", resource)
}

async fn rule(platform: &Platform, rule: &str, target: Option<&str>) {
    let name = "fraud".parse().unwrap();
    let permit = permit(platform, Resource::Model("fraud".to_owned()));
    rules::add(platform.registry(), &permit, &name, target, &rule.parse().unwrap()).await.unwrap();
}

/// A version of `fraud` that this run made, or this logged model.
async fn version(platform: &Platform, source: Value) -> Value {
    let mut body = json!({"name": "fraud"});
    body.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let made = post(platform, "model-versions/create", body).await.expect(200);
    made["model_version"]["version"].clone()
}

async fn of_run(platform: &Platform) -> (String, Value) {
    let run = platform.run().await;
    let source = json!({"source": format!("runs:/{run}/model"), "run_id": run});
    platform.put(&format!("0/{run}/artifacts/model/MLmodel"), "flavors: {}\n").await.expect(200);
    let version = version(platform, source).await;
    (run, version)
}

async fn log(platform: &Platform, metric: Value) {
    let mut whole = json!({"timestamp": 1, "step": 0});
    whole.as_object_mut().unwrap().extend(metric.as_object().unwrap().clone());
    post(platform, "runs/log-metric", whole).await.expect(200);
}

async fn champion(platform: &Platform, version: &Value) -> Answer {
    let body = json!({"name": "fraud", "alias": "champion", "version": version});
    post(platform, "registered-models/alias", body).await
}

async fn stage(platform: &Platform, version: &Value, stage: &str) -> Answer {
    let body = json!({"name": "fraud", "version": version, "stage": stage, "archive_existing_versions": true});
    post(platform, "model-versions/transition-stage", body).await
}

async fn start() -> Platform {
    let platform = Platform::start().await;
    post(&platform, "registered-models/create", json!({"name": "fraud"})).await.expect(200);
    platform
}

#[actix_web::test]
async fn a_refusal_tells_every_rule_and_its_value_in_mlflows_shape() {
    let platform = start().await;
    let (run, version) = of_run(&platform).await;
    log(&platform, json!({"run_id": run, "key": "accuracy", "value": 0.87})).await;
    log(&platform, json!({"run_id": run, "key": "loss", "value": 0.2})).await;
    rule(&platform, "accuracy >= 0.9", None).await;
    rule(&platform, "loss < 1", None).await;
    rule(&platform, "has signature", Some("Production")).await;
    let by_alias = champion(&platform, &version).await.refusal(403, "PERMISSION_DENIED");
    let accuracy = "`accuracy >= 0.9` (0.87, required >= 0.9)";
    let met = "met: `loss < 1` (0.2, required < 1)";
    assert!(by_alias.contains(accuracy) && by_alias.contains(met), "{by_alias}");
    let by_stage = stage(&platform, &version, "Production").await;
    let by_stage = by_stage.refusal(403, "PERMISSION_DENIED");
    let signature = "`has signature` (no value, required signature)";
    assert!([accuracy, signature, met].iter().all(|it| by_stage.contains(it)), "{by_stage}");
    stage(&platform, &version, "Archived").await.refusal(400, "INVALID_PARAMETER_VALUE");
    log(&platform, json!({"run_id": run, "key": "accuracy", "value": 0.95, "step": 1})).await;
    champion(&platform, &version).await.expect(200);
    stage(&platform, &version, "Staging").await.expect(200);
}

#[actix_web::test]
async fn a_value_is_that_of_the_logged_model_and_of_the_dataset_that_the_rule_names() {
    let platform = start().await;
    let run = platform.run().await;
    let model = platform.logged_model(json!({"name": "m", "source_run_id": run})).await;
    let file = format!("0/models/{model}/artifacts/MLmodel");
    platform.put(&file, "flavors: {}\n").await.expect(200);
    let source = json!({"source": format!("models:/{model}"), "model_id": model});
    let version = version(&platform, source).await;
    rule(&platform, "accuracy >= 0.9 on dataset june", Some("champion")).await;
    let refused = async || champion(&platform, &version).await.refusal(403, "PERMISSION_DENIED");
    let on = async |dataset: &str, digest: &str, value: f64, step: i64| {
        let metric = json!({
            "run_id": run, "model_id": model, "key": "accuracy", "value": value, "step": step,
            "dataset_name": dataset, "dataset_digest": digest,
        });
        log(&platform, metric).await;
    };
    // Of the run, and on another dataset: neither counts.
    log(&platform, json!({"run_id": run, "key": "accuracy", "value": 0.99})).await;
    on("may", "d1", 0.98, 5).await;
    let message = refused().await;
    assert!(message.contains("(no value, required >= 0.9)"), "{message}");
    on("june", "d2", 0.95, 1).await;
    on("june", "d2", 0.85, 2).await;
    let message = refused().await;
    assert!(message.contains("(0.85, required >= 0.9)"), "the latest step counts: {message}");
    on("june", "d2", 0.91, 3).await;
    champion(&platform, &version).await.expect(200);

    // By the digest of the dataset, and without one: of the model before that of the run.
    rule(&platform, "accuracy >= 0.97 on dataset d1", Some("Staging")).await;
    stage(&platform, &version, "Staging").await.expect(200);
    rule(&platform, "accuracy >= 0.985", Some("Production")).await;
    let message = stage(&platform, &version, "Production").await.refusal(403, "PERMISSION_DENIED");
    assert!(message.contains("(0.98, required >= 0.985)"), "{message}");
}

#[actix_web::test]
async fn a_version_without_a_run_of_ours_has_no_value() {
    let platform = start().await;
    let elsewhere = json!({"source": "s3://bucket/model", "run_id": "elsewhere"});
    let version = version(&platform, elsewhere).await;
    rule(&platform, "accuracy >= 0.9", None).await;
    let message = champion(&platform, &version).await.refusal(403, "PERMISSION_DENIED");
    assert!(message.contains("no value"), "{message}");
}

#[actix_web::test]
async fn a_transition_makes_a_release_of_who_follows_the_stage() {
    let platform = start().await;
    let (_, first) = of_run(&platform).await;
    let (_, second) = of_run(&platform).await;
    // As if their trials had found them well.
    platform
        .execute("UPDATE model_versions SET status = 'ready', servable = 'yes', reason = NULL, runtime = 'onnx', model_file = 'model.onnx', signature = '{\"inputs\": [], \"outputs\": []}'")
        .await;
    stage(&platform, &first, "Production").await.expect(200);
    let endpoint: EndpointRef = "scoring".parse().unwrap();
    let resource = || Resource::Endpoint("scoring".to_owned());
    let model: ModelRef = "fraud/Production".parse().unwrap();
    let order = endpoints::Order {
        model: Some(model),
        split: None,
        serving: Default::default(),
        reason: None,
    };
    endpoints::deploy(platform.registry(), &permit(&platform, resource()), &endpoint, &order)
        .await
        .unwrap();
    let rename = json!({"name": "fraud", "new_name": "cards"});
    post(&platform, "registered-models/rename", rename).await.expect(200);
    let body = json!({"name": "cards", "version": second, "stage": "production", "archive_existing_versions": true});
    post(&platform, "model-versions/transition-stage", body).await.expect(200);
    let view = endpoints::get(platform.registry(), &permit(&platform, resource()), &endpoint)
        .await
        .unwrap();
    assert_eq!(view.endpoint.follows.to_string(), "cards/Production");
    let target = view.target.unwrap();
    assert_eq!(
        (target.number, target.reason.as_deref()),
        (2, Some("`cards/Production` points to 2"))
    );
    let recorded = platform.recorded().await;
    let newest = &recorded[recorded.len() - 3..];
    let expected =
        ["release.created endpoint:scoring", "stage.moved model:cards", "stage.moved model:cards"];
    assert_eq!(newest, expected);
    let gone = json!({"name": "cards"});
    let deleted = platform.call(Method::DELETE, "registered-models/delete", gone).await;
    deleted.refusal(409, "RESOURCE_CONFLICT");
    let gone = json!({"name": "cards", "version": second});
    let deleted = platform.call(Method::DELETE, "model-versions/delete", gone).await;
    deleted.refusal(409, "RESOURCE_CONFLICT");
}

#[actix_web::test]
async fn a_version_is_made_of_another_by_every_form_of_address() {
    let platform = start().await;
    for _ in 0..3 {
        of_run(&platform).await;
    }
    champion(&platform, &json!("2")).await.expect(200);
    stage(&platform, &json!("1"), "Production").await.expect(200);
    post(&platform, "registered-models/create", json!({"name": "copy"})).await.expect(200);
    for (source, found) in [
        ("models:/fraud@champion", "models:/fraud/2"),
        ("models:/fraud/Production", "models:/fraud/1"),
        ("models:/fraud/production", "models:/fraud/1"),
        ("models:/fraud/latest", "models:/fraud/3"),
        ("models:/fraud/Latest", "models:/fraud/3"),
        ("models:/fraud/1", "models:/fraud/1"),
    ] {
        let body = json!({"name": "copy", "source": source});
        let made = post(&platform, "model-versions/create", body).await.expect(200);
        assert_eq!(made["model_version"]["source"], found, "{source}");
    }
    for (source, status, code) in [
        ("models:/fraud/Staging", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("models:/fraud/Nowhere", 400, "INVALID_PARAMETER_VALUE"),
        ("models:/fraud@other", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("models:/ghost/latest", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("models:/fraud/9", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("models:/fraud", 400, "INVALID_PARAMETER_VALUE"),
    ] {
        let body = json!({"name": "copy", "source": source});
        let refused = post(&platform, "model-versions/create", body).await;
        refused.refusal(status, code);
    }
    post(&platform, "registered-models/create", json!({"name": "empty"})).await.expect(200);
    let body = json!({"name": "copy", "source": "models:/empty/latest"});
    let none = post(&platform, "model-versions/create", body).await;
    none.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}
