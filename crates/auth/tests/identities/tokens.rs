//! API tokens.

use auth::Origin;
use chrono::TimeDelta;
use serde_json::json;

use crate::platform::{ADMIN, As, PASSWORD, Platform, Process};

#[actix_web::test]
async fn a_token_is_shown_once_and_does_what_its_holder_does() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let ana = As::User("ana", PASSWORD);
    let made = here.post("/tokens", ana, json!({"name": "laptop"})).await.expect(201);
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with(made["prefix"].as_str().unwrap()) && token.len() == 76, "{made}");
    assert_eq!((&made["holder"], &made["expires_at"]), (&json!("user:ana"), &json!(null)));
    let me = here.get("/me", As::Token(token)).await.expect(200);
    assert_eq!((&me["actor"], &me["token"]), (&json!("user:ana"), &made["id"]));
    // MLflow's clients send it as a password.
    assert_eq!(here.get("/me", As::User("whoever", token)).await.expect(200)["actor"], "user:ana");
    let list = here.get("/tokens?holder=user:ana", ana).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let secret = &token[12..];
    assert!(!list.to_string().contains(secret), "a list tells a secret");
    for (change, detail) in platform.recorded().await {
        assert!(!detail.to_string().contains(secret), "{change} tells a secret");
    }
}

#[actix_web::test]
async fn a_revoked_token_is_worth_nothing_here_at_once_and_elsewhere_after_a_look() {
    let platform = Platform::new().await;
    let (here, there) = (&platform.here, platform.another().await);
    platform.user("ana").await;
    let ana = As::User("ana", PASSWORD);
    let (token, id) = here.token(ana, json!({"name": "laptop"})).await;
    there.authenticator.refresh().await.unwrap();
    there.get("/me", As::Token(&token)).await.expect(200);
    here.delete(&format!("/tokens/{id}"), ana).await.expect(204);
    let said = here.get("/me", As::Token(&token)).await.refusal(401);
    assert!(said.contains("revoked"), "{said}");
    there.authenticator.refresh().await.unwrap();
    there.get("/me", As::Token(&token)).await.expect(401);
    // A request that is handed on takes along what is known here, so that nobody has to look.
    let (token, id) = here.token(ana, json!({"name": "desk"})).await;
    let hand_on = async || {
        let claim = here.authenticator.forward("POST", Origin::from(None));
        there.authenticator.forwarded("POST", &claim).await.unwrap();
    };
    there.get("/me", As::Token(&token)).await.expect(401);
    hand_on().await;
    there.get("/me", As::Token(&token)).await.expect(200);
    here.delete(&format!("/tokens/{id}"), ana).await.expect(204);
    there.get("/me", As::Token(&token)).await.expect(200);
    hand_on().await;
    there.get("/me", As::Token(&token)).await.expect(401);
    // Again changes nothing, and what is nobody's is not found.
    here.delete(&format!("/tokens/{id}"), ana).await.expect(204);
    here.delete("/tokens/0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", ana).await.expect(404);
    here.delete("/tokens/1", ana).await.expect(400);
}

#[actix_web::test]
async fn forged_cut_and_foreign_tokens_are_refused_each_in_its_way() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let (token, _) = here.token(As::Token(ADMIN), json!({"name": "laptop"})).await;
    let (cut, mut forged) = (&token[..40], token.clone());
    forged.replace_range(75.., if token.ends_with('0') { "1" } else { "0" });
    let foreign = format!("bt_00000000_{}", "0".repeat(64));
    for (wrong, why) in
        [(cut, "not whole"), (&forged, "not valid here"), (&foreign, "not valid here")]
    {
        let said = here.get("/me", As::Token(wrong)).await.refusal(401);
        assert!(said.contains(why), "{said}");
        let said = here.get("/me", As::User("ana", wrong)).await.refusal(401);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(here.authenticator.passwords_computed(), 0, "a token is no password");
}

#[actix_web::test]
async fn an_expired_token_stays_so_when_the_clock_goes_back() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let wanted = json!({"name": "short", "expires_in": "1h"});
    let (token, _) = here.token(As::Token(ADMIN), wanted).await;
    here.get("/me", As::Token(&token)).await.expect(200);
    platform.advance(TimeDelta::hours(2));
    assert!(here.get("/me", As::Token(&token)).await.refusal(401).contains("expired"));
    platform.advance(TimeDelta::hours(-2));
    assert!(here.get("/me", As::Token(&token)).await.refusal(401).contains("expired"));
    // What was noticed is kept: a process that starts after the jump does not fall for it either.
    platform.advance(TimeDelta::hours(2));
    here.authenticator.keep().await.unwrap();
    platform.advance(TimeDelta::hours(-2));
    let later = platform.another().await;
    assert!(later.get("/me", As::Token(&token)).await.refusal(401).contains("expired"));
}

#[actix_web::test]
async fn a_token_makes_none_that_is_wider_or_lasts_longer() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let scopes = json!(["invoke:endpoint:fraud", "view"]);
    let wanted = json!({"name": "narrow", "scopes": scopes, "expires_in": "30d"});
    let (narrow, id) = here.token(As::Token(ADMIN), wanted).await;
    let narrow = As::Token(&narrow);
    assert_eq!(here.get("/me", narrow).await.expect(200)["scopes"], scopes);
    for (wider, field) in [
        (json!({"name": "x", "expires_in": "1d"}), "scopes"),
        (json!({"name": "x", "scopes": ["invoke"], "expires_in": "1d"}), "scopes"),
        (json!({"name": "x", "scopes": ["view", "promote"], "expires_in": "1d"}), "scopes"),
        (json!({"name": "x", "scopes": ["view"], "expires_in": "31d"}), "expires_in"),
        (json!({"name": "x", "scopes": ["view"]}), "expires_in"),
    ] {
        let refused = here.post("/tokens", narrow, wider.clone()).await.expect(403);
        assert_eq!(refused["error"]["field"], field, "{wider}");
    }
    let within = json!({"name": "x", "scopes": ["view:model:fraud"], "expires_in": "29d"});
    here.post("/tokens", narrow, within).await.expect(201);
    // Its holder's own account is out of its reach, but for itself.
    here.get("/sessions", narrow).await.expect(403);
    here.delete(&format!("/tokens/{id}"), narrow).await.expect(204);
}

#[actix_web::test]
async fn wrong_wishes_name_their_field() {
    let platform = Platform::new().await;
    let here = &platform.here;
    for (wrong, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "expires_in": "30"}), "expires_in"),
        (json!({"name": "x", "expires_in": "0s"}), "expires_in"),
        (json!({"name": "x", "scopes": []}), "scopes"),
        (json!({"name": "x", "scopes": ["run"]}), "scopes"),
        (json!({"name": "x", "holder": "ana"}), "holder"),
        (json!({"name": "x", "holder": "team:risk"}), "holder"),
    ] {
        let refused = here.post("/tokens", As::Token(ADMIN), wrong.clone()).await.expect(400);
        assert_eq!(refused["error"]["field"], field, "{wrong}");
    }
    here.post("/tokens", As::Token(ADMIN), json!({"name": "x", "holder": "user:no"}))
        .await
        .expect(404);
}

#[actix_web::test]
async fn a_token_in_the_url_is_refused_and_the_hint_says_why() {
    let platform = Platform::new().await;
    for path in ["/me?token=x", "/me?access_token=x", "/models?a=b&api_key=x"] {
        for who in [As::Nobody, As::Token(ADMIN)] {
            let said = platform.here.get(path, who).await.refusal(400);
            assert!(said.contains("Authorization: Bearer"), "{said}");
        }
    }
}

#[actix_web::test]
async fn when_a_token_was_last_used_is_written_to_the_minute() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let (token, id) = here.token(As::Token(ADMIN), json!({"name": "laptop"})).await;
    let last_used = async || {
        let list = here.get("/tokens", As::Token(ADMIN)).await.expect(200);
        let items = list["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["id"] == id.as_str()).unwrap()["last_used_at"].clone()
    };
    here.authenticator.keep().await.unwrap();
    assert_eq!(last_used().await, json!(null));
    here.get("/me", As::Token(&token)).await.expect(200);
    here.authenticator.keep().await.unwrap();
    let first = last_used().await;
    assert!(first.as_str().unwrap().ends_with(":00Z"), "{first}");
    platform.advance(TimeDelta::minutes(5));
    here.get("/me", As::Token(&token)).await.expect(200);
    here.authenticator.keep().await.unwrap();
    assert_ne!(last_used().await, first);
}

#[actix_web::test]
async fn only_service_accounts_that_administer_act_for_others() {
    let platform = Platform::new().await;
    let here = &platform.here;
    here.post("/services", As::Token(ADMIN), json!({"name": "portal"})).await.expect(201);
    let wanted = json!({"name": "x", "holder": "service:portal"});
    let (token, _) = here.token(As::Token(ADMIN), wanted).await;
    let ask = |token: &str, for_whom: &str| {
        let request = Process::request(actix_web::http::Method::GET, "/me", As::Token(token));
        here.send(request.insert_header(("x-bottega-on-behalf-of", for_whom.to_owned())))
    };
    // Only those that may administer: what is recorded is their word.
    ask(&token, "user:ana").await.expect(403);
    let grant = json!({"subject": "service:portal", "action": "administer", "resource": "*"});
    here.post("/grants", As::Token(ADMIN), grant).await.expect(201);
    // Rights stay the caller's own.
    assert_eq!(ask(&token, "user:ana").await.expect(200)["actor"], "service:portal");
    for wrong in ["ana", "team:risk", "user:", "user:a b", ""] {
        ask(&token, wrong).await.expect(400);
    }
    ask(ADMIN, "user:ana").await.expect(403);
}
