//! `/models`

use serde_json::json;

use crate::platform::Platform;

#[actix_web::test]
async fn a_model_is_made_shown_changed_and_deleted_with_one_event_each() {
    let platform = Platform::start().await;
    let new = json!({"name": "credit risk@2", "description": "d", "tags": {"team": "risk"}});
    let made = platform.post("/models", new).await.expect(201);
    assert_eq!(made["owner"], "user:admin");
    assert_eq!((&made["latest_version"], &made["aliases"]), (&json!(null), &json!({})));
    let path = "/models/credit%20risk%402";
    assert_eq!(platform.get(path).await.expect(200), made);

    let edited = platform.patch(path, json!({"description": "new"})).await.expect(200);
    assert_eq!(
        (&edited["description"], &edited["tags"]),
        (&json!("new"), &json!({"team": "risk"}))
    );
    let edited = platform.patch(path, json!({"tags": {}})).await.expect(200);
    assert_eq!((&edited["description"], &edited["tags"]), (&json!("new"), &json!({})));

    platform.delete(path).await.expect(204);
    platform.get(path).await.expect(404);
    let expected = ["registered", "edited", "edited", "deleted"];
    let expected = expected.map(|change| format!("model.{change} model:credit risk@2"));
    assert_eq!(platform.recorded().await, expected);
}

#[actix_web::test]
async fn a_name_is_given_once() {
    let platform = Platform::start().await;
    platform.post("/models", json!({"name": "fraud"})).await.expect(201);
    let refused = platform.post("/models", json!({"name": "fraud"})).await;
    assert_eq!(refused.refusal(409, Some("name")), "there is a model `fraud` already");
    assert_eq!(platform.recorded().await.len(), 1);
}

#[actix_web::test]
async fn wrong_input_is_refused_by_name_and_changes_nothing() {
    let platform = Platform::start().await;
    let long = "x".repeat(100_001);
    for (body, field, message) in [
        (json!({"name": "a/b"}), "name", "a model's name may not hold `/`: `a/b`"),
        (json!({"name": "a\nb"}), "name", "a model's name holds the character U+000A"),
        (json!({}), "name", "missing field `name`"),
        (json!({"name": "a", "owner": "me"}), "owner", "unknown field `owner`"),
        (
            json!({"name": "a", "description": "x\u{0}"}),
            "description",
            "`description` holds the character U+0000",
        ),
        (
            json!({"name": "a", "description": long}),
            "description",
            "`description` has 100001 characters",
        ),
        (
            json!({"name": "a", "tags": {"": "x"}}),
            "tags",
            "a tag's key is empty: expected 1 to 250",
        ),
        (json!({"name": "a", "tags": {"k": 1}}), "tags.k", "invalid type: integer `1`"),
    ] {
        let refused = platform.post("/models", body).await;
        let found = refused.refusal(400, Some(field));
        assert!(found.starts_with(message), "{found}");
    }
    let name = "a%0Ab";
    platform.get(&format!("/models/{name}")).await.refusal(400, Some("name"));
    assert_eq!(platform.get("/models").await.expect(200)["items"], json!([]));
    assert!(platform.recorded().await.is_empty());
}

#[actix_web::test]
async fn an_absent_model_is_not_found() {
    let platform = Platform::start().await;
    let edit = json!({"description": "x"});
    for refused in [
        platform.get("/models/ghost").await,
        platform.patch("/models/ghost", edit).await,
        platform.delete("/models/ghost").await,
        platform.get("/models/ghost/versions").await,
        platform.get("/models/ghost/versions/1").await,
        platform.get("/models/ghost/aliases").await,
    ] {
        assert_eq!(refused.refusal(404, Some("model")), "there is no model `ghost`");
    }
}

#[actix_web::test]
async fn models_are_listed_by_name_in_pages_and_searched_whatever_the_case() {
    let platform = Platform::start().await;
    for name in ["Fraud", "churn", "fraud-eu", "pricing"] {
        platform.post("/models", json!({"name": name})).await.expect(201);
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = platform.get("/models?limit=3").await.expect(200);
    assert_eq!(names(&first), ["Fraud", "churn", "fraud-eu"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = platform.get(&format!("/models?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (names(&second), &second["next_cursor"]),
        (vec!["pricing".to_owned()], &json!(null))
    );
    let found = platform.get("/models?search=FRAUD").await.expect(200);
    assert_eq!(names(&found), ["Fraud", "fraud-eu"]);
    platform.get("/models?cursor=xyz").await.refusal(400, Some("cursor"));
    platform.get("/models?limit=0").await.refusal(400, Some("limit"));
    platform.get("/models?serch=a").await.refusal(400, Some("serch"));
    // What Postgres cannot keep is the caller's mistake as well, not ours.
    platform.get("/models?search=a%00").await.expect(400);
}

#[actix_web::test]
async fn a_model_that_an_endpoint_needs_is_not_deleted() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.live("scoring.dev", "fraud/1").await;
    let refused = platform.delete("/models/fraud").await;
    let message = refused.refusal(409, None);
    assert_eq!(message, "`fraud` is needed by `endpoint scoring.dev`");
    platform.delete("/endpoints/scoring.dev").await.expect(204);
    platform.delete("/models/fraud").await.expect(204);
    platform.get("/models/fraud/versions/1").await.expect(404);
}

#[actix_web::test]
async fn a_model_shows_its_newest_version_and_its_aliases() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 1})).await.expect(200);
    let shown = platform.get("/models/fraud").await.expect(200);
    assert_eq!(shown["latest_version"], 2);
    assert_eq!(shown["aliases"], json!({"champion": 1}));
    platform.delete("/models/fraud/versions/2").await.expect(204);
    assert_eq!(platform.get("/models/fraud").await.expect(200)["latest_version"], 1);
}

#[actix_web::test]
async fn nothing_answers_without_a_token() {
    let platform = Platform::start().await;
    for path in ["/api/v1/models", "/api/v1/endpoints/x", "/api/v1/nowhere"] {
        let answer = platform.send(actix_web::test::TestRequest::with_uri(path)).await;
        assert_eq!(answer.expect(401)["error"]["code"], "unauthenticated", "{path}");
    }
}
