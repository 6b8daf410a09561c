//! The beginning of the chain moves into files, and the chain goes on.

use domain::audit::Damage;
use serde_json::json;
use store::{
    audit::{
        self,
        archives::{Archivist, Broken, Lines},
    },
    testing::TestDatabase,
};

use super::{event, record, seal, sealed, verify};

async fn summary(test: &TestDatabase, seal: i64) -> domain::audit::archive::Archive {
    let lines = Lines::through(test.database(), seal).await.unwrap();
    lines.summary().await.unwrap()
}

#[tokio::test]
async fn what_is_archived_is_gone_here_and_the_chain_goes_on() {
    let (test, link) = sealed(20).await;
    let database = test.database();
    let archivist = Archivist::new(test.url().to_owned());
    assert_eq!(audit::archives::last_before(database, database.now()).await.unwrap(), Some(2));
    let first = summary(&test, 1).await;
    assert_eq!((first.after.seal, first.through.seal, first.events), (0, 1, 10));
    assert!(archivist.delete(database.now(), &first, &event(100)).await.unwrap());
    // Who comes second with the same one has nothing to delete.
    assert!(!archivist.delete(database.now(), &first, &event(100)).await.unwrap());
    let found = verify(&test, &[link, first.through]).await;
    assert_eq!((found.first_bad, found.checked, found.archived, found.unsealed), (None, 10, 10, 1));
    record(database, 5).await;
    let link = seal(database).await;
    assert_eq!((link.seal, link.total), (3, 26));
    let second = summary(&test, 3).await;
    assert_eq!((second.after, second.events), (first.through, 16));
    assert!(archivist.delete(database.now(), &second, &event(101)).await.unwrap());
    record(database, 1).await;
    assert_eq!(seal(database).await.total, 28);
    let found = verify(&test, &[first.through]).await;
    let expected = (None, 2, 26, 1);
    assert_eq!((found.first_bad, found.checked, found.archived, found.uncompared), expected);
    let made = audit::archives::list(database).await.unwrap();
    let archives: Vec<_> = made.iter().map(|made| made.archive).collect();
    assert_eq!(archives, [first, second]);
    // An event that turns up where none is left.
    test.execute(
        "INSERT INTO audit_events (xid, at, actor, resource_kind, resource, change, request_id, detail)
         VALUES ('3', now(), 'user:eve', 'model', 'x', 'model.edited', 'r', '{}')",
    )
    .await;
    let fault = verify(&test, &[]).await.first_bad.unwrap();
    assert_eq!(fault.damage, Damage::Inserted);
}

#[tokio::test]
async fn a_damaged_trail_is_not_archived() {
    let (test, _) = sealed(20).await;
    test.execute("UPDATE audit_events SET detail = '{}' WHERE id = 3").await;
    let lines = Lines::through(test.database(), 2).await.unwrap();
    let Err(Broken::Damaged(fault)) = lines.summary().await else { panic!("it is damaged") };
    assert_eq!(json!(fault), json!({"seal": 1, "event": 3, "damage": "changed"}));
}
