//! Groups, and one grant that takes the place of others.

use auth::{
    Caller,
    standing::{Spot, Standing, replace, standings},
    verbs,
};
use domain::{
    Action, Problem, RequestId, Resource,
    access::{Effect, Kind, Role, Subject, SubjectName},
};
use serde_json::json;
use store::grants::{Wanted, list};

use crate::platform::{ADMIN, As, PASSWORD, Platform, Process};

const ADMINISTRATOR: As<'static> = As::Token(ADMIN);

async fn caller(process: &Process, header: &str) -> Caller {
    let identity = process.authenticator.identify(Some(header), None).await.unwrap();
    Caller::new(identity, None, RequestId::new())
}

fn of_ana(kind: Option<Kind>) -> Spot {
    Spot { subject: "user:ana".parse::<Subject>().unwrap(), resource: "*".to_owned(), kind }
}

/// Grants of ana's in words, those that were given first first.
async fn given(platform: &Platform) -> Vec<String> {
    let all = list(platform.test.database(), &Wanted::default()).await.unwrap();
    let own = all.into_iter().filter(|given| given.subject.name == "ana");
    let words = own.map(|given| {
        let grant = given.grant;
        let kind = grant.conditions.kind.map_or("all", Kind::as_str);
        format!("{} {} {kind}", grant.effect.as_str(), grant.privilege)
    });
    words.collect()
}

#[actix_web::test]
async fn one_grant_takes_the_place_of_what_gives_and_leaves_what_has_conditions() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    for (action, more) in [
        ("view", json!({"kind": "model"})),
        ("promote", json!({"kind": "model"})),
        ("delete", json!({"kind": "model", "effect": "deny"})),
        ("edit", json!({"kind": "model", "expires_at": "2999-01-01T00:00:00Z"})),
        ("view", json!({"kind": "experiment"})),
        ("audit", json!({})),
    ] {
        let mut grant = json!({"subject": "user:ana", "action": action, "resource": "*"});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        here.post("/grants", ADMINISTRATOR, grant).await.expect(201);
    }
    let admin = caller(here, &format!("Bearer {ADMIN}")).await;
    let set = async |spot: &Spot, new, check: fn(&Standing) -> Result<(), Problem>| {
        replace(&here.access, platform.test.database(), &admin, spot, new, check).await
    };
    let models = of_ana(Some(Kind::Model));
    let contributor = Some((Effect::Allow, Role::Contributor));
    let first = set(&models, contributor, |standing| {
        assert!(standing.covers(&[Action::View, Action::Promote]));
        assert!(!standing.covers(&[Action::Delete]) && !standing.denied);
        Ok(())
    });
    let first = first.await.unwrap();
    let rest =
        ["deny delete model", "allow edit model", "allow view experiment", "allow audit all"];
    let with = |last: &str| rest.into_iter().map(str::to_owned).chain([last.to_owned()]).collect();
    let expected: Vec<String> = with("allow role:contributor model");
    assert_eq!(given(&platform).await, expected);
    // The same again changes nothing; another one keeps the number.
    let events = platform.recorded().await.len();
    assert_eq!(set(&models, contributor, |_| Ok(())).await.unwrap(), first);
    assert_eq!(platform.recorded().await.len(), events);
    let deny = Some((Effect::Deny, Role::Administrator));
    assert_eq!(set(&models, deny, |_| Ok(())).await.unwrap(), first);
    let expected: Vec<String> = with("deny role:administrator model");
    assert_eq!(given(&platform).await, expected);
    let all = list(platform.test.database(), &Wanted::default()).await.unwrap();
    let standing = standings(&all).remove(&models).unwrap();
    assert!(standing.denied && standing.number == first);
    let refused = set(&models, None, |_| Err(Problem::conflict("no")));
    assert_eq!(refused.await.unwrap_err().message, "no");
    assert_eq!(set(&models, None, |_| Ok(())).await.unwrap(), None);
    assert_eq!(given(&platform).await, rest);
    let told = platform.recorded().await;
    let count = |change: &str| told.iter().filter(|event| event.0 == change).count();
    assert_eq!((count("grant.removed"), count("grant.added")), (4, 8));

    // Whoever may not administer a place gives nothing there, to whomever.
    let ana = {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        caller(here, &format!("Basic {}", BASE64_STANDARD.encode(format!("ana:{PASSWORD}")))).await
    };
    let database = platform.test.database();
    let own = replace(&here.access, database, &ana, &models, contributor, |_| Ok(())).await;
    assert_eq!(own.unwrap_err().code, domain::ErrorCode::Forbidden);
}

#[actix_web::test]
async fn who_is_in_a_group_has_what_it_was_granted_and_nothing_else_of_it() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let ana = As::User("ana", PASSWORD);
    let admin = caller(here, &format!("Bearer {ADMIN}")).await;
    let permit =
        here.access.authorize::<verbs::Administer>(&admin, Resource::Platform).await.unwrap();
    let name = |text: &str| SubjectName::of_group(text).unwrap();
    let subject: Subject = "user:ana".parse().unwrap();
    let who = &here.authenticator;
    let group = who.create_group(&permit, &name("Who looks on"), None).await.unwrap();
    let alike = who.create_group(&permit, &name("who looks 0n"), None).await.unwrap_err();
    assert_eq!(Problem::from(alike).code, domain::ErrorCode::Conflict);
    let grant = json!({"subject": "group:Who looks on", "action": "view", "resource": "*"});
    here.post("/grants", ADMINISTRATOR, grant).await.expect(201);
    here.get("/users", ana).await.expect(403);
    who.join_group(&permit, group.number, &subject).await.unwrap();
    here.get("/users", ana).await.expect(200);
    let again = who.join_group(&permit, group.number, &subject).await.unwrap_err();
    assert_eq!(Problem::from(again).code, domain::ErrorCode::Conflict);
    // It is no team, and no home.
    let me = here.get("/me", ana).await.expect(200);
    assert_eq!((&me["teams"], &me["home_team"]), (&json!([]), &json!(null)));
    assert_eq!(here.get("/teams", ADMINISTRATOR).await.expect(200)["items"], json!([]));
    let grants = here.get("/grants?subject=group:Who%20looks%20on", ana).await.expect(200);
    assert_eq!(grants["items"][0]["subject"], "group:Who looks on");
    here.get("/quotas/group:Who%20looks%20on", ADMINISTRATOR).await.expect(400);

    let renamed = Some(name("lookers-on"));
    let changed = who.change_group(&permit, group.number, renamed, Some("all".into())).await;
    assert_eq!(changed.unwrap().name, "lookers-on");
    here.get("/users", ana).await.expect(200);
    assert!(who.leave_group(&permit, group.number, &subject).await.unwrap());
    assert!(!who.leave_group(&permit, group.number, &subject).await.unwrap());
    here.get("/users", ana).await.expect(403);
    who.join_group(&permit, group.number, &subject).await.unwrap();
    who.delete_group(&permit, group.number).await.unwrap();
    here.get("/users", ana).await.expect(403);
    let gone = who.delete_group(&permit, group.number).await.unwrap_err();
    assert_eq!(Problem::from(gone).code, domain::ErrorCode::NotFound);
    let told = platform.recorded().await;
    for (change, times) in [
        ("group.created", 1),
        ("group.changed", 1),
        ("group.member-added", 2),
        ("group.member-removed", 1),
        ("group.deleted", 1),
    ] {
        assert_eq!(told.iter().filter(|event| event.0 == change).count(), times, "{change}");
    }
}
