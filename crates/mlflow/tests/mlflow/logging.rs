//! `/runs/log-…`

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::Server;

fn metric(key: &str, value: Value, step: i64) -> Value {
    json!({"key": key, "value": value, "timestamp": 10, "step": step})
}

#[actix_web::test]
async fn the_latest_value_of_a_metric_is_that_of_the_greatest_step() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let metrics = [metric("loss", json!(0.5), 2), metric("loss", json!(0.7), 1)];
    for _ in 0..2 {
        let body = json!({"run_id": run, "metrics": metrics});
        Server::well(server.post("runs/log-batch", body).await);
    }
    let earlier = json!({"run_id": run, "key": "loss", "value": 9.0, "timestamp": 99, "step": 0});
    Server::well(server.post("runs/log-metric", earlier).await);
    let shown = server.shown(&run).await;
    let latest = json!([{"key": "loss", "value": 0.5, "timestamp": 10, "step": 2}]);
    assert_eq!(shown["data"]["metrics"], latest);
}

#[actix_web::test]
async fn nan_and_the_infinities_are_values_and_keys_may_hold_slashes_and_letters_of_all_scripts() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let metrics = json!([
        metric("学習/損失", json!("NaN"), 0),
        metric("a/b c:d", json!("Infinity"), -3),
        metric("ä", json!("-Infinity"), 0),
        metric("z", json!(1e308), 0),
    ]);
    let body = json!({"run_id": run, "metrics": metrics});
    Server::well(server.post("runs/log-batch", body).await);
    let shown = server.shown(&run).await;
    let value = |key: &str| {
        let metrics = shown["data"]["metrics"].as_array().unwrap();
        metrics.iter().find(|metric| metric["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(value("学習/損失"), "NaN");
    assert_eq!(value("a/b c:d"), "Infinity");
    assert_eq!(value("ä"), "-Infinity");
    assert_eq!(value("z"), 1e308);
}

#[actix_web::test]
async fn a_param_is_said_once_and_long_ones_are_cut() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let param = |value: &str| json!({"run_id": run, "key": "depth", "value": value});
    for _ in 0..2 {
        Server::well(server.post("runs/log-parameter", param("3")).await);
    }
    let other = server.post("runs/log-parameter", param("5")).await;
    let message = Server::refused(&other, 400, "INVALID_PARAMETER_VALUE");
    assert!(message.contains("Changing param values is not allowed"), "{message}");
    // All or nothing.
    let params = json!([{"key": "new", "value": "1"}, {"key": "depth", "value": "5"}]);
    let body = json!({"run_id": run, "params": params, "tags": [{"key": "t", "value": "1"}]});
    Server::refused(&server.post("runs/log-batch", body).await, 400, "INVALID_PARAMETER_VALUE");
    let long = json!({"run_id": run, "key": "long", "value": "x".repeat(10 << 20)});
    Server::well(server.post("runs/log-parameter", long).await);
    let shown = server.shown(&run).await;
    let params =
        json!([{"key": "depth", "value": "3"}, {"key": "long", "value": "x".repeat(6000)}]);
    assert_eq!(shown["data"]["params"], params);
    assert_eq!(shown["data"]["tags"].as_array().unwrap().len(), 1, "only the name");
}

#[actix_web::test]
async fn of_two_writers_of_a_param_one_wins() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let writers = (0..8).map(|value| {
        let params = json!([{"key": "p", "value": value.to_string()}]);
        server.post("runs/log-batch", json!({"run_id": run, "params": params}))
    });
    let answers = join_all(writers).await;
    assert_eq!(answers.iter().filter(|(status, _)| status.is_success()).count(), 1);
    for answer in answers.iter().filter(|(status, _)| !status.is_success()) {
        Server::refused(answer, 400, "INVALID_PARAMETER_VALUE");
    }
}

#[actix_web::test]
async fn writers_to_one_run_never_wait_for_each_other_for_ever() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let writers = (0..16_i64).map(|writer| {
        let keys = (0..50).map(|key| if writer % 2 == 0 { key } else { 49 - key });
        let metrics: Vec<_> =
            keys.map(|key| metric(&format!("m{key}"), json!(writer), writer)).collect();
        let tags: Vec<_> = (0..10)
            .map(|key| if writer % 2 == 0 { key } else { 9 - key })
            .map(|key| json!({"key": format!("t{key}"), "value": "x"}))
            .chain([json!({"key": "mlflow.runName", "value": writer.to_string()})])
            .collect();
        server.post("runs/log-batch", json!({"run_id": run, "metrics": metrics, "tags": tags}))
    });
    for answer in join_all(writers).await {
        Server::well(answer);
    }
    let shown = server.shown(&run).await;
    let metrics = shown["data"]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 50);
    assert!(metrics.iter().all(|metric| metric["value"] == 15.0 && metric["step"] == 15));
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let many = |count: usize| vec![metric("m", json!(1), 0); count];
    for (path, body, said) in [
        ("log-metric", json!({"key": "m", "value": 1, "timestamp": 1}), "'run_id'"),
        ("log-metric", json!({"run_id": run, "value": 1, "timestamp": 1}), "'key'"),
        ("log-metric", json!({"run_id": run, "key": "m", "timestamp": 1}), "'value'"),
        ("log-metric", json!({"run_id": run, "key": "m", "value": 1}), "'timestamp'"),
        ("log-metric", json!({"run_id": run, "key": "m", "value": "x", "timestamp": 1}), "'value'"),
        ("log-metric", json!({"run_id": run, "key": "../m", "value": 1, "timestamp": 1}), "'name'"),
        ("log-batch", json!({"run_id": run, "metrics": [{"value": 1}]}), "'metrics[0].key'"),
        ("log-batch", json!({"run_id": run, "metrics": many(1001)}), "at most 1000 metrics"),
        ("log-batch", json!({"run_id": run, "metrics": 7}), "'metrics'"),
        ("log-parameter", json!({"run_id": run, "key": "/p", "value": "1"}), "'key'"),
        ("log-parameter", json!({"run_id": run, "key": "p", "value": "a\u{0}"}), "U+0000"),
        ("set-tag", json!({"run_id": run, "key": "t".repeat(251), "value": "1"}), "250"),
        ("log-model", json!({"run_id": run, "model_json": "{"}), "JSON"),
    ] {
        let answer = server.post(&format!("runs/{path}"), body).await;
        let message = Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(said), "{message}: {said}");
    }
    let body = json!({"run_id": run, "metrics": many(1000)});
    Server::well(server.post("runs/log-batch", body).await);
    let body = json!({"run_id": run, "key": "m", "value": 1, "timestamp": 1, "model_id": "m-1"});
    let answer = server.post("runs/log-metric", body).await;
    Server::refused(&answer, 404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn tags_are_set_and_deleted() {
    let server = Server::start().await;
    let run = server.run("0").await;
    for value in ["1", "2"] {
        let body = json!({"run_id": run, "key": "k", "value": value});
        Server::well(server.post("runs/set-tag", body).await);
    }
    let tags = server.shown(&run).await["data"]["tags"].clone();
    assert!(tags.as_array().unwrap().contains(&json!({"key": "k", "value": "2"})), "{tags}");
    let which = json!({"run_id": run, "key": "k"});
    Server::well(server.post("runs/delete-tag", which.clone()).await);
    Server::refused(&server.post("runs/delete-tag", which).await, 404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn a_run_says_what_it_read_and_which_models_it_logged() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let input = |name: &str, digest: &str| {
        json!({"dataset": {"name": name, "digest": digest, "source_type": "local", "source": "{}"},
               "tags": [{"key": "mlflow.data.context", "value": "training"}]})
    };
    for datasets in
        [json!([input("b", "1"), input("a", "1")]), json!([input("a", "2"), input("b", "1")])]
    {
        let body = json!({"run_id": run, "datasets": datasets});
        Server::well(server.post("runs/log-inputs", body).await);
    }
    let shown = server.shown(&run).await;
    let inputs = [input("b", "1"), input("a", "1"), input("a", "2")];
    assert_eq!(shown["inputs"]["dataset_inputs"], json!(inputs));
    let model = json!({"run_id": run, "artifact_path": "model", "utc_time_created": "now",
                       "flavors": {"sklearn": {"config": {"secret": 1}, "code": null}}});
    for _ in 0..2 {
        let body = json!({"run_id": run, "model_json": model.to_string()});
        Server::well(server.post("runs/log-model", body).await);
    }
    let shown = server.shown(&run).await;
    let tags = shown["data"]["tags"].as_array().unwrap();
    let kept = tags.iter().find(|tag| tag["key"] == "mlflow.log-model.history").unwrap();
    let kept: Value = serde_json::from_str(kept["value"].as_str().unwrap()).unwrap();
    assert_eq!(kept.as_array().unwrap().len(), 2);
    assert_eq!(kept[0]["flavors"], json!({"sklearn": {"code": null}}));
}
