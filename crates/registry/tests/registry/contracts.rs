//! `/endpoints/{endpoint}/contract`, and the releases that it refuses.

use domain::Limit;
use futures_util::future::join_all;
use serde_json::{Value, json};
use store::{audit, versions::TrialOutcome};

use crate::{onnx, platform::Platform};

const CONTRACT: &str = "/endpoints/mood/contract";

/// `mood/1` and `mood/2` from `x` to `y`, `language/1` from `x` to `lang`; the endpoint `mood`
/// follows `mood@champion`, which is `mood/1`, and its first release is live.
async fn ready() -> Platform {
    let platform = Platform::start().await;
    platform.servable("mood", 1).await;
    platform.servable("mood", 2).await;
    servable_from(&platform, "language", &onnx::with_output("lang")).await;
    point(&platform, "mood", "champion", 1).await;
    platform.live("mood", "mood@champion").await;
    platform
}

async fn servable_from(platform: &Platform, model: &str, file: &[u8]) -> i64 {
    let number = platform.register_file(model, file).await;
    platform.end_trial(model, number, TrialOutcome::Ready { batchable: true }).await;
    number
}

async fn point(platform: &Platform, model: &str, alias: &str, version: i32) -> Value {
    let path = format!("/models/{model}/aliases/{alias}");
    platform.put(&path, json!({"version": version})).await.expect(200)
}

/// The events of contracts, oldest first.
async fn events(platform: &Platform) -> Vec<audit::Recorded> {
    let all = Limit::new(Some(1000)).unwrap();
    let filter = audit::Filter::default();
    let mut events = audit::list(platform.database(), &filter, None, all).await.unwrap().items;
    events.retain(|event| event.change.starts_with("contract."));
    events.reverse();
    events
}

#[actix_web::test]
async fn the_first_release_gives_the_contract_and_a_slip_is_refused_with_both_signatures() {
    let platform = ready().await;
    let contract = platform.get(CONTRACT).await.expect(200);
    assert_eq!((&contract["revision"], &contract["models"]), (&json!(1), &json!([])));
    assert_eq!(contract["signature"]["outputs"][0]["name"], "y");
    assert_eq!(contract["set_by"], "user:admin");

    let before = platform.get("/endpoints/mood").await.expect(200);
    let slip = platform.put("/endpoints/mood", json!({"model": "language/1"})).await;
    let error = slip.expect(403)["error"].clone();
    assert_eq!((&error["code"], &error["field"]), (&json!("gate_refused"), &json!("model")));
    let message = error["message"].as_str().unwrap();
    for part in ["`language/1`", "`mood`", "output `y`: expected FP32 [batch, 2], got none"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(error["hint"].as_str().unwrap().contains("contract set mood --from language/1"));
    let contract = &error["contract"];
    assert_eq!(contract["expected"]["signature"]["outputs"][0]["name"], "y");
    assert_eq!(contract["got"]["signature"]["outputs"][0]["name"], "lang");
    assert_eq!(contract["lines"][0]["ok"], true, "the input is the same: {contract}");
    assert_eq!(platform.get("/endpoints/mood").await.expect(200), before, "nothing has changed");

    // One that fits passes as ever.
    platform.put("/endpoints/mood", json!({"model": "mood/2"})).await.expect(200);
}

#[actix_web::test]
async fn a_follower_whose_version_does_not_fit_stays_and_vetoes_nothing() {
    let platform = ready().await;
    let other = servable_from(&platform, "mood", &onnx::with_output("lang")).await;
    let moved = point(&platform, "mood", "champion", i32::try_from(other).unwrap()).await;
    assert_eq!((&moved["version"], &moved["moved"]), (&json!(3), &json!(true)));
    let blocked = moved["followers"][0]["blocked"].as_str().unwrap();
    assert!(blocked.contains("does not fit the contract"), "{blocked}");
    let endpoint = platform.get("/endpoints/mood").await.expect(200);
    assert_eq!(endpoint["blocked"].as_str(), Some(blocked));
    assert_eq!((&endpoint["state"], &endpoint["live"]["release"]), (&json!("ready"), &json!(1)));

    // Once the contract is changed, deploying it again brings it along.
    platform.put(CONTRACT, json!({"from": "mood@champion"})).await.expect(200);
    let order = json!({"model": "mood@champion"});
    let brought = platform.put("/endpoints/mood", order).await.expect(200);
    assert_eq!(brought["target"]["versions"][0]["version"], 3);
    assert_eq!(brought["blocked"], json!(null));
}

#[actix_web::test]
async fn a_stage_a_revert_and_a_late_trial_are_held_to_it_too() {
    let platform = ready().await;
    servable_from(&platform, "mood", &onnx::with_output("lang")).await;
    // Who follows a stage.
    let stage = |version: i32| format!("/models/mood/versions/{version}/stage");
    platform.put(&stage(1), json!({"stage": "Production"})).await.expect(200);
    platform.live("by-stage", "mood/Production").await;
    let moved = platform.put(&stage(3), json!({"stage": "Production"})).await.expect(200);
    let followers = moved["followers"].as_array().unwrap();
    let blocked = followers.iter().find(|it| it["endpoint"] == "by-stage").unwrap();
    assert!(blocked["blocked"].as_str().unwrap().contains("contract"), "{moved}");

    // Back to an earlier version that does not fit any more.
    point(&platform, "mood", "champion", 2).await;
    platform.put(CONTRACT, json!({"from": "language/1"})).await.expect(200);
    let back = platform.post("/models/mood/aliases/champion/revert", json!({})).await.expect(200);
    assert!(back["followers"][0]["blocked"].as_str().unwrap().contains("contract"), "{back}");

    // A version whose trial ends after its alias moved.
    platform.put(CONTRACT, json!({"from": "mood/1"})).await.expect(200);
    let late = platform.register_file("mood", &onnx::with_output("late")).await;
    point(&platform, "mood", "champion", i32::try_from(late).unwrap()).await;
    platform.end_trial("mood", late, TrialOutcome::Ready { batchable: true }).await;
    let endpoint = platform.get("/endpoints/mood").await.expect(200);
    let blocked = endpoint["blocked"].as_str().unwrap();
    assert!(blocked.contains("does not fit"), "{blocked}");
}

#[actix_web::test]
async fn a_rollback_to_what_does_not_fit_any_more_is_refused() {
    let platform = ready().await;
    platform.put(CONTRACT, json!({"from": "language/1"})).await.expect(200);
    platform.live("mood", "language/1").await;
    let back = platform.post("/endpoints/mood/rollback", json!({})).await;
    let error = back.expect(403)["error"].clone();
    assert_eq!((&error["code"], &error["field"]), (&json!("gate_refused"), &json!("to")));
    assert_eq!(error["contract"]["got"]["model"], "mood");
    platform.put(CONTRACT, json!({"from": "mood/1"})).await.expect(200);
    platform.post("/endpoints/mood/rollback", json!({})).await.expect(200);
}

#[actix_web::test]
async fn only_the_models_that_it_names_are_served() {
    let platform = ready().await;
    // The same signature: only the name tells them apart.
    servable_from(&platform, "twin", &onnx::model(7)).await;
    let order = json!({"model": "twin/1"});
    let only = json!({"models": ["mood"], "reason": "one team's endpoint"});
    let contract = platform.put(CONTRACT, only).await.expect(200);
    assert_eq!((&contract["models"], &contract["revision"]), (&json!(["mood"]), &json!(2)));
    assert_eq!(contract["signature"]["outputs"][0]["name"], "y", "the signature stays");
    let error = platform.put("/endpoints/mood", order.clone()).await.expect(403)["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("expected `mood`, got `twin`"), "{error}");

    // The model's new name, and its end, open nothing.
    platform.patch("/models/mood", json!({"name": "feeling"})).await;
    let both = json!({"models": ["twin", "language"]});
    assert_eq!(
        platform.put(CONTRACT, both).await.expect(200)["models"],
        json!(["language", "twin"])
    );
    platform.put("/endpoints/mood", order.clone()).await.expect(200);
    platform.put(CONTRACT, json!({"models": []})).await.expect(200);
    assert_eq!(platform.get(CONTRACT).await.expect(200)["models"], json!([]));
}

#[actix_web::test]
async fn that_an_allowed_model_is_purged_allows_no_other() {
    let platform = ready().await;
    platform.servable("gone", 9).await;
    platform.put(CONTRACT, json!({"models": ["gone"]})).await.expect(200);
    platform.execute("DELETE FROM model_versions WHERE model_id = (SELECT id FROM models WHERE name = 'gone')").await;
    platform.execute("DELETE FROM models WHERE name = 'gone'").await;
    let left = platform.get(CONTRACT).await.expect(200);
    assert_eq!(left["models"].as_array().unwrap().len(), 1, "{left}");
    platform.put("/endpoints/mood", json!({"model": "mood/2"})).await.refusal(403, Some("model"));
}

#[actix_web::test]
async fn clearing_it_lets_the_next_release_give_it() {
    let platform = ready().await;
    platform.delete(&format!("{CONTRACT}?if_revision=7")).await.refusal(409, Some("if_revision"));
    platform.delete(&format!("{CONTRACT}?if_revision=1")).await.expect(204);
    let cleared = platform.get(CONTRACT).await.expect(200);
    assert_eq!((&cleared["signature"], &cleared["revision"]), (&json!(null), &json!(2)));
    platform.delete(CONTRACT).await.refusal(404, Some("endpoint"));
    platform.put(CONTRACT, json!({"models": ["mood"]})).await.refusal(409, Some("from"));
    platform.put("/endpoints/mood", json!({"model": "language/1"})).await.expect(200);
    let next = platform.get(CONTRACT).await.expect(200);
    assert_eq!(
        (&next["revision"], &next["signature"]["outputs"][0]["name"]),
        (&json!(3), &json!("lang"))
    );

    let events = events(&platform).await;
    let told: Vec<_> = events.iter().map(|event| event.change.as_str()).collect();
    assert_eq!(told, ["contract.set", "contract.cleared", "contract.set"]);
    let detail = &events[1].detail;
    assert_eq!(detail["before"]["signature"]["outputs"][0]["name"], "y");
    assert_eq!(detail["after"]["signature"], json!(null));
}

#[actix_web::test]
async fn an_endpoint_from_before_contracts_gets_one_by_its_next_release() {
    let platform = ready().await;
    platform.execute("DELETE FROM endpoint_contracts").await;
    let none = platform.get(CONTRACT).await.expect(200);
    assert_eq!((&none["revision"], &none["set_by"]), (&json!(0), &json!(null)));
    point(&platform, "mood", "champion", 2).await;
    let contract = platform.get(CONTRACT).await.expect(200);
    assert_eq!((&contract["revision"], &contract["set_by"]), (&json!(1), &json!("user:admin")));
    assert_eq!(events(&platform).await.len(), 2);
}

#[actix_web::test]
async fn of_two_who_change_one_revision_one_is_told_to_look_again() {
    let platform = ready().await;
    let change = json!({"from": "language/1", "if_revision": 1});
    let both = join_all((0..2).map(|_| platform.put(CONTRACT, change.clone()))).await;
    let mut statuses: Vec<_> = both.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(platform.get(CONTRACT).await.expect(200)["revision"], 2);
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    let platform = ready().await;
    platform.register("mood", 5).await;
    let tensor = json!({"name": "x", "datatype": "FP32", "shape": [-1]});
    let signature = json!({"inputs": [tensor], "outputs": [tensor]});
    let twice = json!({"inputs": [tensor, tensor], "outputs": []});
    let cases = [
        (json!({}), 400, "from"),
        (json!({"from": "mood/1", "signature": signature}), 400, "signature"),
        (json!({"from": "mood"}), 400, "from"),
        (json!({"from": "mood/99"}), 404, "from"),
        (json!({"from": "mood@nobody"}), 404, "from"),
        (json!({"from": "nothing/1"}), 404, "from"),
        (json!({"models": ["nothing"]}), 404, "models"),
        (json!({"models": ["a/b"]}), 400, "models"),
        (json!({"signature": twice}), 400, "signature.inputs"),
        (json!({"from": "mood/1", "if_revision": 3}), 409, "if_revision"),
        (json!({"from": "mood/1", "reason": "x".repeat(2001)}), 400, "reason"),
    ];
    for (body, status, field) in cases {
        let answer = platform.put(CONTRACT, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body} {answer:?}");
        answer.refusal(status, Some(field));
    }
    platform
        .put("/endpoints/none/contract", json!({"from": "mood/1"}))
        .await
        .refusal(404, Some("endpoint"));
    platform.get("/endpoints/none/contract").await.refusal(404, Some("endpoint"));
    // Written out, it is taken as it stands.
    let given = platform.put(CONTRACT, json!({"signature": signature})).await.expect(200);
    assert_eq!(given["signature"], signature);
}
