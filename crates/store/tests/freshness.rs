//! What a listener says of what may be answered out of memory.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{sync::Arc, time::Duration};

use domain::{Action, Actor, AuditEvent, RequestId, Resource, SystemClock};
use serde_json::json;
use store::{
    Change, Database,
    freshness::Mark,
    outbox::Listener,
    testing::{ChaosProxy, TestDatabase},
};
use tokio::{task::JoinHandle, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// Another process's database, which a listener vouches for.
async fn vouched(url: &str) -> (Database, JoinHandle<()>) {
    let database = Database::connect(url, 3, Arc::new(SystemClock)).await.unwrap();
    let mut listener = Listener::vouching(&database);
    let listening = tokio::spawn(async move {
        loop {
            listener.changed(Duration::from_secs(1)).await;
        }
    });
    (database, listening)
}

/// Polls until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let polled = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, polled).await.is_ok(), "not after {PATIENCE:?}: {what}");
}

/// A mark that holds.
async fn held(database: &Database, model: &str) -> Mark {
    let freshness = database.freshness();
    let taken = async {
        loop {
            let mark = freshness.mark(&Resource::Model(model.to_owned()));
            if freshness.holds(mark) {
                return mark;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, taken).await.unwrap()
}

async fn change(database: &Database, resource: Resource) {
    let (actor, action) = (Actor::user("ana"), Some(Action::Edit));
    let request = RequestId::new();
    let event = AuditEvent::new(actor, action, resource, "model.edited", request, json!({}));
    Change::begin(database).await.unwrap().commit(&event).await.unwrap();
}

fn model(name: &str) -> Resource {
    Resource::Model(name.to_owned())
}

#[tokio::test]
async fn a_change_that_tells_nobody_is_heard_all_the_same() {
    let test = TestDatabase::fresh().await;
    let (theirs, _listening) = vouched(test.url()).await;
    for resource in [model("fraud"), Resource::Platform, model("fraud")] {
        let mark = held(&theirs, "fraud").await;
        change(test.database(), resource).await;
        until("another process's change", || !theirs.freshness().holds(mark)).await;
    }
}

#[tokio::test]
async fn a_change_has_ended_for_its_own_process_before_its_writer_goes_on() {
    let test = TestDatabase::fresh().await;
    let mut listener = Listener::vouching(test.database());
    listener.changed(PATIENCE).await;
    let freshness = test.database().freshness();
    for resource in [model("fraud"), Resource::Platform] {
        // The listener is not asked: nobody else tells.
        let mark = freshness.mark(&Resource::Model("fraud".to_owned()));
        change(test.database(), resource).await;
        assert!(!freshness.holds(mark));
    }
}

#[tokio::test]
async fn a_change_that_is_given_up_is_none() {
    let test = TestDatabase::fresh().await;
    let mut listener = Listener::vouching(test.database());
    listener.changed(PATIENCE).await;
    let mark = test.database().freshness().mark(&Resource::Model("fraud".to_owned()));
    drop(Change::begin(test.database()).await.unwrap());
    change(test.database(), Resource::Endpoint("fraud".to_owned())).await;
    // The sign of life may be old by now: the place must not have been counted up.
    listener.changed(Duration::from_millis(1)).await;
    until("a sign of life", || test.database().freshness().is_hearing()).await;
    let again = test.database().freshness().mark(&Resource::Model("fraud".to_owned()));
    assert_eq!(
        format!("{mark:?}").split("until").next(),
        format!("{again:?}").split("until").next()
    );
}

#[tokio::test]
async fn nothing_holds_while_the_listener_is_cut_off_or_hears_nothing() {
    let test = TestDatabase::fresh().await;
    let (proxy, url) = ChaosProxy::to(test.url()).await;
    let (theirs, _listening) = vouched(&url).await;
    for (what, stop) in [("cut", ChaosProxy::cut as fn(&_)), ("silent", ChaosProxy::silence)] {
        let mark = held(&theirs, "fraud").await;
        stop(&proxy);
        until(what, || !theirs.freshness().is_hearing()).await;
        proxy.restore();
        until("restored", || theirs.freshness().is_hearing()).await;
        assert!(!theirs.freshness().holds(mark), "{what}: what came meanwhile was not heard");
    }
}
