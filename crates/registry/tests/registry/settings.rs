//! `/settings`, and what the setting `pickle` lets endpoints serve.

use domain::pickle::{FileFindings, Findings, Format, named};
use serde_json::json;
use store::{Change, versions};

use crate::platform::Platform;

const PICKLE: &str = "/settings/pickle";

/// What a scan of the version finds: a file that imports this.
async fn found(platform: &Platform, module: &str, name: &str) {
    let database = platform.database();
    let version = versions::get(database, &"fraud".parse().unwrap(), 1).await.unwrap().unwrap();
    let report = named(module, name);
    let (path, format, verdict) = ("scaler.pkl".to_owned(), Format::Pickle, report.verdict());
    let findings = Findings::of(vec![FileFindings { path, format, verdict, report }]);
    let mut change = Change::begin(database).await.unwrap();
    versions::set_findings(&mut change, version.id, &findings).await.unwrap();
    change.commit(&platform.event()).await.unwrap();
}

#[actix_web::test]
async fn a_setting_is_shown_changed_and_recorded() {
    let platform = Platform::start().await;
    let before = platform.get(PICKLE).await.expect(200);
    let expected =
        json!({"setting": "pickle", "value": "safe-only", "updated_by": null, "updated_at": null});
    assert_eq!(before, expected);
    platform.put(PICKLE, json!({"value": "sometimes"})).await.refusal(400, Some("value"));
    platform.put(PICKLE, json!({"value": 3})).await.refusal(400, Some("value"));
    platform.put("/settings/luck", json!({"value": "deny"})).await.refusal(404, Some("setting"));
    let after = platform.put(PICKLE, json!({"value": "deny"})).await.expect(200);
    assert_eq!((&after["value"], &after["updated_by"]), (&json!("deny"), &json!("user:admin")));
    assert_eq!(platform.get("/settings").await.expect(200)["items"], json!([after]));
    let recorded = platform.recorded().await;
    assert_eq!(recorded, ["setting.changed platform:*"]);
}

#[actix_web::test]
async fn what_a_version_carries_beside_its_model_is_deployed_as_the_setting_says() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    found(&platform, "os", "system").await;
    let shown = platform.get("/models/fraud/versions/1").await.expect(200);
    assert_eq!(shown["findings"]["verdict"], "dangerous");
    assert_eq!(shown["findings"]["files"][0]["imports"][0]["name"], "os.system");
    let deploy = json!({"model": "fraud/1"});
    let refusal = platform.put("/endpoints/fraud", deploy.clone()).await.expect(409);
    let message = refusal["error"]["message"].as_str().unwrap();
    for part in ["scaler.pkl", "os.system", "safe-only"] {
        assert!(message.contains(part), "{message}");
    }
    platform.put(PICKLE, json!({"value": "allow"})).await.expect(200);
    let answer = platform.put("/endpoints/fraud", deploy).await;
    assert!(answer.status.is_success(), "{answer:?}");
}
