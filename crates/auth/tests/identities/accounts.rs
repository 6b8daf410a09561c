//! Users and service accounts.

use serde_json::json;

use crate::platform::{ADMIN, As, PASSWORD, Platform};

#[actix_web::test]
async fn a_user_changes_the_first_password_before_anything_else() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let new = json!({"name": "ana", "email": "ana@bank.example"});
    let made = here.post("/users", As::Token(ADMIN), new).await.expect(201);
    let first = made["password"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["subject"], &made["must_change_password"]),
        (&json!("user:ana"), &json!(true))
    );
    let shown = here.get("/users/ana", As::Token(ADMIN)).await.expect(200);
    assert_eq!(shown["password"], json!(null), "shown once");

    let ana = As::User("ana", &first);
    assert_eq!(here.get("/me", ana).await.expect(200)["must_change_password"], true);
    for path in ["/tokens", "/users/ana", "/sessions"] {
        let said = here.get(path, ana).await.refusal(403);
        assert!(said.contains("PUT /api/v1/me/password"), "{said}");
    }
    let change = |current: &str, new: &str| json!({"current": current, "new": new});
    let put = |body| here.put("/me/password", ana, body);
    assert!(put(change(&first, "short")).await.refusal(400).contains("at least 12"));
    assert!(put(change(&first, &first)).await.refusal(400).contains("present one"));
    assert!(put(change("something else", PASSWORD)).await.refusal(400).contains("another"));
    put(change(&first, PASSWORD)).await.expect(204);

    here.get("/me", ana).await.expect(401);
    let me = here.get("/me", As::User("ana", PASSWORD)).await.expect(200);
    assert_eq!((&me["actor"], &me["must_change_password"]), (&json!("user:ana"), &json!(false)));
    here.get("/tokens", As::User("ana", PASSWORD)).await.expect(200);
}

#[actix_web::test]
async fn names_that_look_alike_are_taken_and_the_refusal_says_by_whom() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let make =
        |path: &'static str, name: &str| here.post(path, As::Token(ADMIN), json!({"name": name}));
    make("/users", "ana").await.expect(201);
    for alike in ["Ana", "ANA", "\u{430}na", "ana", "ａｎａ"] {
        let said = make("/users", alike).await.refusal(409);
        assert!(said.contains("`ana`"), "{alike}: {said}");
    }
    assert!(make("/users", "Admin").await.refusal(409).contains("`admin`"));
    // Users, services and teams have names of their own.
    make("/services", "ana").await.expect(201);
    make("/teams", "ana").await.expect(201);
    for wrong in ["", "a b", "a:b", "a/b", "-a", "a\u{202e}b"] {
        make("/users", wrong).await.expect(400);
    }
}

#[actix_web::test]
async fn who_is_disabled_is_out_everywhere_and_comes_back_enabled() {
    let platform = Platform::new().await;
    let (here, there) = (&platform.here, platform.another().await);
    platform.user("ana").await;
    let (token, _) = here.token(As::User("ana", PASSWORD), json!({"name": "laptop"})).await;
    there.authenticator.refresh().await.unwrap();
    there.get("/me", As::Token(&token)).await.expect(200);
    there.get("/me", As::User("ana", PASSWORD)).await.expect(200);

    let disabled = json!({"disabled": true});
    let ana = here.patch("/users/ana", As::Token(ADMIN), disabled.clone()).await.expect(200);
    assert_eq!(ana["disabled"], true);
    let said = here.get("/me", As::Token(&token)).await.refusal(401);
    assert!(said.contains("disabled"), "{said}");
    here.get("/me", As::User("ana", PASSWORD)).await.expect(401);
    // Elsewhere it is known after the next look, which comes twice a second.
    there.authenticator.refresh().await.unwrap();
    there.get("/me", As::Token(&token)).await.expect(401);
    there.get("/me", As::User("ana", PASSWORD)).await.expect(401);
    let said =
        here.post("/tokens", As::Token(ADMIN), json!({"name": "x", "holder": "user:ana"})).await;
    assert!(said.refusal(409).contains("disabled"));

    here.patch("/users/ana", As::Token(ADMIN), json!({"disabled": false})).await.expect(200);
    here.get("/me", As::Token(&token)).await.expect(200);

    let said = here.patch("/users/admin", As::Token(ADMIN), disabled).await.refusal(409);
    assert!(
        said.contains("nobody could administer") && said.contains("bottega grants add"),
        "{said}"
    );
    here.get("/me", As::Token(ADMIN)).await.expect(200);
}

#[actix_web::test]
async fn an_account_is_changed_field_by_field() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let admin = As::Token(ADMIN);
    platform.user("ana").await;
    let change = json!({"display_name": "Ana N.", "email": "ana@bank.example"});
    let ana = here.patch("/users/ana", admin, change).await.expect(200);
    assert_eq!(
        (&ana["display_name"], &ana["email"]),
        (&json!("Ana N."), &json!("ana@bank.example"))
    );
    let ana = here.patch("/users/ana", admin, json!({"email": null})).await.expect(200);
    assert_eq!((&ana["display_name"], &ana["email"]), (&json!("Ana N."), &json!(null)));
    for wrong in [json!({"email": "nobody"}), json!({"home_team": "risk"}), json!({"nmae": "x"})] {
        here.patch("/users/ana", admin, wrong).await.expect(400);
    }
    here.patch("/users/nobody", admin, json!({})).await.expect(404);
    let set = here.put("/users/ana/password", admin, json!({})).await.expect(200);
    let set = set["password"].as_str().unwrap();
    assert_eq!(
        here.get("/me", As::User("ana", set)).await.expect(200)["must_change_password"],
        true
    );
    here.post("/services", admin, json!({"name": "ci"})).await.expect(201);
    here.patch("/services/ci", admin, json!({"email": "a@b"})).await.expect(400);
    let events = platform.recorded().await;
    for (change, detail) in &events {
        let text = detail.to_string();
        assert!(!text.contains(set) && !text.contains(PASSWORD), "{change} tells a password");
    }
    for change in
        ["user.created", "password.changed", "account.changed", "password.set", "service.created"]
    {
        assert!(events.iter().any(|event| event.0 == change), "{change}");
    }
}
