//! The trail proves itself: what a superuser does to it behind our back is found and named.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod archives;
mod sealing;
mod search;
mod tampering;

use std::time::Duration;

use domain::{Action, Actor, AuditEvent, RequestId, Resource, audit::Link};
use serde_json::json;
use store::{
    Change, Database,
    audit::{self, Verified},
    testing::TestDatabase,
};

fn event(number: usize) -> AuditEvent {
    let (actor, resource) = (Actor::user("ana"), Resource::Model(format!("m{number}")));
    let detail = json!({"number": number, "ratio": 0.5, "name": "Žofie €"});
    let (action, request_id) = (Some(Action::Edit), RequestId::new());
    AuditEvent::new(actor, action, resource, "model.edited", request_id, detail)
}

/// Records so many events in one transaction: they are sealed together.
async fn record(database: &Database, count: usize) {
    let mut change = Change::begin(database).await.unwrap();
    for number in 1..count {
        change.record(&event(number)).await.unwrap();
    }
    change.commit(&event(0)).await.unwrap();
}

/// Seals all. Other tests' transactions on the same server hold it up for a moment.
async fn seal(database: &Database) -> Link {
    loop {
        let sealed = audit::seal(database).await.unwrap();
        let unsealed = audit::verify(database, &[], |_, _| ()).await.unwrap().unsealed;
        if let (Some(sealed), 0) = (sealed, unsealed) {
            return sealed.link;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A trail of so many events, sealed in two.
async fn sealed(count: usize) -> (TestDatabase, Link) {
    let test = TestDatabase::fresh().await;
    record(test.database(), count / 2).await;
    seal(test.database()).await;
    record(test.database(), count - count / 2).await;
    let link = seal(test.database()).await;
    assert_eq!((link.seal, link.total), (2, count as i64));
    (test, link)
}

async fn verify(test: &TestDatabase, checkpoints: &[Link]) -> Verified {
    audit::verify(test.database(), checkpoints, |_, _| ()).await.unwrap()
}
