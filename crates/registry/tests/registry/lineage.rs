//! `…/lineage` and `…/dependents`

use registry::lineage::{self, Scope};
use serde_json::{Value, json};

use crate::platform::Platform;

const RUN: &str = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1";
const OTHER: &str = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c2";
const LOGGED: &str = "0199f0a25f0c7d2f9d2f4ad1a3a0b7d1";

/// A run that read a dataset and made a logged model, another one that loaded it, two versions made of it,
/// a copy, an alias, a stage, and endpoints that follow and serve.
async fn platform() -> Platform {
    let platform = Platform::start().await;
    platform
        .execute(&format!(
            "INSERT INTO experiments (id, name, artifact_location, owner, created_at, updated_at)
             VALUES (3, 'fraud', 'mlflow-artifacts:/3', 'user:ana', now(), now()),
                    (4, 'checks', 'mlflow-artifacts:/4', 'user:ana', now(), now());
             INSERT INTO runs (id, experiment_id, name, status, artifact_uri, owner, created_at, updated_at)
             VALUES ('{RUN}', 3, 'calm-otter', 'FINISHED', 'mlflow-artifacts:/3/a', 'user:ana', now(), now()),
                    ('{OTHER}', 4, 'check', 'FINISHED', 'mlflow-artifacts:/4/b', 'user:ana', now(), now());
             INSERT INTO datasets (id, experiment_id, name, digest, source_type, source)
             VALUES ('{RUN}', 3, 'june', '8f3a', 'local', 'june.csv');
             INSERT INTO run_datasets (run_id, dataset_id, tags)
             VALUES ('{RUN}', '{RUN}', '{{\"mlflow.data.context\": \"training\"}}');
             INSERT INTO logged_models (id, experiment_id, name, source_run_id, status, artifact_uri, owner, created_at, updated_at)
             VALUES ('{LOGGED}', 3, 'clf', '{RUN}', 'LOGGED_MODEL_READY', 'x', 'user:ana', now(), now());
             INSERT INTO run_models (run_id, direction, model_id)
             VALUES ('{RUN}', 'output', '{LOGGED}'), ('{OTHER}', 'input', '{LOGGED}');"
        ))
        .await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.servable("fraud-eu", 2).await;
    platform
        .execute(&format!(
            "UPDATE model_versions SET run_id = '{RUN}', logged_model_id = '{LOGGED}' WHERE number = 2;
             UPDATE model_versions SET source = 'models:/fraud/2', run_id = '{RUN}'
             FROM models WHERE models.id = model_id AND models.name = 'fraud-eu';"
        ))
        .await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    platform
        .put("/models/fraud/versions/2/stage", json!({"stage": "Production"}))
        .await
        .expect(200);
    platform.live("scoring", "fraud@champion").await;
    platform.live("staged.dev", "fraud/Production").await;
    platform
}

fn names(graph: &Value) -> Vec<&str> {
    let nodes = graph["nodes"].as_array().unwrap().iter();
    let mut names: Vec<_> = nodes.map(|node| node["id"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

fn edges(graph: &Value) -> Vec<String> {
    let text = |edge: &Value, field: &str| edge[field].as_str().unwrap_or_default().to_owned();
    let all = graph["edges"].as_array().unwrap().iter();
    all.map(|edge| {
        format!("{} {} {}", text(edge, "from"), text(edge, "relation"), text(edge, "to"))
    })
    .collect()
}

#[actix_web::test]
async fn a_version_is_traced_to_its_dataset_and_to_its_endpoints() {
    let platform = platform().await;
    let graph = platform.get("/models/fraud/versions/2/lineage").await.expect(200);
    assert_eq!((&graph["root"], &graph["truncated"]), (&json!("version:fraud/2"), &json!(false)));
    assert_eq!(graph["nodes"][0]["id"], "version:fraud/2");
    let (run, logged) = (format!("run:{RUN}"), format!("logged_model:m-{LOGGED}"));
    assert_eq!(
        edges(&graph),
        [
            "alias:fraud@champion followed endpoint:scoring".to_owned(),
            format!("dataset:june@8f3a input {run}"),
            format!("{logged} registered version:fraud/2"),
            format!("{run} produced {logged}"),
            format!("{run} produced version:fraud/2"),
            "stage:fraud/Production followed endpoint:staged.dev".to_owned(),
            "version:fraud/2 named alias:fraud@champion".to_owned(),
            "version:fraud/2 live endpoint:scoring".to_owned(),
            "version:fraud/2 live endpoint:staged.dev".to_owned(),
            "version:fraud/2 staged stage:fraud/Production".to_owned(),
            "version:fraud/2 copied version:fraud-eu/2".to_owned(),
        ]
        .map(|edge| edge.replace("fraud-eu/2", "fraud-eu/1"))
    );
    let all = graph["edges"].as_array().unwrap();
    assert_eq!(all[1]["context"], "training");
    assert_eq!(all.iter().find(|edge| edge["relation"] == "live").unwrap()["release"], 1);
    let nodes = graph["nodes"].as_array().unwrap();
    let node = |id: &str| nodes.iter().find(|node| node["id"] == id).unwrap();
    assert_eq!(node(&run)["name"], "calm-otter");
    assert_eq!(node(&run)["experiment_id"], "3");
    assert_eq!(node(&logged)["status"], "LOGGED_MODEL_READY");
    assert_eq!(node("dataset:june@8f3a")["digest"], "8f3a");
    assert!(nodes.iter().all(|node| node["present"] == true), "{nodes:?}");
}

#[actix_web::test]
async fn the_same_graph_is_seen_from_the_run_the_dataset_and_the_endpoint() {
    let platform = platform().await;
    let version = platform.get("/models/fraud/versions/2/lineage").await.expect(200);
    let run = platform.get(&format!("/runs/{RUN}/lineage")).await.expect(200);
    let dataset = platform.get("/datasets/lineage?name=june&digest=8f3a").await.expect(200);
    // What a run leads to is also what others made of its model.
    let other = format!("run:{OTHER}");
    let mut expected = names(&version);
    expected.push(&other);
    expected.sort_unstable();
    assert_eq!(names(&run), expected);
    assert_eq!(names(&dataset), expected);
    let endpoint = platform.get("/endpoints/staged.dev/lineage").await.expect(200);
    assert_eq!(
        names(&endpoint),
        [
            "dataset:june@8f3a",
            "endpoint:staged.dev",
            &format!("logged_model:m-{LOGGED}"),
            &format!("run:{RUN}"),
            "stage:fraud/Production",
            "version:fraud/2",
        ]
    );
}

#[actix_web::test]
async fn an_origin_that_is_deleted_or_elsewhere_is_told_as_gone() {
    let platform = platform().await;
    platform.execute(&format!("UPDATE runs SET deleted_at = now() WHERE id = '{RUN}'")).await;
    platform
        .execute("UPDATE model_versions SET run_id = 'elsewhere', dataset_digest = 'ab12' WHERE number = 1 AND run_id IS NULL")
        .await;
    let gone = |graph: Value| -> Vec<String> {
        let nodes = graph["nodes"].as_array().unwrap().iter();
        let gone = nodes.filter(|node| node["present"] == false);
        let mut gone: Vec<_> = gone.map(|node| node["id"].as_str().unwrap().to_owned()).collect();
        gone.sort_unstable();
        gone
    };
    let graph = platform.get("/models/fraud/versions/2/lineage").await.expect(200);
    assert_eq!(gone(graph), [format!("run:{RUN}")]);
    let graph = platform.get("/models/fraud/versions/1/lineage").await.expect(200);
    assert_eq!(gone(graph), ["dataset:@ab12", "run:elsewhere"]);
    platform.get(&format!("/runs/{RUN}/lineage")).await.refusal(404, Some("run_id"));
    platform.get(&format!("/runs/{RUN}/dependents")).await.refusal(404, Some("run_id"));
}

#[actix_web::test]
async fn what_is_too_deep_or_too_much_is_said_to_be_left_out() {
    let platform = platform().await;
    let near = platform.get("/models/fraud/versions/2/lineage?depth=1").await.expect(200);
    assert_eq!(near["truncated"], true);
    assert!(!names(&near).contains(&"dataset:june@8f3a"), "{near}");
    let far = platform.get("/models/fraud/versions/2/lineage?depth=3").await.expect(200);
    assert_eq!(far["truncated"], false);
    platform
        .execute(
            "INSERT INTO runs (id, experiment_id, name, status, artifact_uri, owner, created_at, updated_at)
             SELECT gen_random_uuid(), 3, 'many', 'FINISHED', 'x', 'user:ana', now(), now() FROM generate_series(1, 600);
             INSERT INTO run_datasets (run_id, dataset_id)
             SELECT runs.id, datasets.id FROM runs, datasets WHERE runs.name = 'many';",
        )
        .await;
    let many = platform.get("/datasets/lineage?name=june&digest=8f3a").await.expect(200);
    assert_eq!((names(&many).len(), &many["truncated"]), (500, &json!(true)));
    let version = platform.get("/models/fraud/versions/2/lineage").await.expect(200);
    assert_eq!(version["truncated"], false, "what else came of the dataset is not its lineage");
}

#[actix_web::test]
async fn what_a_caller_may_not_view_is_absent_and_so_is_what_lies_behind_it() {
    let platform = platform().await;
    let graph = async |hidden: &str| {
        let scope = Scope {
            depth: 10,
            may_view: async |resource: &domain::Resource| resource.to_string() != hidden,
        };
        let permit = platform.permit();
        let model = "fraud".parse().unwrap();
        let graph = lineage::of_version(&platform.state, &permit, &scope, &model, 2).await.unwrap();
        let ends: Vec<_> =
            graph.edges.iter().flat_map(|edge| [edge.from.clone(), edge.to.clone()]).collect();
        let mut ids: Vec<_> = graph.nodes.iter().map(domain::lineage::Node::id).collect();
        assert!(ends.iter().all(|end| ids.contains(end)), "{ends:?}");
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        graph("experiment:3").await,
        [
            "alias:fraud@champion",
            "endpoint:scoring",
            "endpoint:staged.dev",
            "stage:fraud/Production",
            "version:fraud-eu/1",
            "version:fraud/2",
        ]
    );
    let without = graph("endpoint:scoring").await;
    assert!(!without.contains(&"endpoint:scoring".to_owned()), "{without:?}");
    assert!(!graph("model:fraud-eu").await.contains(&"version:fraud-eu/1".to_owned()));
}

#[actix_web::test]
async fn what_cannot_be_traced_is_refused() {
    let platform = platform().await;
    platform.get("/models/fraud/versions/9/lineage").await.refusal(404, Some("version"));
    platform.get("/endpoints/nobody/lineage").await.refusal(404, Some("endpoint"));
    platform.get("/runs/abc/lineage").await.refusal(400, Some("run_id"));
    platform.get(&format!("/runs/{}/lineage", "0".repeat(32))).await.refusal(404, Some("run_id"));
    platform.get("/datasets/lineage?name=june&digest=0").await.expect(404);
    platform.get("/datasets/lineage?name=june").await.refusal(400, Some("digest"));
    platform.get("/models/fraud/versions/2/lineage?depth=21").await.refusal(400, Some("depth"));
    platform.get("/models/fraud/versions/2/lineage?deep=2").await.refusal(400, Some("deep"));
    platform.get("/experiments/77/dependents").await.refusal(404, Some("experiment_id"));
    platform.get("/experiments/x/dependents").await.refusal(400, Some("experiment_id"));
}

/// `kind name relation`, with `!` where it stands against the deletion.
async fn dependents(platform: &Platform, path: &str) -> Vec<String> {
    let found = platform.get(&format!("{path}/dependents")).await.expect(200);
    assert_eq!(found["truncated"], false);
    let all = found["items"].as_array().unwrap().iter();
    all.map(|item| {
        let text = |field: &str| item[field].as_str().unwrap();
        let sign = if item["blocks"] == true { "!" } else { "" };
        format!("{} {} {}{sign}", text("kind"), text("name"), text("relation"))
    })
    .collect()
}

#[actix_web::test]
async fn dependents_say_what_breaks_and_what_loses_its_origin() {
    let platform = platform().await;
    let run = format!("run {OTHER} loaded");
    assert_eq!(
        dependents(&platform, "/models/fraud/versions/2").await,
        [
            "alias champion named!",
            "endpoint scoring live!",
            "endpoint staged.dev live!",
            &run,
            "version fraud-eu/1 copied",
        ]
    );
    assert_eq!(
        dependents(&platform, "/models/fraud").await,
        [
            "endpoint scoring live!",
            "endpoint staged.dev live!",
            "alias champion named",
            "version fraud-eu/1 copied",
        ]
    );
    assert_eq!(
        dependents(&platform, &format!("/runs/{RUN}")).await,
        [
            &format!("logged_model m-{LOGGED} produced"),
            &run,
            "version fraud-eu/1 produced",
            "version fraud/2 produced",
        ]
    );
    assert_eq!(
        dependents(&platform, "/experiments/3").await,
        [
            run.as_str(),
            "version fraud-eu/1 produced",
            "version fraud/2 produced",
            "version fraud/2 registered",
        ]
    );
    assert!(dependents(&platform, "/models/fraud-eu").await.is_empty());
    let refused = platform.delete("/models/fraud").await.refusal(409, None);
    assert_eq!(refused, "`fraud` is needed by `endpoint scoring`, `endpoint staged.dev`");
    platform.delete("/models/fraud/aliases/challenger").await;
    let refused = platform.delete("/models/fraud/versions/2").await.refusal(409, None);
    assert_eq!(
        refused,
        "`fraud/2` is needed by `alias champion`, `endpoint scoring`, `endpoint staged.dev`"
    );
}

#[actix_web::test]
async fn past_releases_and_pins_stand_against_a_deletion_too() {
    let platform = platform().await;
    platform.live("pinned", "fraud/1").await;
    assert_eq!(dependents(&platform, "/models/fraud/versions/1").await, ["endpoint pinned live!"]);
    platform.live("pinned", "fraud-eu/1").await;
    let found = platform.get("/models/fraud/versions/1/dependents").await.expect(200);
    assert_eq!(
        found["items"],
        json!([
            {"kind": "endpoint", "name": "pinned", "relation": "past", "release": 1, "blocks": true},
        ])
    );
    let model = dependents(&platform, "/models/fraud").await;
    assert!(model.contains(&"endpoint pinned past!".to_owned()), "{model:?}");
    // Made, and not ready yet.
    platform.put("/endpoints/pinned", json!({"model": "fraud/1"})).await.expect(200);
    assert_eq!(dependents(&platform, "/models/fraud/versions/1").await, ["endpoint pinned next!"]);
}
