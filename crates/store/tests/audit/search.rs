//! Searches find what they should, page by page; grants are remembered.

use domain::{Actor, AuditEvent, Limit, Resource};
use serde_json::json;
use store::{
    Database,
    audit::{self, Filter},
    grant_history,
    testing::TestDatabase,
};

use super::event;

async fn found(database: &Database, filter: &Filter, limit: u32) -> Vec<i64> {
    let limit = Limit::new(Some(limit)).unwrap();
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let page = audit::list(database, filter, cursor.as_ref(), limit).await.unwrap();
        ids.extend(page.items.iter().map(|event| event.id));
        match page.next {
            None => return ids,
            next => cursor = next,
        }
    }
}

#[tokio::test]
async fn events_are_found_by_each_of_their_fields() {
    let test = TestDatabase::fresh().await;
    let database = test.database();
    let start = database.now();
    let events = (0..30).map(|number| {
        let event = event(number);
        let event = AuditEvent {
            actor: Actor::user(if number % 3 == 0 { "eva" } else { "ana" }),
            resource: Resource::Model(format!("m{}", number % 2)),
            detail: json!({"note": format!("Number {number}."), "secret": "hush"}),
            ..event
        };
        let at = start + chrono::TimeDelta::seconds(number as i64 / 4);
        (at, if number % 5 == 0 { event.refused() } else { event })
    });
    audit::append(database, &events.collect::<Vec<_>>()).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let all = found(database, &Filter::default(), 7).await;
    assert_eq!(all, (1..=30).rev().collect::<Vec<_>>());
    let eva = Filter { actor: text("user:eva"), ..Filter::default() };
    assert_eq!(found(database, &eva, 3).await.len(), 10);
    let thing = Filter { resource_kind: text("model"), resource: text("m1"), ..Filter::default() };
    assert_eq!(found(database, &thing, 4).await.len(), 15);
    let refused = Filter { decision: text("refused"), ..Filter::default() };
    assert_eq!(found(database, &refused, 4).await, [26, 21, 16, 11, 6, 1]);
    let said = Filter { text: text("NUMBER 2."), ..Filter::default() };
    assert_eq!(found(database, &said, 4).await, [3]);
    let both = Filter { action: text("edit"), ..eva.clone() };
    assert_eq!(found(database, &both, 100).await.len(), 10);
    assert!(found(database, &Filter { change: text("x"), ..eva }, 1).await.is_empty());
    let (since, until) =
        (start + chrono::TimeDelta::seconds(1), start + chrono::TimeDelta::seconds(2));
    let within = Filter { since: Some(since), until: Some(until), ..Filter::default() };
    assert_eq!(found(database, &within, 3).await, [8, 7, 6, 5]);
    let hidden = Filter { text: text("hush"), ..Filter::default() };
    assert!(found(database, &hidden, 10).await.is_empty());
}

#[tokio::test]
async fn grants_are_known_as_they_were_at_any_moment() {
    let test = TestDatabase::fresh().await;
    let database = test.database();
    let now = database.now();
    let grants = grant_history::as_of(database, now).await.unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].state["subject"], "user:admin");
    assert_eq!(grants[0].state["action"], "role:administrator");
    assert_eq!(grants[0].state["resource"], "*");
    test.execute(
        "INSERT INTO models (id, name, owner, created_at, updated_at) VALUES (gen_random_uuid(), 'fraud', 'user:a', now(), now());
         INSERT INTO subjects (id, kind, name, skeleton, created_by, created_at)
         VALUES (gen_random_uuid(), 'user', 'ana', 'ana', 'user:admin', now());
         INSERT INTO grants (id, subject_id, effect, action, model_id, alias, created_by, created_at)
         SELECT gen_random_uuid(), s.id, 'allow', 'promote', m.id, 'champion', 'user:admin', '2026-01-02T00:00:00Z'
         FROM subjects s, models m WHERE s.name = 'ana'",
    )
    .await;
    let with = database.now();
    // It goes with its model.
    test.execute("DELETE FROM models WHERE name = 'fraud'").await;
    let then = async |at| {
        let grants = grant_history::as_of(database, at).await.unwrap();
        grants.into_iter().find(|grant| grant.state["subject"] == "user:ana")
    };
    assert!(then("2026-01-01T00:00:00Z".parse().unwrap()).await.is_none());
    let ana = then(with).await.unwrap();
    assert_eq!(ana.state["resource"], "model:fraud");
    assert_eq!(ana.state["alias"], "champion");
    assert!(then(database.now()).await.is_none());
}
