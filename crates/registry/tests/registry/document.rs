//! The OpenAPI document of the registry's operations.

use actix_web::App;
use serde_json::Value;
use utoipa_actix_web::{AppExt as _, scope};

fn document() -> Value {
    let (_, document) = App::new()
        .into_utoipa_app()
        .service(scope::scope("/api/v1").configure(registry::routes))
        .split_for_parts();
    serde_json::to_value(document).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

#[test]
fn every_operation_says_what_it_does_what_it_takes_and_how_it_refuses() {
    let document = document();
    let operations = operations(&document);
    assert_eq!(operations.len(), 68);
    for (name, operation) in operations {
        assert!(operation["summary"].is_string(), "{name} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name} has no tag");
        for status in ["400", "401", "404", "503"] {
            assert!(operation["responses"].get(status).is_some(), "{name} lacks {status}");
        }
        let in_path = name.matches('{').count();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let documented = parameters.iter().filter(|it| it["in"] == "path").count();
        assert_eq!(documented, in_path, "{name}: {parameters:?}");
        assert!(!name.contains(':'), "{name}");
        // What is restored is named by the path alone.
        let takes_body = ["post", "put", "patch"].iter().any(|method| name.starts_with(method))
            && !["/restore", "/trial"].iter().any(|end| name.ends_with(end));
        assert_eq!(operation.get("requestBody").is_some(), takes_body, "{name}");
    }
}

#[test]
fn every_object_that_is_sent_or_answered_has_an_example() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "Model",
        "Version",
        "Alias",
        "Placed",
        "AliasMove",
        "StageMove",
        "Contract",
        "NewContract",
        "History",
        "Revert",
        "StageRevert",
        "StageReverted",
        "Resolved",
        "Endpoint",
        "Release",
        "Rollout",
        "Node",
        "NewModel",
        "NewVersion",
        "Deploy",
        "Rollback",
        "Promote",
        "NewCollection",
        "Collection",
        "Lineage",
        "Dependents",
        "DeletedVersion",
    ] {
        assert!(schemas[name].get("example").is_some(), "{name} has no example");
    }
}
