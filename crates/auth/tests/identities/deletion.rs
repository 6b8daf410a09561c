//! Who and which teams are deleted, and what of them is left.

use serde_json::json;

use crate::platform::{ADMIN, As, PASSWORD, Platform};

const ADMINISTRATOR: As<'static> = As::Token(ADMIN);

#[actix_web::test]
async fn who_is_deleted_is_out_everywhere_and_the_next_of_that_name_inherits_nothing() {
    let platform = Platform::new().await;
    let (here, there) = (&platform.here, platform.another().await);
    platform.user("ana").await;
    let ana = As::User("ana", PASSWORD);
    let (token, _) = here.token(ana, json!({"name": "laptop"})).await;
    let log_in = json!({"user": "ana", "password": PASSWORD});
    let session = here.post("/sessions", As::Nobody, log_in).await;
    let cookie = session.cookie.clone().unwrap();
    let cookie = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    here.post("/teams", ADMINISTRATOR, json!({"name": "risk"})).await.expect(201);
    here.put("/teams/risk/members/user:ana", ADMINISTRATOR, json!({})).await.expect(200);
    let grant = json!({"subject": "user:ana", "action": "view", "resource": "*"});
    here.post("/grants", ADMINISTRATOR, grant).await.expect(201);
    platform
        .test
        .execute("INSERT INTO usage_daily (day, subject, model, requests) VALUES (now()::date, 'user:ana', 'm', 7)")
        .await;
    there.authenticator.refresh().await.unwrap();
    for who in [As::Token(&token), ana, As::Session(&cookie, None)] {
        there.get("/me", who).await.expect(200);
    }
    let id = here.get("/users/ana", ADMINISTRATOR).await.expect(200)["id"].clone();

    here.delete("/users/ana", ana).await.expect(403);
    here.delete("/users/ana", ADMINISTRATOR).await.expect(204);
    for process in [here, &there] {
        // Elsewhere it is known after the next look, which comes twice a second.
        process.authenticator.refresh().await.unwrap();
        for who in [As::Token(&token), ana, As::Session(&cookie, None)] {
            process.get("/me", who).await.expect(401);
        }
    }
    here.delete("/users/ana", ADMINISTRATOR).await.expect(404);
    here.get("/users/ana", ADMINISTRATOR).await.expect(404);
    let members = here.get("/teams/risk/members", ADMINISTRATOR).await.expect(200);
    assert_eq!(members["items"], json!([]));

    platform.user("ana").await;
    let me = here.get("/users/ana", ADMINISTRATOR).await.expect(200);
    assert_ne!(me["id"], id);
    assert_eq!((&me["teams"], &me["home_team"]), (&json!([]), &json!(null)));
    for who in [As::Token(&token), As::Session(&cookie, None)] {
        here.get("/me", who).await.expect(401);
    }
    assert_eq!(here.get("/tokens", ana).await.expect(200)["items"], json!([]));
    assert_eq!(here.get("/grants?subject=user:ana", ana).await.expect(200)["items"], json!([]));
    here.get("/users", ana).await.expect(403);
    let used = here.get("/usage?subject=user:ana", ana).await.expect(200);
    assert_eq!(used["items"], json!([]), "{used}");
    let events = platform.recorded().await;
    let (_, detail) = events.iter().find(|event| event.0 == "user.deleted").unwrap();
    assert_eq!((&detail["subject"], &detail["id"]), (&json!("user:ana"), &id));
    assert_eq!(detail["before"]["teams"], json!(["risk"]));
}

#[actix_web::test]
async fn somebody_is_left_who_may_administer() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let said = here.delete("/users/admin", ADMINISTRATOR).await.refusal(409);
    assert!(said.contains("platform's own token") && said.contains("users disable"), "{said}");
    platform.user("ana").await;
    let grant = json!({"subject": "user:ana", "action": "role:administrator", "resource": "*"});
    here.post("/grants", ADMINISTRATOR, grant).await.expect(201);
    let ana = As::User("ana", PASSWORD);
    here.patch("/users/admin", ana, json!({"disabled": true})).await.expect(200);
    let said = here.delete("/users/ana", ana).await.refusal(409);
    assert!(said.contains("nobody could administer"), "{said}");
    here.get("/users", ana).await.expect(200);
    // A team, through which she is one.
    here.post("/teams", ana, json!({"name": "platform"})).await.expect(201);
    here.put("/teams/platform/members/user:ana", ana, json!({})).await.expect(200);
    let of_team =
        json!({"subject": "team:platform", "action": "role:administrator", "resource": "*"});
    here.post("/grants", ana, of_team).await.expect(201);
    let own = here.get("/grants?subject=user:ana", ana).await.expect(200);
    let id = own["items"][0]["id"].as_str().unwrap();
    here.delete(&format!("/grants/{id}"), ana).await.expect(204);
    let said = here.delete("/teams/platform", ana).await.refusal(409);
    assert!(said.contains("nobody could administer"), "{said}");
}

#[actix_web::test]
async fn whom_a_policy_names_stays() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    here.post("/teams", ADMINISTRATOR, json!({"name": "risk"})).await.expect(201);
    here.post("/services", ADMINISTRATOR, json!({"name": "ana"})).await.expect(201);
    for (policy, text) in [
        ("one", r#"forbid (principal == User::"ana", action == Action::"promote", resource);"#),
        (
            "two",
            r#"forbid (principal, action == Action::"promote", resource) unless { principal in Team::"risk" };"#,
        ),
    ] {
        let path = format!("/policies/{policy}");
        let put = here.put(&path, ADMINISTRATOR, json!({"text": text})).await;
        assert!((200..300).contains(&put.status), "{put:?}");
    }
    for (path, policy) in [("/users/ana", "`one`"), ("/teams/risk", "`two`")] {
        let said = here.delete(path, ADMINISTRATOR).await.refusal(409);
        assert!(said.contains(policy), "{said}");
    }
    here.delete("/services/ana", ADMINISTRATOR).await.expect(204);
    here.delete("/policies/one", ADMINISTRATOR).await.expect(204);
    here.delete("/users/ana", ADMINISTRATOR).await.expect(204);
}

#[actix_web::test]
async fn a_team_goes_when_it_owns_nothing_and_its_members_find_another_home() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    for team in ["risk", "fraud"] {
        here.post("/teams", ADMINISTRATOR, json!({"name": team})).await.expect(201);
        let path = format!("/teams/{team}/members/user:ana");
        here.put(&path, ADMINISTRATOR, json!({})).await.expect(200);
    }
    for (name, deleted) in [("kept", "NULL"), ("thrown-away", "now()")] {
        platform
            .test
            .execute(&format!(
                "INSERT INTO models (id, name, owner, created_at, updated_at, team_id, deleted_at)
                 SELECT gen_random_uuid(), '{name}', 'user:ana', now(), now(), id, {deleted}
                 FROM subjects WHERE name = 'risk'"
            ))
            .await;
    }
    let said = here.delete("/teams/risk", ADMINISTRATOR).await.refusal(409);
    assert!(said.contains("model:kept, model:thrown-away (deleted"), "{said}");
    here.delete("/teams/risk", As::User("ana", PASSWORD)).await.expect(403);
    platform.test.execute("DELETE FROM models").await;
    here.delete("/teams/risk", ADMINISTRATOR).await.expect(204);
    here.get("/teams/risk", ADMINISTRATOR).await.expect(404);
    here.delete("/teams/risk", ADMINISTRATOR).await.expect(404);
    let me = here.get("/me", As::User("ana", PASSWORD)).await.expect(200);
    assert_eq!((&me["teams"], &me["home_team"]), (&json!(["fraud"]), &json!("fraud")));
    here.post("/teams", ADMINISTRATOR, json!({"name": "risk"})).await.expect(201);
    let members = here.get("/teams/risk/members", ADMINISTRATOR).await.expect(200);
    assert_eq!(members["items"], json!([]));
    let events = platform.recorded().await;
    assert_eq!(events.iter().filter(|event| event.0 == "team.deleted").count(), 1);
}
