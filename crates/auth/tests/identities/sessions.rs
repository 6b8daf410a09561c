//! Browsers that are logged in.

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::platform::{ADMIN, Answer, As, PASSWORD, Platform, Process};

async fn log_in(process: &Process, password: &str) -> Answer {
    let login = json!({"user": "ana", "password": password});
    process.post("/sessions", As::Nobody, login).await
}

/// The cookie's value, and the answer.
async fn session(process: &Process) -> (String, Value) {
    let answer = log_in(process, PASSWORD).await;
    let cookie = answer.cookie.clone().unwrap();
    let value = cookie.strip_prefix("bottega_session=").unwrap().split(';').next().unwrap();
    (value.to_owned(), answer.expect(201))
}

#[actix_web::test]
async fn a_session_begins_with_a_password_and_ends_when_told() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let answer = log_in(here, PASSWORD).await;
    let cookie = answer.cookie.clone().unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it came by http: {cookie}");
    assert!(log_in(here, "wrong password").await.cookie.is_none());

    let (cookie, started) = session(here).await;
    let csrf = started["csrf_token"].as_str().unwrap();
    let read = As::Session(&cookie, None);
    assert_eq!(here.get("/me", read).await.expect(200)["session"], started["id"]);
    assert_eq!(here.get("/sessions/current", read).await.expect(200)["csrf_token"], csrf);
    let sessions = here.get("/sessions", read).await.expect(200);
    let current: Vec<_> =
        sessions["items"].as_array().unwrap().iter().map(|item| item["current"].clone()).collect();
    assert_eq!(current, [json!(true), json!(false)]);

    let other = sessions["items"][1]["id"].as_str().unwrap();
    here.delete(&format!("/sessions/{other}"), As::Session(&cookie, Some(csrf))).await.expect(204);
    let gone = here.delete("/sessions/current", As::Session(&cookie, Some(csrf))).await;
    assert!(gone.cookie.as_ref().unwrap().contains("Max-Age=0"));
    gone.expect(204);
    here.get("/me", read).await.expect(401);
    let text =
        platform.recorded().await.iter().map(|event| event.1.to_string()).collect::<String>();
    assert!(!text.contains(&cookie) && !text.contains(csrf), "the trail tells a session");
}

#[actix_web::test]
async fn a_page_of_another_site_changes_nothing_in_a_session() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let (cookie, started) = session(here).await;
    let (_, other) = session(here).await;
    for csrf in [None, Some(""), Some("x"), other["csrf_token"].as_str()] {
        let refused = here.post("/tokens", As::Session(&cookie, csrf), json!({"name": "x"})).await;
        assert_eq!(refused.expect(403)["error"]["field"], "x-csrf-token");
    }
    let csrf = started["csrf_token"].as_str();
    here.post("/tokens", As::Session(&cookie, csrf), json!({"name": "x"})).await.expect(201);
}

#[actix_web::test]
async fn a_session_ends_when_nobody_uses_it_and_after_a_week() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let (idle, _) = session(here).await;
    let (busy, _) = session(here).await;
    let busy = As::Session(&busy, None);
    for _ in 0..2 {
        platform.advance(TimeDelta::hours(11));
        here.get("/me", busy).await.expect(200);
    }
    here.get("/me", As::Session(&idle, None)).await.expect(401);
    for _ in 0..13 {
        platform.advance(TimeDelta::hours(11));
        here.get("/me", busy).await.expect(200);
    }
    platform.advance(TimeDelta::hours(11));
    here.get("/me", busy).await.expect(401);
    here.authenticator.keep().await.unwrap();
    assert_eq!(
        here.get("/sessions", As::User("ana", PASSWORD)).await.expect(200)["items"],
        json!([])
    );
}

#[actix_web::test]
async fn another_password_and_a_disabled_user_end_all_sessions() {
    let platform = Platform::new().await;
    let (here, there) = (&platform.here, platform.another().await);
    platform.user("ana").await;
    let (cookie, _) = session(here).await;
    there.get("/me", As::Session(&cookie, None)).await.expect(200);
    let change = json!({"current": PASSWORD, "new": "another password"});
    here.put("/me/password", As::User("ana", PASSWORD), change).await.expect(204);
    there.get("/me", As::Session(&cookie, None)).await.expect(401);
    let set = json!({"password": PASSWORD, "must_change": false});
    here.put("/users/ana/password", As::Token(ADMIN), set).await.expect(200);
    let (cookie, _) = session(here).await;
    here.patch("/users/ana", As::Token(ADMIN), json!({"disabled": true})).await.expect(200);
    there.get("/me", As::Session(&cookie, None)).await.expect(401);
    log_in(here, PASSWORD).await.expect(401);
}

#[actix_web::test]
async fn behind_a_trusted_proxy_the_cookie_is_secure_and_the_address_the_callers() {
    let platform = Platform::new().await;
    platform.user("ana").await;
    let here = platform.behind("10.0.0.0/8").await;
    let login = || {
        let login = json!({"user": "ana", "password": PASSWORD});
        Process::request(Method::POST, "/sessions", As::Nobody).set_json(login)
    };
    let forwarded = login().insert_header(("x-forwarded-for", "1.2.3.4"));
    let answer = here.send(forwarded.insert_header(("x-forwarded-proto", "https"))).await;
    assert!(answer.cookie.as_ref().unwrap().ends_with("; Secure"));
    answer.expect(201);
    let sessions = here.get("/sessions", As::User("ana", PASSWORD)).await.expect(200);
    assert_eq!(sessions["items"][0]["address"], "1.2.3.4");
    let nonsense = login().insert_header(("x-forwarded-for", "somewhere"));
    assert!(here.send(nonsense).await.refusal(400).contains("x-forwarded-for"));
    // Without the setting the header is anybody's word.
    let unheard = login().insert_header(("x-forwarded-for", "somewhere"));
    platform.here.send(unheard).await.expect(201);
}
