//! What changes nothing reaches the trail, and nobody waits for it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use auth::{Caller, audit::Trail};
use domain::{Action, Limit, RequestId, Resource, SystemClock};
use prometheus_client::registry::Registry;
use serde_json::json;
use store::{
    audit::{self, Filter},
    testing::TestDatabase,
};
use tokio_util::sync::CancellationToken;

async fn written(test: &TestDatabase, trail: &Trail) -> Vec<audit::Recorded> {
    let stop = CancellationToken::new();
    stop.cancel();
    trail.write(test.database(), &stop).await;
    let limit = Limit::new(Some(1000)).unwrap();
    audit::list(test.database(), &Filter::default(), None, limit).await.unwrap().items
}

#[tokio::test]
async fn refusals_are_recorded_each_and_those_of_predictions_counted() {
    let test = TestDatabase::fresh().await;
    let trail = Trail::new(Arc::new(SystemClock));
    let caller = Caller::system_for("test", Some([10, 0, 0, 7].into()), RequestId::new());
    let model = Resource::Model("fraud".to_owned());
    for _ in 0..2 {
        trail.refused(&caller, Action::Promote, model.clone(), vec!["role:viewer".to_owned()]);
    }
    for name in ["a", "b", "a", "a"] {
        let endpoint = Resource::Endpoint(name.to_owned());
        trail.refused(&caller, Action::Invoke, endpoint, Vec::new());
    }
    trail.record(caller.event(None, Resource::Platform, "session.started", json!({})));
    let events = written(&test, &trail).await;
    let of = |change: &str, resource: &str| {
        let fits = |event: &&audit::Recorded| event.change == change && event.resource == resource;
        events.iter().filter(fits).collect::<Vec<_>>()
    };
    assert_eq!(events.len(), 5);
    assert_eq!(of("session.started", "*")[0].action, None);
    let promotes = of("access.refused", "fraud");
    assert_eq!(promotes.len(), 2);
    assert_eq!(promotes[0].decision, "refused");
    assert_eq!(promotes[0].policies, ["role:viewer"]);
    assert_eq!(promotes[0].address.as_deref(), Some("10.0.0.7"));
    let invokes = of("access.refused", "a");
    assert_eq!((invokes.len(), &invokes[0].detail["count"]), (1, &json!(3)));
    assert!(invokes[0].detail["first_at"].as_str() <= invokes[0].detail["last_at"].as_str());
    assert_eq!(of("access.refused", "b")[0].detail["count"], 1);
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_the_trail_says_so() {
    let test = TestDatabase::fresh().await;
    let trail = Trail::new(Arc::new(SystemClock));
    let mut metrics = Registry::default();
    trail.register(&mut metrics);
    let caller = Caller::system("test");
    for _ in 0..10_003 {
        trail.record(caller.event(None, Resource::Platform, "login.failed", json!({})));
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    assert!(text.contains("bottega_audit_dropped_total 3\n"), "{text}");
    written(&test, &trail).await;
    let dropped = Filter { change: Some("audit.dropped".to_owned()), ..Filter::default() };
    let page = audit::list(test.database(), &dropped, None, Limit::new(None).unwrap()).await;
    let events = page.unwrap().items;
    assert_eq!((events.len(), &events[0].detail), (1, &json!({"count": 3})));
}
