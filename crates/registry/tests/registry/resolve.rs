//! `/resolve`

use serde_json::json;

use crate::platform::{Platform, versions_of};

#[actix_web::test]
async fn a_reference_is_resolved_down_to_the_bytes() {
    let platform = Platform::start().await;
    let (a, b) = (platform.file("a b/é.bin", b"1").await, platform.file("b.bin", b"22").await);
    platform.post(&versions_of("credit risk"), json!({"files": [a, b]})).await.expect(201);
    platform.put("/models/credit%20risk/aliases/champion", json!({"version": 1})).await.expect(200);

    let found = platform.get("/resolve?model=credit%20risk@champion").await.expect(200);
    assert_eq!((&found["model"], &found["version"]), (&json!("credit risk"), &json!(1)));
    assert_eq!((&found["alias"], &found["revision"]), (&json!("champion"), &json!(1)));
    let version = platform.get("/models/credit%20risk/versions/1").await.expect(200);
    assert_eq!(found["digest"], version["digest"]);
    for (file, content) in found["files"].as_array().unwrap().iter().zip(["1", "22"]) {
        let url = file["url"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
        assert_eq!(platform.get(url).await.body, content.as_bytes(), "{url}");
    }

    let found = platform.get("/resolve?model=credit%20risk/1").await.expect(200);
    assert_eq!((found.get("alias"), found.get("revision")), (None, None));
    assert_eq!(found["files"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn what_is_not_there_is_not_found_and_says_what_is() {
    let platform = Platform::start().await;
    let file = platform.file("a.bin", b"1").await;
    platform.post("/models/fraud/versions", json!({"files": [file]})).await.expect(201);
    for (reference, status, field, message) in [
        ("fraud@champion", 404, "alias", "`fraud` has no alias `champion`: it has none"),
        ("fraud/2", 404, "version", "`fraud` has no version 2: its newest are `1`"),
        ("ghost@champion", 404, "model", "there is no model `ghost`"),
        ("fraud", 400, "model", "`fraud` names no version"),
    ] {
        let refused = platform.get(&format!("/resolve?model={reference}")).await;
        assert_eq!(refused.refusal(status, Some(field)), message);
    }
    platform.get("/resolve").await.refusal(400, Some("model"));
}
