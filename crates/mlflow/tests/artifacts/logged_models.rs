//! `/logged-models`

use actix_web::http::Method;
use serde_json::json;

use crate::platform::Platform;

#[actix_web::test]
async fn a_model_is_made_filled_and_finalised() {
    let platform = Platform::start().await;
    let run = platform.run().await;
    let args = json!({
        "experiment_id": "0", "name": "clf", "model_type": "classifier",
        "source_run_id": run,
        "params": [{"key": "c", "value": "1"}], "tags": [{"key": "t", "value": ""}],
    });
    let made = platform.call(Method::POST, "logged-models", args).await.expect(200);
    let info = &made["model"]["info"];
    let id = info["model_id"].as_str().unwrap();
    assert!(id.starts_with("m-") && id.len() == 34, "{id}");
    assert_eq!(info["status"], "LOGGED_MODEL_PENDING");
    assert_eq!(info["artifact_uri"], format!("mlflow-artifacts:/0/models/{id}/artifacts"));
    assert_eq!(info["source_run_id"], run);
    assert_eq!(info["tags"], json!([{"key": "t", "value": ""}]));
    assert_eq!(made["model"]["data"], json!({"params": [{"key": "c", "value": "1"}]}));

    let path = format!("logged-models/{id}");
    let ready = json!({"model_id": id, "status": "LOGGED_MODEL_READY"});
    let done = platform.call(Method::PATCH, &path, ready).await.expect(200);
    assert_eq!(done["model"]["info"]["status"], "LOGGED_MODEL_READY");
    let found = platform.get(&format!("mlflow/{path}")).await.expect(200);
    assert_eq!(found, done);

    platform.put(&format!("0/models/{id}/artifacts/data/x"), "x").await.expect(200);
    let listed = platform
        .get(&format!("mlflow/{path}/artifacts/directories?artifact_directory_path=data"))
        .await
        .expect(200);
    assert_eq!(listed["files"], json!([{"path": "data/x", "is_dir": false, "file_size": 1}]));

    platform.call(Method::DELETE, &path, json!({})).await.expect(200);
    platform.get(&format!("mlflow/{path}")).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    let shown = platform.get(&format!("mlflow/{path}?allow_deleted=true")).await.expect(200);
    assert_eq!(shown["model"]["info"]["model_id"], id);
    assert_eq!(
        platform.recorded().await,
        ["run.created", "logged_model.created", "logged_model.finalised", "logged_model.deleted"]
            .map(|it| format!("{it} experiment:0"))
    );
}

#[actix_web::test]
async fn tags_change_and_params_do_not() {
    let platform = Platform::start().await;
    let id = platform.logged_model(json!({})).await;
    let path = format!("logged-models/{id}");
    let pair = |key: &str, value: &str| json!([{"key": key, "value": value}]);
    for value in ["1", "2"] {
        let tags = json!({"tags": pair("a/b", value)});
        platform.call(Method::PATCH, &format!("{path}/tags"), tags).await.expect(200);
    }
    for (value, status) in [("1", 200), ("1", 200), ("2", 400)] {
        let params = json!({"params": pair("p", value)});
        let answer = platform.call(Method::POST, &format!("{path}/params"), params).await;
        assert_eq!(answer.status.as_u16(), status, "{:?}", answer.body);
    }
    let found = platform.get(&format!("mlflow/{path}")).await.expect(200);
    assert_eq!(found["model"]["info"]["tags"], pair("a/b", "2"));
    assert_eq!(found["model"]["data"]["params"], pair("p", "1"));
    assert!(found["model"]["info"]["name"].as_str().unwrap().starts_with("model-"));

    let tag = format!("{path}/tags/a%2Fb");
    platform.call(Method::DELETE, &tag, json!({})).await.expect(200);
    let again = platform.call(Method::DELETE, &tag, json!({})).await;
    again.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

#[actix_web::test]
async fn what_cannot_be_is_refused_in_words() {
    let platform = Platform::start().await;
    let create = async |args| platform.call(Method::POST, "logged-models", args).await;
    let long = "x".repeat(8001);
    for (args, word) in [
        (json!({}), "experiment_id"),
        (json!({"experiment_id": "x"}), "Invalid experiment ID 'x'"),
        (json!({"experiment_id": "0", "name": "a/b"}), "Invalid model name"),
        (json!({"experiment_id": "0", "name": &long[..501]}), "name"),
        (json!({"experiment_id": "0", "params": [{"key": "k", "value": &long[..6001]}]}), "'k'"),
        (json!({"experiment_id": "0", "tags": [{"key": "k", "value": long}]}), "'k'"),
        (json!({"experiment_id": "0", "tags": [{"value": "v"}]}), "tags"),
        (json!({"experiment_id": "0", "name": "a\u{0}"}), "U+0000"),
    ] {
        let message = create(args.clone()).await.refusal(400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(word), "{args}: {message}");
    }
    create(json!({"experiment_id": "99"})).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    let id = platform.logged_model(json!({})).await;
    for status in [json!({}), json!({"status": "DONE"}), json!({"status": 0})] {
        let refused = platform.call(Method::PATCH, &format!("logged-models/{id}"), status).await;
        assert!(refused.refusal(400, "INVALID_PARAMETER_VALUE").contains("status"));
    }
    for id in ["m-0", "nothing", "m-00000000000000000000000000000000"] {
        for (method, tail) in [(Method::GET, ""), (Method::DELETE, ""), (Method::PATCH, "/tags")] {
            let path = format!("logged-models/{id}{tail}");
            let absent = platform.call(method, &path, json!({})).await;
            assert!(absent.refusal(404, "RESOURCE_DOES_NOT_EXIST").contains(id));
        }
    }
}

#[actix_web::test]
async fn of_writers_of_one_param_one_wins_and_the_others_hear_of_it() {
    let platform = Platform::start().await;
    let id = platform.logged_model(json!({})).await;
    let path = format!("logged-models/{id}/params");
    let writes = (0..8).map(|n| {
        let params = json!({"params": [{"key": "p", "value": n.to_string()}]});
        platform.call(Method::POST, &path, params)
    });
    let answers = futures_util::future::join_all(writes).await;
    let won = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
    assert_eq!(won, 1);
    for lost in answers.iter().filter(|answer| answer.status.as_u16() != 200) {
        lost.refusal(400, "INVALID_PARAMETER_VALUE");
    }
}
