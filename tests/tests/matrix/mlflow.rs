//! MLflow's API.

use super::rows::{Place, Row, ask, send};

const UNOWNED: &[Place] = &[Place::Nobodys];

pub fn rows() -> Vec<Row> {
    let tracked = [experiments(), runs(), logged_models(), files()];
    let registered = [models(), versions(), webhooks()];
    let people = [users(), permissions(), roles()];
    tracked.into_iter().chain(registered).chain(people).flatten().collect()
}

fn experiments() -> Vec<Row> {
    const ID: &str = r#"{"experiment_id": "{experiment}"}"#;
    vec![
        ask("GET /api/2.0/mlflow/experiments/get").query("?experiment_id={experiment}"),
        ask("GET /api/2.0/mlflow/experiments/get-by-name").query("?experiment_name={named}"),
        ask("GET /api/2.0/mlflow/experiments/search").query("?max_results=1000").shows("{named}"),
        send("POST /api/2.0/mlflow/experiments/search", r#"{"max_results": 1000}"#)
            .shows("{named}"),
        send(
            "POST /api/2.0/mlflow/experiments/search-datasets",
            r#"{"experiment_ids": ["{experiment}"]}"#,
        ),
        // The name is taken.
        send("POST /api/2.0/mlflow/experiments/create", r#"{"name": "{named}"}"#)
            .only(UNOWNED)
            .makes(),
        send(
            "POST /api/2.0/mlflow/experiments/update",
            r#"{"experiment_id": "{experiment}", "new_name": "{named}"}"#,
        ),
        send("POST /api/2.0/mlflow/experiments/delete", ID)
            .undo("POST /api/2.0/mlflow/experiments/restore", ID),
        // One that is not deleted is not there to be restored.
        send("POST /api/2.0/mlflow/experiments/restore", ID).absent_to_all(),
        send(
            "POST /api/2.0/mlflow/experiments/set-experiment-tag",
            r#"{"experiment_id": "{experiment}", "key": "k", "value": "v"}"#,
        ),
        send(
            "POST /api/2.0/mlflow/experiments/delete-experiment-tag",
            r#"{"experiment_id": "{experiment}", "key": "none"}"#,
        ),
    ]
}

fn runs() -> Vec<Row> {
    const ID: &str = r#"{"run_id": "{run}"}"#;
    vec![
        send("POST /api/2.0/mlflow/runs/create", r#"{"experiment_id": "{experiment}"}"#),
        ask("GET /api/2.0/mlflow/runs/get").query("?run_id={run}"),
        send("POST /api/2.0/mlflow/runs/update", r#"{"run_id": "{run}", "run_name": "x"}"#),
        send("POST /api/2.0/mlflow/runs/delete", ID).undo("POST /api/2.0/mlflow/runs/restore", ID),
        send("POST /api/2.0/mlflow/runs/restore", ID),
        send("POST /api/2.0/mlflow/runs/search", r#"{"experiment_ids": ["{experiment}"]}"#),
        send(
            "POST /api/2.0/mlflow/runs/log-metric",
            r#"{"run_id": "{run}", "key": "k", "value": 1, "timestamp": 1, "step": 0}"#,
        ),
        send(
            "POST /api/2.0/mlflow/runs/log-parameter",
            r#"{"run_id": "{run}", "key": "k", "value": "v"}"#,
        ),
        send("POST /api/2.0/mlflow/runs/log-batch", ID),
        send("POST /api/2.0/mlflow/runs/log-inputs", ID),
        send("POST /api/2.0/mlflow/runs/outputs", r#"{"run_id": "{run}", "models": []}"#),
        send(
            "POST /api/2.0/mlflow/runs/log-model",
            r#"{"run_id": "{run}", "model_json": "{\"artifact_path\": \"x\", \"flavors\": {}, \"utc_time_created\": \"x\", \"run_id\": \"{run}\"}"}"#,
        ),
        send(
            "POST /api/2.0/mlflow/runs/set-tag",
            r#"{"run_id": "{run}", "key": "k", "value": "v"}"#,
        ),
        send("POST /api/2.0/mlflow/runs/delete-tag", r#"{"run_id": "{run}", "key": "none"}"#),
        ask("GET /api/2.0/mlflow/metrics/get-history").query("?run_id={run}&metric_key=accuracy"),
        ask("GET /api/2.0/mlflow/metrics/get-history-bulk")
            .query("?run_id={run}&metric_key=accuracy"),
        ask("GET /api/2.0/mlflow/metrics/get-history-bulk-interval")
            .query("?run_ids={run}&metric_key=accuracy"),
        ask("GET /api/2.0/mlflow/artifacts/list").query("?run_id={run}"),
    ]
}

fn logged_models() -> Vec<Row> {
    vec![
        send("POST /api/2.0/mlflow/logged-models", r#"{"experiment_id": "{experiment}"}"#),
        send(
            "POST /api/2.0/mlflow/logged-models/search",
            r#"{"experiment_ids": ["{experiment}"]}"#,
        ),
        ask("GET /api/2.0/mlflow/logged-models/{model_id}"),
        send(
            "PATCH /api/2.0/mlflow/logged-models/{model_id}",
            r#"{"status": "LOGGED_MODEL_READY"}"#,
        ),
        send("PATCH /api/2.0/mlflow/logged-models/{model_id}/tags", r#"{"tags": []}"#),
        ask("DELETE /api/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}")
            .param("tag_key", "none"),
        send("POST /api/2.0/mlflow/logged-models/{model_id}/params", r#"{"params": []}"#),
        ask("GET /api/2.0/mlflow/logged-models/{model_id}/artifacts/directories"),
        ask("DELETE /api/2.0/mlflow/logged-models/{model_id}").fresh(
            "POST /api/2.0/mlflow/logged-models",
            r#"{"experiment_id": "{experiment}"}"#,
            ("logged", "/model/info/model_id"),
        ),
    ]
}

fn models() -> Vec<Row> {
    const NAME: &str = r#"{"name": "{model}"}"#;
    vec![
        // The name is taken.
        send("POST /api/2.0/mlflow/registered-models/create", NAME).with("view:model"),
        ask("GET /api/2.0/mlflow/registered-models/get").query("?name={model}"),
        ask("GET /api/2.0/mlflow/registered-models/search").shows("{model}"),
        send(
            "POST /api/2.0/mlflow/registered-models/rename",
            r#"{"name": "{model}", "new_name": "{model}"}"#,
        ),
        send(
            "PATCH /api/2.0/mlflow/registered-models/update",
            r#"{"name": "{model}", "description": "x"}"#,
        ),
        // Its endpoint needs it.
        send("DELETE /api/2.0/mlflow/registered-models/delete", NAME),
        ask("GET /api/2.0/mlflow/registered-models/get-latest-versions").query("?name={model}"),
        send("POST /api/2.0/mlflow/registered-models/get-latest-versions", NAME),
        send(
            "POST /api/2.0/mlflow/registered-models/set-tag",
            r#"{"name": "{model}", "key": "k", "value": "v"}"#,
        ),
        send(
            "DELETE /api/2.0/mlflow/registered-models/delete-tag",
            r#"{"name": "{model}", "key": "none"}"#,
        ),
        ask("GET /api/2.0/mlflow/registered-models/alias").query("?name={model}&alias=champion"),
        send(
            "POST /api/2.0/mlflow/registered-models/alias",
            r#"{"name": "{model}", "alias": "champion", "version": "1"}"#,
        ),
        send(
            "DELETE /api/2.0/mlflow/registered-models/alias",
            r#"{"name": "{model}", "alias": "none"}"#,
        )
        .with("view:model"),
    ]
}

fn versions() -> Vec<Row> {
    const ONE: &str = r#"{"name": "{model}", "version": "1"}"#;
    vec![
        // There are no files of ours there.
        send(
            "POST /api/2.0/mlflow/model-versions/create",
            r#"{"name": "{model}", "source": "nonsense"}"#,
        ),
        send(
            "POST /api/2.0/mlflow/model-versions/create",
            r#"{"name": "{model}", "source": "models:/{model}/999"}"#,
        )
        .with("view:model"),
        send(
            "POST /api/2.0/mlflow/model-versions/create",
            r#"{"name": "{model}", "source": "mlflow-artifacts:/{experiment}/{run}/artifacts/none", "run_id": "{run}"}"#,
        )
        .with("view:experiment"),
        ask("GET /api/2.0/mlflow/model-versions/get").query("?name={model}&version=1"),
        ask("GET /api/2.0/mlflow/model-versions/search").shows("{model}"),
        send(
            "PATCH /api/2.0/mlflow/model-versions/update",
            r#"{"name": "{model}", "version": "1", "description": "x"}"#,
        ),
        // Its endpoint needs it.
        send("DELETE /api/2.0/mlflow/model-versions/delete", ONE),
        ask("GET /api/2.0/mlflow/model-versions/get-download-uri").query("?name={model}&version=1"),
        send(
            "POST /api/2.0/mlflow/model-versions/transition-stage",
            r#"{"name": "{model}", "version": "1", "stage": "nonsense", "archive_existing_versions": false}"#,
        ),
        send(
            "POST /api/2.0/mlflow/model-versions/set-tag",
            r#"{"name": "{model}", "version": "1", "key": "k", "value": "v"}"#,
        ),
        send(
            "DELETE /api/2.0/mlflow/model-versions/delete-tag",
            r#"{"name": "{model}", "version": "1", "key": "none"}"#,
        ),
    ]
}

fn webhooks() -> Vec<Row> {
    vec![
        ask("GET /api/2.0/mlflow/webhooks"),
        send(
            "POST /api/2.0/mlflow/webhooks",
            r#"{"name": "x", "url": "http://127.0.0.1:1", "events": []}"#,
        ),
        ask("GET /api/2.0/mlflow/webhooks/{webhook_id}"),
        send("PATCH /api/2.0/mlflow/webhooks/{webhook_id}", "{}"),
        ask("DELETE /api/2.0/mlflow/webhooks/{webhook_id}"),
        send("POST /api/2.0/mlflow/webhooks/{webhook_id}/test", "{}"),
    ]
}

fn files() -> Vec<Row> {
    const FOLDER: &str = "{experiment}/{run}/artifacts";
    const FILE: &str = "{experiment}/{run}/artifacts/a.txt";
    const OF_RUN: &str = "view:experiment";
    const OF_VERSION: &str = "models/{files}/breast_cancer.onnx";
    let of = |operation: &'static str, path: &'static str| ask(operation).param("path", path);
    vec![
        ask("GET /api/2.0/mlflow-artifacts/artifacts")
            .query("?path={experiment}/{run}/artifacts")
            .with(OF_RUN),
        ask("GET /api/2.0/mlflow-artifacts/artifacts")
            .query("?path=models/{files}")
            .with("view:model"),
        of("GET /api/2.0/mlflow-artifacts/artifacts/{path}", FILE).with(OF_RUN),
        of("HEAD /api/2.0/mlflow-artifacts/artifacts/{path}", FILE).with(OF_RUN),
        of("PUT /api/2.0/mlflow-artifacts/artifacts/{path}", FILE).bytes("a"),
        of(
            "DELETE /api/2.0/mlflow-artifacts/artifacts/{path}",
            "{experiment}/{run}/artifacts/none",
        ),
        send(
            "POST /api/2.0/mlflow-artifacts/mpu/create/{path}",
            r#"{"path": "b.txt", "num_parts": 1}"#,
        )
        .param("path", FOLDER),
        send(
            "POST /api/2.0/mlflow-artifacts/mpu/complete/{path}",
            r#"{"path": "b.txt", "upload_id": "x", "parts": []}"#,
        )
        .param("path", FOLDER),
        send(
            "POST /api/2.0/mlflow-artifacts/mpu/abort/{path}",
            r#"{"path": "b.txt", "upload_id": "x"}"#,
        )
        .param("path", FOLDER),
        of("GET /api/2.0/mlflow-artifacts/presigned/{path}", FILE).with(OF_RUN),
        of("GET /api/2.0/mlflow-artifacts/artifacts/{path}", OF_VERSION).with("view:model"),
        of("HEAD /api/2.0/mlflow-artifacts/artifacts/{path}", OF_VERSION).with("view:model"),
        of("GET /api/2.0/mlflow-artifacts/presigned/{path}", OF_VERSION).with("view:model"),
        ask("GET /api/3.0/mlflow/server-info"),
    ]
}

/// About a user who is not there, which only who may is told.
fn users() -> Vec<Row> {
    const WHO: &str = "?username=nobody-at-all";
    const OVERSEE: &str = "audit:platform";
    vec![
        // Passwords are not empty.
        send("POST /api/2.0/mlflow/users/create", r#"{"username": "x", "password": ""}"#),
        ask("GET /api/2.0/mlflow/users/get").query(WHO).with(OVERSEE),
        ask("GET /api/2.0/mlflow/users/list"),
        ask("GET /api/2.0/mlflow/users/current"),
        send(
            "PATCH /api/2.0/mlflow/users/update-password",
            r#"{"username": "nobody-at-all", "password": "correct horse battery"}"#,
        )
        .with("administer:platform"),
        send(
            "PATCH /api/2.0/mlflow/users/update-admin",
            r#"{"username": "nobody-at-all", "is_admin": false}"#,
        ),
        send("DELETE /api/2.0/mlflow/users/delete", r#"{"username": "nobody-at-all"}"#),
        ask("GET /api/3.0/mlflow/users/permissions/list").query(WHO).with(OVERSEE),
        ask("GET /api/3.0/mlflow/users/current/permissions"),
        ask("GET /api/3.0/mlflow/users/roles/list").query(WHO).with(OVERSEE),
    ]
}

/// Of a user who is not there, on a thing that is.
fn permissions() -> Vec<Row> {
    const OF_EXPERIMENT: &str =
        r#"{"experiment_id": "{experiment}", "username": "nobody-at-all", "permission": "READ"}"#;
    const OF_MODEL: &str =
        r#"{"name": "{model}", "username": "nobody-at-all", "permission": "READ"}"#;
    const OF_ANY: &str = r#"{"resource_type": "experiment", "resource_id": "{experiment}", "username": "nobody-at-all", "permission": "READ"}"#;
    vec![
        send("POST /api/2.0/mlflow/experiments/permissions/create", OF_EXPERIMENT),
        ask("GET /api/2.0/mlflow/experiments/permissions/get")
            .query("?experiment_id={experiment}&username=nobody-at-all"),
        send("PATCH /api/2.0/mlflow/experiments/permissions/update", OF_EXPERIMENT),
        send("DELETE /api/2.0/mlflow/experiments/permissions/delete", OF_EXPERIMENT),
        send("POST /api/2.0/mlflow/registered-models/permissions/create", OF_MODEL),
        ask("GET /api/2.0/mlflow/registered-models/permissions/get")
            .query("?name={model}&username=nobody-at-all"),
        send("PATCH /api/2.0/mlflow/registered-models/permissions/update", OF_MODEL),
        send("DELETE /api/2.0/mlflow/registered-models/permissions/delete", OF_MODEL),
        send("POST /api/3.0/mlflow/users/permissions/grant", OF_ANY),
        send("POST /api/3.0/mlflow/users/permissions/revoke", OF_ANY),
        ask("GET /api/3.0/mlflow/users/permissions/get")
            .query("?username=admin&resource_type=experiment&resource_id={experiment}")
            .overseen(),
    ]
}

/// Of a role that is not there, but for one.
fn roles() -> Vec<Row> {
    const WHICH: &str = "?role_id=999999";
    const ROLE: &str = r#"{"role_id": 999999}"#;
    const MEMBER: &str = r#"{"role_id": 999999, "username": "nobody-at-all"}"#;
    const OVERSEE: &str = "audit:platform";
    vec![
        // The name is taken.
        send(
            "POST /api/3.0/mlflow/roles/create",
            r#"{"name": "own-role", "workspace": "default"}"#,
        ),
        ask("GET /api/3.0/mlflow/roles/get").query(WHICH).with(OVERSEE),
        ask("GET /api/3.0/mlflow/roles/list"),
        send("PATCH /api/3.0/mlflow/roles/update", r#"{"role_id": 999999, "description": "x"}"#),
        send("DELETE /api/3.0/mlflow/roles/delete", ROLE),
        send("POST /api/3.0/mlflow/roles/assign", MEMBER),
        send("DELETE /api/3.0/mlflow/roles/unassign", MEMBER),
        // There from the second time on.
        send(
            "POST /api/3.0/mlflow/roles/permissions/add",
            r#"{"role_id": {role}, "resource_type": "experiment", "resource_pattern": "{experiment}", "permission": "READ"}"#,
        )
        .with("administer:any"),
        send("DELETE /api/3.0/mlflow/roles/permissions/remove", r#"{"role_permission_id": 999999}"#),
        ask("GET /api/3.0/mlflow/roles/permissions/list").query(WHICH).with(OVERSEE),
        send(
            "PATCH /api/3.0/mlflow/roles/permissions/update",
            r#"{"role_permission_id": 999999, "permission": "READ"}"#,
        ),
        ask("GET /api/3.0/mlflow/roles/users/list").query(WHICH).with(OVERSEE),
    ]
}
