//! Decisions while the database is away.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use auth::{
    Access, Caller, Identity,
    audit::Trail,
    grants::{self, NewGrant, Outcome, Run},
    verbs,
};
use domain::{
    Action, Actor, EndpointId, ErrorCode, GrantId, Problem, RequestId, Resource, SystemClock,
    access::{Conditions, Effect, Kind, Place, Privilege, Target},
};
use store::{
    Database,
    testing::{ChaosProxy, TestDatabase},
};

/// How long decisions go on.
const GRACE: Duration = Duration::from_secs(3);

async fn caller(database: &Database, name: &str) -> Caller {
    let subject = format!("user:{name}").parse().unwrap();
    let known = store::quotas::find(database, &subject).await.unwrap().unwrap();
    Caller::new(Identity::of(Actor::user(name), Some(known.id)), None, RequestId::new())
}

async fn give(access: &Access, database: &Database, admin: &Caller, action: Action) -> GrantId {
    let new = NewGrant {
        subject: "user:ana".parse().unwrap(),
        effect: Effect::Allow,
        privilege: Privilege::Action(action),
        resource: Resource::Platform,
        conditions: Conditions::default(),
        reason: None,
    };
    match grants::add(access, database, admin, new, Run::Real).await.unwrap() {
        Outcome::Done(given) => given.grant.id,
        Outcome::Dry(..) => unreachable!("it was no dry run"),
    }
}

#[tokio::test]
async fn decisions_go_on_from_memory_for_the_grace_and_a_grant_that_was_removed_stays_removed() {
    let test = TestDatabase::fresh().await;
    test.execute(
        "WITH ana AS (INSERT INTO subjects (id, kind, name, skeleton, created_by, created_at)
                      VALUES (gen_random_uuid(), 'user', 'ana', 'ana', 'user:admin', now()) RETURNING id)
         INSERT INTO accounts (id) SELECT id FROM ana",
    )
    .await;
    test.execute("UPDATE access_revision SET revision = revision + 1").await;
    let (proxy, url) = ChaosProxy::to(test.url()).await;
    let database = Database::connect(&url, 3, Arc::new(SystemClock)).await.unwrap();
    let access = Access::telling(database.clone(), Trail::default(), GRACE);
    access.refresh().await.unwrap();
    let (admin, ana) = (caller(&database, "admin").await, caller(&database, "ana").await);
    give(&access, &database, &admin, Action::Invoke).await;
    let deploy = give(&access, &database, &admin, Action::Deploy).await;

    let resource = || Resource::Endpoint("fraud".to_owned());
    let target = Target::of(Place::Endpoint(EndpointId::new()));
    let target = Arc::new(Target { name: Some("fraud".to_owned()), ..target });
    let code = |problem: Problem| problem.code;
    let invoke =
        || access.decide::<verbs::Invoke>(&ana, resource(), &target).map(drop).map_err(code);
    let deploys =
        || access.decide::<verbs::Deploy>(&ana, resource(), &target).map(drop).map_err(code);
    assert_eq!((invoke(), deploys()), (Ok(()), Ok(())));
    let removed = grants::remove(&access, &database, &admin, deploy, Run::Real).await;
    assert!(matches!(removed.unwrap(), Outcome::Done(())));
    // Ana may not see it.
    let refused = Err(ErrorCode::NotFound);
    assert_eq!((invoke(), deploys()), (Ok(()), refused));

    let lost = Instant::now();
    proxy.cut();
    assert!(access.refresh().await.is_err());
    assert_eq!((invoke(), deploys()), (Ok(()), refused));
    assert!(lost.elapsed() < GRACE, "the machine is too slow for this test");
    tokio::time::sleep(GRACE + Duration::from_millis(100)).await;
    let away = Err(ErrorCode::Unavailable);
    assert_eq!((invoke(), deploys()), (away, away));
    let list = access.list(&ana, Kind::Model).await.map(drop).map_err(code);
    assert_eq!(list, away);

    proxy.restore();
    while access.refresh().await.is_err() {}
    assert_eq!((invoke(), deploys()), (Ok(()), refused));
}
