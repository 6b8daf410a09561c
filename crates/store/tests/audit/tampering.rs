//! What was changed is found, and the first of it named.

use domain::audit::{Damage, Fault, Link};
use store::{audit, testing::TestDatabase};

use super::{record, seal, sealed, verify};

/// What is found first after this was done as superuser.
async fn found(statements: &str) -> Option<(i64, Option<i64>, Damage)> {
    let (test, _) = sealed(20).await;
    let before = verify(&test, &[]).await;
    assert_eq!((before.first_bad, before.checked, before.unsealed), (None, 20, 0));
    test.execute(statements).await;
    let fault = verify(&test, &[]).await.first_bad;
    fault.map(|Fault { seal, event, damage }| (seal, event, damage))
}

#[tokio::test]
async fn a_changed_event_is_named_whatever_was_changed() {
    for set in [
        "actor = 'user:nobody'",
        "on_behalf_of = 'user:ana'",
        "address = '10.0.0.1'",
        "token_id = gen_random_uuid()",
        "action = NULL",
        "resource_kind = 'endpoint'",
        "resource = 'other'",
        "change = 'model.deleted'",
        "decision = 'refused'",
        "policies = '{role:viewer}'",
        "before_digest = sha256('x')",
        "after_digest = sha256('x')",
        "request_id = 'mine'",
        "at = at - interval '1 microsecond'",
        "at = 'infinity'",
        "detail = jsonb_set(detail, '{number}', '77')",
        "detail = '1e400'",
    ] {
        let statement = format!("UPDATE audit_events SET {set} WHERE id IN (7, 9)");
        assert_eq!(found(&statement).await, Some((1, Some(7), Damage::Changed)), "{set}");
    }
}

#[tokio::test]
async fn removed_inserted_and_moved_events_are_named() {
    let removed = found("DELETE FROM audit_events WHERE id IN (13, 15)").await;
    assert_eq!(removed, Some((2, Some(13), Damage::Removed)));
    let all = found("DELETE FROM audit_events").await;
    assert_eq!(all, Some((1, Some(1), Damage::Removed)));
    let copy = "INSERT INTO audit_events (id, xid, at, actor, action, resource_kind, resource, change, request_id, detail)
                OVERRIDING SYSTEM VALUE
                SELECT 1000, xid, at, 'user:eve', action, resource_kind, resource, change, request_id, detail
                FROM audit_events WHERE id = 4";
    assert_eq!(found(copy).await, Some((2, Some(1000), Damage::Inserted)));
    let first = "INSERT INTO audit_events (id, xid, at, actor, action, resource_kind, resource, change, request_id, detail)
                 OVERRIDING SYSTEM VALUE
                 SELECT -1, '3', at, 'user:eve', action, resource_kind, resource, change, request_id, detail
                 FROM audit_events WHERE id = 4";
    assert_eq!(found(first).await, Some((1, Some(-1), Damage::Inserted)));
    let moved = "UPDATE audit_events SET xid = (xid::text::bigint - 1)::text::xid8 WHERE id = 5";
    assert_eq!(found(moved).await, Some((1, Some(5), Damage::Reordered)));
    // Two rows change what they say.
    let exchanged = "UPDATE audit_events a SET resource = b.resource, detail = b.detail, at = b.at
                     FROM audit_events b WHERE (a.id, b.id) IN ((3, 5), (5, 3))";
    assert_eq!(found(exchanged).await, Some((1, Some(3), Damage::Changed)));
}

#[tokio::test]
async fn changed_and_missing_seals_are_named() {
    for set in [
        "hash = sha256('x')",
        "previous = sha256('x')",
        "total = total + 1",
        "sealed_at = sealed_at - interval '1 day'",
        "hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)",
        "events = events[2:] || 1::bigint",
    ] {
        let statement = format!("UPDATE audit_seals SET {set} WHERE number = 2");
        assert_eq!(found(&statement).await, Some((2, None, Damage::SealChanged)), "{set}");
    }
    let missing = found("DELETE FROM audit_seals WHERE number = 1").await;
    assert_eq!(missing, Some((1, None, Damage::SealMissing)));
}

/// Without a trace in the chain itself: only who kept a checkpoint can tell.
#[tokio::test]
async fn a_tail_that_was_cut_off_is_found_by_the_last_checkpoint() {
    let (test, link) = sealed(20).await;
    test.execute(
        "DELETE FROM audit_events WHERE id > 10; DELETE FROM audit_seals WHERE number = 2",
    )
    .await;
    assert_eq!(verify(&test, &[]).await.first_bad, None);
    let fault = verify(&test, &[link]).await.first_bad.unwrap();
    assert_eq!((fault.seal, fault.damage), (2, Damage::Cut));
    // The next events are sealed under the number that was free.
    record(test.database(), 3).await;
    seal(test.database()).await;
    assert_eq!(verify(&test, &[]).await.first_bad, None);
    let fault = verify(&test, &[link]).await.first_bad.unwrap();
    assert_eq!((fault.seal, fault.damage), (2, Damage::Rewritten));
}

#[tokio::test]
async fn a_chain_that_was_written_anew_is_found_by_any_checkpoint() {
    let (test, link) = sealed(20).await;
    let first = audit_link(&test, 1).await;
    test.execute(
        "UPDATE audit_events SET actor = 'user:nobody' WHERE id = 4; DELETE FROM audit_seals",
    )
    .await;
    seal(test.database()).await;
    let anew = verify(&test, &[]).await;
    assert_eq!((anew.first_bad, anew.checked), (None, 20));
    for checkpoint in [first, link] {
        let fault = verify(&test, &[checkpoint]).await.first_bad.unwrap();
        let is_found = matches!(fault.damage, Damage::Rewritten | Damage::Cut);
        assert!(is_found && fault.seal == checkpoint.seal, "{fault}");
    }
}

async fn audit_link(test: &TestDatabase, seal: i64) -> Link {
    let lines = audit::archives::Lines::through(test.database(), seal).await.unwrap();
    lines.summary().await.unwrap().through
}
