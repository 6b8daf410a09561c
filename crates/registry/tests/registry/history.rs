//! `/models/{name}/history`, and `?as_of=`.

use serde_json::{Value, json};

use crate::platform::Platform;

const CHAMPION: &str = "/models/fraud/aliases/champion";
const HISTORY: &str = "/models/fraud/history";

async fn to(platform: &Platform, version: i64, stage: &str) {
    let url = format!("/models/fraud/versions/{version}/stage");
    platform.put(&url, json!({"stage": stage})).await.expect(200);
}

async fn promote(platform: &Platform, version: i64) {
    platform.put(CHAMPION, json!({"version": version})).await.expect(200);
}

/// Moves as `@champion 1>2` and `3 None>Staging`.
fn told(page: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let one = |it: &Value| match it["kind"].as_str().unwrap() {
        "alias" => {
            let alias = it["alias"].as_str().unwrap();
            format!("@{alias} {}>{}", it["from_version"], it["to_version"])
        }
        "stage" => {
            format!("{} {}>{}", it["version"], text(&it["from_stage"]), text(&it["to_stage"]))
        }
        other => panic!("{other}"),
    };
    page["items"].as_array().unwrap().iter().map(one).collect()
}

/// The instant of the newest move, for a URL.
async fn instant(platform: &Platform) -> String {
    let page = platform.get(&format!("{HISTORY}?limit=1")).await.expect(200);
    page["items"][0]["at"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn all_moves_are_one_list_newest_first() {
    let platform = Platform::start().await;
    for seed in 1..=2 {
        platform.register("fraud", seed).await;
    }
    let body = json!({"version": 1, "reason": "first"});
    platform.put(CHAMPION, body).await.expect(200);
    to(&platform, 1, "Staging").await;
    let since = instant(&platform).await;
    to(&platform, 1, "Production").await;
    promote(&platform, 2).await;
    platform.delete(CHAMPION).await.expect(204);
    platform.delete("/models/fraud/versions/2").await.expect(204);

    let whole = platform.get(HISTORY).await.expect(200);
    let expected = [
        "2 None>null",
        "@champion 2>null",
        "@champion 1>2",
        "1 Staging>Production",
        "1 None>Staging",
        "@champion null>1",
    ];
    assert_eq!(told(&whole), expected);
    assert_eq!((&whole["next_cursor"], whole.get("standing")), (&json!(null), None));
    let first = &whole["items"][5];
    assert_eq!(
        (&first["revision"], &first["reason"], &first["actor"]),
        (&json!(1), &json!("first"), &json!("user:admin"))
    );
    assert!(first["request_id"].is_string() && first["at"].is_string(), "{first}");

    let filtered =
        async |query: &str| told(&platform.get(&format!("{HISTORY}?{query}")).await.expect(200));
    assert_eq!(filtered("alias=champion").await, [expected[1], expected[2], expected[5]]);
    assert_eq!(filtered("stage=production").await, [expected[3]]);
    assert_eq!(filtered("alias=champion&stage=Staging").await, [&expected[1..]].concat());
    assert_eq!(filtered("alias=other").await, Vec::<String>::new());
    assert_eq!(filtered(&format!("since={since}")).await, expected[..5]);
    assert_eq!(filtered(&format!("until={since}")).await, expected[5..]);

    let mut seen = Vec::new();
    let mut next = format!("{HISTORY}?limit=1");
    loop {
        let page = platform.get(&next).await.expect(200);
        seen.extend(told(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("{HISTORY}?limit=1&cursor={cursor}");
    }
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn any_moment_can_be_asked_for() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    promote(&platform, 1).await;
    to(&platform, 1, "Production").await;
    let early = instant(&platform).await;
    platform.register("fraud", 2).await;
    promote(&platform, 2).await;
    to(&platform, 1, "Archived").await;
    to(&platform, 2, "Production").await;
    let middle = instant(&platform).await;
    platform.delete(CHAMPION).await.expect(204);
    platform.delete("/models/fraud/versions/2").await.expect(204);
    let late = instant(&platform).await;
    platform.post("/models/fraud/versions/2/restore", json!({})).await.expect(200);
    let last = instant(&platform).await;

    let standing = async |at: &str| {
        let page = platform.get(&format!("{HISTORY}?as_of={at}")).await.expect(200);
        assert_eq!(page["standing"]["as_of"], at);
        let pick = |list: &str, name: &str| -> Vec<Value> {
            let items = page["standing"][list].as_array().unwrap();
            items.iter().map(|it| json!([it[name], it["version"]])).collect()
        };
        (pick("aliases", "alias"), pick("stages", "stage"), told(&page).len())
    };
    let champion = |version: i32| vec![json!(["champion", version])];
    let production = |version: i32| vec![json!(["Production", version])];
    assert_eq!(standing(&early).await, (champion(1), production(1), 2));
    let both = vec![json!(["Archived", 1]), json!(["Production", 2])];
    assert_eq!(standing(&middle).await, (champion(2), both.clone(), 5));
    assert_eq!(standing(&late).await, (vec![], vec![json!(["Archived", 1])], 7));
    assert_eq!(standing(&last).await, (vec![], both, 8));

    let model = platform.get(&format!("/models/fraud?as_of={early}")).await.expect(200);
    assert_eq!(
        (&model["aliases"], &model["latest_version"], &model["as_of"]),
        (&json!({"champion": 1}), &json!(1), &json!(early))
    );
    let model = platform.get(&format!("/models/fraud?as_of={late}")).await.expect(200);
    assert_eq!((&model["aliases"], &model["latest_version"]), (&json!({}), &json!(1)));
    let model = platform.get("/models/fraud").await.expect(200);
    assert_eq!((&model["latest_version"], model.get("as_of")), (&json!(2), None));

    let alias = platform.get(&format!("{CHAMPION}?as_of={middle}")).await.expect(200);
    assert_eq!((&alias["version"], &alias["revision"]), (&json!(2), &json!(2)));
    let all = platform.get(&format!("/models/fraud/aliases?as_of={early}")).await.expect(200);
    assert_eq!(all["items"][0]["version"], 1);
    let refused = platform.get(&format!("{CHAMPION}?as_of={late}")).await;
    let message = refused.refusal(404, Some("alias"));
    assert!(message.starts_with("`fraud@champion` pointed nowhere at "), "{message}");
    platform.get(CHAMPION).await.refusal(404, Some("alias"));
}

#[actix_web::test]
async fn a_version_is_shown_as_it_stood_and_only_when_it_was_there() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    promote(&platform, 1).await;
    let early = instant(&platform).await;
    platform.register("fraud", 2).await;
    to(&platform, 2, "Staging").await;
    let middle = instant(&platform).await;
    platform.delete("/models/fraud/versions/2").await.expect(204);
    let deleted = instant(&platform).await;
    let at = async |version: i64, at: &str| {
        platform.get(&format!("/models/fraud/versions/{version}?as_of={at}")).await
    };
    let first = at(1, &early).await.expect(200);
    let expected = (&json!("None"), &json!(["champion"]), &json!(early));
    assert_eq!((&first["stage"], &first["aliases"], &first["as_of"]), expected);
    let message = at(2, &early).await.refusal(404, Some("version"));
    assert!(message.starts_with("`fraud/2` was registered later, at "), "{message}");
    let second = at(2, &middle).await.expect(200);
    assert_eq!((&second["stage"], &second["aliases"]), (&json!("Staging"), &json!([])));
    let message = at(2, &deleted).await.refusal(404, Some("version"));
    assert!(message.starts_with("`fraud/2` was deleted at "), "{message}");
    at(3, &deleted).await.refusal(404, Some("version"));
    platform.get("/models/fraud/versions/2").await.refusal(404, Some("version"));
    platform.post("/models/fraud/versions/2/restore", json!({})).await.expect(200);
    assert_eq!(at(2, &middle).await.expect(200)["stage"], "Staging");
    at(2, &deleted).await.refusal(404, Some("version"));
    assert_eq!(platform.get("/models/fraud/versions/2").await.expect(200)["stage"], "Staging");
}

#[actix_web::test]
async fn a_moment_that_means_nothing_is_refused_wherever_it_is_asked_for() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    promote(&platform, 1).await;
    let honoured =
        ["/models/fraud", HISTORY, "/models/fraud/aliases", CHAMPION, "/models/fraud/versions/1"];
    for path in honoured {
        for (moment, field, status) in [
            ("yesterday", "as_of", 400),
            ("2999-01-01T00:00:00Z", "as_of", 400),
            ("1999-01-01T00:00:00Z", "model", 404),
        ] {
            let refused = platform.get(&format!("{path}?as_of={moment}")).await;
            refused.refusal(status, Some(field));
        }
    }
    for path in [
        "/models",
        "/models/fraud/versions",
        "/models/fraud/versions/1/files",
        "/models/fraud/versions/1/files/model.onnx",
        "/models/fraud/rules",
        "/models/fraud/aliases/champion/history",
        "/models/fraud/dependents",
        "/models/fraud/versions/1/dependents",
        "/models/fraud/deleted-versions",
        "/deleted-models",
        "/resolve",
    ] {
        let refused = platform.get(&format!("{path}?as_of=2026-01-01T00:00:00Z")).await;
        refused.refusal(400, Some("as_of"));
    }
    let now = instant(&platform).await;
    let both = platform.get(&format!("{HISTORY}?as_of={now}&until={now}")).await;
    both.refusal(400, Some("until"));
    let both = platform.get(&format!("/models/fraud/versions/1?as_of={now}&wait=1")).await;
    both.refusal(400, Some("wait"));
    for (query, field) in
        [("since=x", "since"), ("alias=v1", "alias"), ("cursor=62", "cursor"), ("page=2", "page")]
    {
        platform.get(&format!("{HISTORY}?{query}")).await.refusal(400, Some(field));
    }
    platform.get("/models/ghost/history").await.refusal(404, Some("model"));
}

#[actix_web::test]
async fn moves_whose_clocks_disagree_stay_in_their_order() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    // The clock of whoever made this move runs ahead.
    promote(&platform, 1).await;
    platform.execute("UPDATE alias_history SET at = at + interval '1 hour'").await;
    let ahead = instant(&platform).await;
    to(&platform, 1, "Staging").await;
    promote(&platform, 2).await;
    let whole = platform.get(HISTORY).await.expect(200);
    assert_eq!(told(&whole), ["@champion 1>2", "1 None>Staging", "@champion null>1"]);
    let instants: Vec<_> = whole["items"].as_array().unwrap().iter().map(|it| &it["at"]).collect();
    assert_eq!(instants, [&json!(ahead); 3], "none is before the one that came before");
}
