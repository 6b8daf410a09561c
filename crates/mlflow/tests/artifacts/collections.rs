//! What runs and versions share, and what becomes of it when one of them goes for good.

use actix_web::http::Method;
use serde_json::json;

use crate::platform::Platform;

#[actix_web::test]
async fn a_file_of_a_run_and_a_version_goes_with_the_last_of_them() {
    let platform = Platform::start().await;
    let run = platform.run().await;
    platform.put(&format!("0/{run}/artifacts/model/data.txt"), "shared").await.expect(200);
    platform.put(&format!("0/{run}/artifacts/log.txt"), "of the run").await.expect(200);
    let model = json!({"name": "fraud"});
    platform.call(Method::POST, "registered-models/create", model).await.expect(200);
    let version = json!({"name": "fraud", "source": format!("runs:/{run}/model"), "run_id": run});
    platform.call(Method::POST, "model-versions/create", version).await.expect(200);

    platform.call(Method::POST, "runs/delete", json!({"run_id": run})).await.expect(200);
    let done = platform.collect_deleted().await;
    assert_eq!((done.purged.runs, done.purged.versions), (1, 0));
    assert_eq!((done.freed.count, done.freed.bytes), (1, "of the run".len() as u64));
    platform.get(&format!("mlflow/runs/get?run_id={run}")).await.expect(404);
    // What was registered is there, whatever became of the run.
    let asked = "mlflow/model-versions/get-download-uri?name=fraud&version=1";
    let uri = platform.get(asked).await.expect(200);
    let folder = uri["artifact_uri"].as_str().unwrap().to_owned();
    let path = format!("{}/data.txt", folder.trim_start_matches("mlflow-artifacts:/"));
    let file = platform.send(Platform::file(Method::GET, &path)).await;
    assert_eq!(&file.body[..], b"shared");

    let version = json!({"name": "fraud", "version": "1"});
    platform.call(Method::DELETE, "model-versions/delete", version).await.expect(200);
    let done = platform.collect_deleted().await;
    assert_eq!((done.purged.versions, done.freed.bytes), (1, "shared".len() as u64));
    assert_eq!(platform.send(Platform::file(Method::GET, &path)).await.status, 404);
}

#[actix_web::test]
async fn an_experiment_goes_with_its_runs_and_its_name_is_free_again() {
    let platform = Platform::start().await;
    let new = json!({"name": "trials"});
    let create = async || platform.call(Method::POST, "experiments/create", new.clone()).await;
    let id = create().await.expect(200)["experiment_id"].as_str().unwrap().to_owned();
    let run = json!({"experiment_id": id, "start_time": 1});
    platform.call(Method::POST, "runs/create", run).await.expect(200);
    let kept = platform.run().await;
    let delete = json!({"experiment_id": id});
    platform.call(Method::POST, "experiments/delete", delete).await.expect(200);
    create().await.refusal(400, "RESOURCE_ALREADY_EXISTS");
    let done = platform.collect_deleted().await;
    assert_eq!((done.purged.runs, done.purged.experiments), (1, 1));
    create().await.expect(200);
    platform.get(&format!("mlflow/runs/get?run_id={kept}")).await.expect(200);
}
