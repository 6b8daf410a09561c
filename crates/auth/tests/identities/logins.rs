//! Passwords, and what failures cost.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::platform::{As, PASSWORD, Platform, Process};

async fn try_from(
    process: &Process,
    address: &str,
    user: &str,
    password: &str,
) -> (u16, Option<u64>) {
    let request = Process::request(actix_web::http::Method::GET, "/me", As::User(user, password));
    let peer: std::net::SocketAddr = format!("{address}:5000").parse().unwrap();
    let answer = process.send(request.peer_addr(peer)).await;
    (answer.status, answer.retry_after)
}

#[actix_web::test]
async fn a_password_is_computed_once_and_remembered_for_five_minutes() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let ana = As::User("ana", PASSWORD);
    let before = here.authenticator.passwords_computed();
    for _ in 0..20 {
        here.get("/me", ana).await.expect(200);
    }
    assert_eq!(here.authenticator.passwords_computed() - before, 1);
    platform.advance(TimeDelta::minutes(6));
    here.get("/me", ana).await.expect(200);
    assert_eq!(here.authenticator.passwords_computed() - before, 2);
}

#[actix_web::test]
async fn nobody_costs_as_much_as_somebody_and_hears_the_same() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let computed = || here.authenticator.passwords_computed();
    let mut said = Vec::new();
    for user in ["ana", "nobody", "no name at all"] {
        let before = computed();
        said.push(here.get("/me", As::User(user, "wrong password")).await.refusal(401));
        assert_eq!(computed() - before, 1, "{user}");
    }
    assert!(said.iter().all(|text| *text == said[0]), "{said:?}");
    let failed: Vec<_> = platform
        .recorded()
        .await
        .into_iter()
        .filter(|event| event.0 == "login.failed")
        .map(|event| event.1["user"].clone())
        .collect();
    // What is nobody's name may be a password in the wrong place.
    assert_eq!(failed, [json!("ana"), json!(null), json!(null)]);
}

#[actix_web::test]
async fn failures_from_one_address_lock_out_that_address_alone() {
    let platform = Platform::new().await;
    let (here, there) = (&platform.here, platform.another().await);
    platform.user("ana").await;
    for _ in 0..6 {
        assert_eq!(try_from(here, "6.6.6.6", "ana", "wrong password").await.0, 401);
    }
    // It holds for the right password as well, and in every process.
    for process in [here, &there] {
        let (status, retry_after) = try_from(process, "6.6.6.6", "ana", PASSWORD).await;
        assert_eq!((status, retry_after), (429, Some(1)));
    }
    assert_eq!(try_from(here, "7.7.7.7", "ana", PASSWORD).await.0, 200);
    // Each further failure doubles the wait.
    platform.advance(TimeDelta::seconds(2));
    assert_eq!(try_from(here, "6.6.6.6", "ana", "wrong password").await.0, 401);
    assert_eq!(try_from(here, "6.6.6.6", "ana", PASSWORD).await, (429, Some(2)));
    // Who logs in begins anew.
    platform.advance(TimeDelta::seconds(3));
    assert_eq!(try_from(&there, "6.6.6.6", "ana", PASSWORD).await.0, 200);
    assert_eq!(try_from(&there, "6.6.6.6", "ana", "wrong password").await.0, 401);
    assert_eq!(try_from(&there, "6.6.6.6", "ana", "wrong password").await.0, 401);
}

#[actix_web::test]
async fn many_guesses_at_once_are_counted_each() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    let guesses = (0..12).map(|n| {
        let guess = format!("wrong password {n}");
        async move { try_from(here, "6.6.6.6", "ana", &guess).await.0 }
    });
    let statuses = join_all(guesses).await;
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(401), count(429)), (6, 6), "{statuses:?}");
}

#[actix_web::test]
async fn an_address_that_tries_everybody_is_slowed_down_and_forgiven_after_an_hour() {
    let platform = Platform::new().await;
    let here = &platform.here;
    platform.user("ana").await;
    for n in 0..51 {
        let user = format!("user{n}");
        assert_eq!(try_from(here, "6.6.6.6", &user, "wrong password").await.0, 401, "{n}");
    }
    assert_eq!(try_from(here, "6.6.6.6", "ana", PASSWORD).await.0, 429);
    assert_eq!(try_from(here, "7.7.7.7", "ana", PASSWORD).await.0, 200);
    platform.advance(TimeDelta::hours(2));
    assert_eq!(try_from(here, "6.6.6.6", "ana", PASSWORD).await.0, 200);
    here.authenticator.keep().await.unwrap();
}
