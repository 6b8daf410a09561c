//! `/experiments`

use futures_util::future::join_all;
use serde_json::json;

use crate::server::Server;

#[actix_web::test]
async fn an_experiment_is_found_by_id_and_by_name_with_its_tags() {
    let server = Server::start().await;
    let body =
        json!({"name": "Ärger / 1", "tags": [{"key": "team", "value": "risk"}, {"key": "a.b"}]});
    let made = Server::well(server.post("experiments/create", body).await);
    let id = made["experiment_id"].as_str().unwrap();
    let shown = Server::well(server.get(&format!("experiments/get?experiment_id={id}")).await);
    let experiment = &shown["experiment"];
    assert_eq!(experiment["name"], "Ärger / 1");
    assert_eq!(experiment["artifact_location"], format!("mlflow-artifacts:/{id}"));
    assert_eq!(experiment["lifecycle_stage"], "active");
    assert_eq!(
        experiment["tags"],
        json!([{"key": "a.b", "value": ""}, {"key": "team", "value": "risk"}])
    );
    let path = "experiments/get-by-name?experiment_name=%C3%84rger%20/%201";
    assert_eq!(Server::well(server.get(path).await)["experiment"], *experiment);
    let default = Server::well(server.get("experiments/get?experiment_id=0").await);
    assert_eq!(default["experiment"]["name"], "Default");
}

#[actix_web::test]
async fn what_is_no_experiment_is_refused_in_mlflows_words() {
    let server = Server::start().await;
    for (path, status, code) in [
        ("experiments/get?experiment_id=77", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("experiments/get?experiment_id=abc", 400, "INVALID_PARAMETER_VALUE"),
        ("experiments/get", 400, "INVALID_PARAMETER_VALUE"),
        ("experiments/get-by-name?experiment_name=nobody", 404, "RESOURCE_DOES_NOT_EXIST"),
    ] {
        Server::refused(&server.get(path).await, status, code);
    }
    let long = "x".repeat(501);
    for name in [json!(null), json!(""), json!(long), json!(7), json!("a\u{0}b")] {
        let answer = server.post("experiments/create", json!({"name": name})).await;
        Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
    }
    for location in ["s3://b/../c", "s3://b/%2e%2e/c", "s3://b/x#y", "mlflow-artifacts:/0/x"] {
        let body = json!({"name": "n", "artifact_location": location});
        let answer = server.post("experiments/create", body).await;
        Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
    }
}

#[actix_web::test]
async fn a_folder_of_ours_belongs_to_one_experiment_and_other_stores_to_whoever_names_them() {
    let server = Server::start().await;
    let make = async |name: &str, location: &str| {
        let body = json!({"name": name, "artifact_location": location});
        server.post("experiments/create", body).await
    };
    let kept = async |made| {
        let id = Server::well(made)["experiment_id"].as_str().unwrap().to_owned();
        let found = Server::well(server.get(&format!("experiments/get?experiment_id={id}")).await);
        (id, found["experiment"]["artifact_location"].as_str().unwrap().to_owned())
    };
    let (first, location) = kept(make("first", "mlflow-artifacts://host:5000/team/a/").await).await;
    assert_eq!(location, "mlflow-artifacts:/team/a");
    let run = server.run(&first).await;
    let uri = format!("mlflow-artifacts:/team/a/{run}/artifacts");
    assert_eq!(server.shown(&run).await["info"]["artifact_uri"], uri);

    for taken in ["mlflow-artifacts:/team/a", "mlflow-artifacts:/team/a/below"] {
        let answer = make("second", taken).await;
        let message = Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains("lies in the folder"), "{message}");
    }
    // Beside it is free, and of many who want one folder at once one gets it.
    kept(make("beside", "mlflow-artifacts:/team/ab").await).await;
    let names: Vec<_> = (0..8).map(|number| format!("racer {number}")).collect();
    let racers = names.iter().map(|name| make(name, "mlflow-artifacts:/race"));
    let won = join_all(racers).await.iter().filter(|(status, _)| status.is_success()).count();
    assert_eq!(won, 1);

    for name in ["third", "fourth"] {
        let (id, location) = kept(make(name, "s3://their-bucket/runs?x=1").await).await;
        assert_eq!(location, "s3://their-bucket/runs?x=1");
        let run = server.run(&id).await;
        let uri = format!("s3://their-bucket/runs/{run}/artifacts?x=1");
        assert_eq!(server.shown(&run).await["info"]["artifact_uri"], uri);
    }
}

#[actix_web::test]
async fn of_many_who_make_one_name_at_once_one_does() {
    let server = Server::start().await;
    let made = (0..10).map(|_| server.post("experiments/create", json!({"name": "fraud"})));
    let answers = join_all(made).await;
    let won = answers.iter().filter(|(status, _)| status.is_success()).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|(status, _)| !status.is_success()) {
        Server::refused(answer, 400, "RESOURCE_ALREADY_EXISTS");
    }
}

#[actix_web::test]
async fn deleting_an_experiment_takes_its_runs_and_restoring_brings_them_back() {
    let server = Server::start().await;
    let id = server.experiment("fraud").await;
    let run = server.run(&id).await;
    let which = json!({"experiment_id": id});
    Server::well(server.post("experiments/delete", which.clone()).await);
    assert_eq!(server.shown(&run).await["info"]["lifecycle_stage"], "deleted");
    let again = server.post("experiments/delete", which.clone()).await;
    Server::refused(&again, 404, "RESOURCE_DOES_NOT_EXIST");
    // It keeps its name, and takes nothing.
    let taken = server.post("experiments/create", json!({"name": "fraud"})).await;
    Server::refused(&taken, 400, "RESOURCE_ALREADY_EXISTS");
    let body = json!({"experiment_id": id, "key": "k", "value": "v"});
    for (path, body) in [
        ("runs/create", which.clone()),
        ("experiments/set-experiment-tag", body),
        ("experiments/update", json!({"experiment_id": id, "new_name": "x"})),
        ("runs/log-parameter", json!({"run_id": run, "key": "p", "value": "1"})),
        ("runs/update", json!({"run_id": run, "status": "FINISHED"})),
    ] {
        let answer = server.post(path, body).await;
        Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
    }
    Server::well(server.post("experiments/restore", which.clone()).await);
    assert_eq!(server.shown(&run).await["info"]["lifecycle_stage"], "active");
    let again = server.post("experiments/restore", which).await;
    Server::refused(&again, 404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn names_and_tags_of_experiments_change() {
    let server = Server::start().await;
    let id = server.experiment("fraud").await;
    server.experiment("churn").await;
    let rename = |name: &str| json!({"experiment_id": id, "new_name": name});
    let taken = server.post("experiments/update", rename("churn")).await;
    Server::refused(&taken, 400, "RESOURCE_ALREADY_EXISTS");
    Server::well(server.post("experiments/update", rename("fraud 2")).await);
    let tag = |value: String| json!({"experiment_id": id, "key": "note", "value": value});
    let set = |value| server.post("experiments/set-experiment-tag", tag(value));
    Server::well(set("x".repeat(20_000)).await);
    Server::refused(&set("x".repeat(20_001)).await, 400, "INVALID_PARAMETER_VALUE");
    Server::well(set("short".into()).await);
    let shown = Server::well(server.get(&format!("experiments/get?experiment_id={id}")).await);
    assert_eq!(shown["experiment"]["name"], "fraud 2");
    assert_eq!(shown["experiment"]["tags"], json!([{"key": "note", "value": "short"}]));
    let which = json!({"experiment_id": id, "key": "note"});
    Server::well(server.post("experiments/delete-experiment-tag", which.clone()).await);
    let gone = server.post("experiments/delete-experiment-tag", which).await;
    Server::refused(&gone, 404, "RESOURCE_DOES_NOT_EXIST");
}
