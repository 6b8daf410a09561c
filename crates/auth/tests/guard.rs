//! Nobody passes without a token that we know, on any path.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    dev::ServiceRequest,
    http::{Method, StatusCode},
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use auth::{
    Access, Authenticator, Caller, FORWARDED, Origin, SecretKey,
    http::{Elsewhere, Gate, Guard},
};
use chrono::TimeDelta;
use domain::{FixedClock, Timestamp};
use futures_util::future::LocalBoxFuture;
use rest::ApiError;
use store::{audit, testing::TestDatabase};

const TOKEN: &str = "bt_0123456789abcdef0123456789abcdef";

async fn with_token(test: &TestDatabase, token: &str) -> Arc<Authenticator> {
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    let authenticator = Authenticator::new(key, test.database().clone());
    authenticator
        .install_admin_token(&Access::new(test.database().clone()), &token.to_owned().into())
        .await
        .unwrap();
    Arc::new(authenticator)
}

async fn status(
    authenticator: &Arc<Authenticator>,
    path: &str,
    authorization: Option<&str>,
) -> StatusCode {
    let gate = Gate::new(
        Arc::clone(authenticator),
        |_: &Method, path| path == "/open",
        |_, problem| actix_web::ResponseError::error_response(&ApiError(problem)),
    );
    async fn who(caller: Caller) -> HttpResponse {
        HttpResponse::Ok().body(caller.actor.to_string())
    }
    let app = App::new()
        .route("/who", web::get().to(who))
        .route("/open", web::get().to(HttpResponse::Ok))
        .route("/careless", web::get().to(HttpResponse::Ok))
        .wrap(Guard::new(gate));
    let app = init_service(app).await;
    let mut request = TestRequest::get().uri(path);
    if let Some(authorization) = authorization {
        request = request.insert_header(("authorization", authorization));
    }
    call_service(&app, request.to_request()).await.status()
}

#[actix_web::test]
async fn without_a_token_even_a_careless_or_absent_route_answers_401() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    for path in ["/who", "/careless", "/nowhere"] {
        assert_eq!(status(&known, path, None).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status(&known, "/open", None).await, StatusCode::OK);
}

#[actix_web::test]
async fn a_known_token_passes_as_bearer_and_as_basic_password() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    // anyone:bt_0123456789abcdef0123456789abcdef
    let basic = "Basic YW55b25lOmJ0XzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm";
    for authorization in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN}"), basic.to_owned()] {
        assert_eq!(
            status(&known, "/who", Some(&authorization)).await,
            StatusCode::OK,
            "{authorization}"
        );
    }
    assert_eq!(status(&known, "/nowhere", Some(basic)).await, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn malformed_and_unknown_credentials_are_refused() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer other",
        "Basic",
        "Basic ???",
        "Basic YWJj",
        "Digest x",
        TOKEN,
    ] {
        assert_eq!(
            status(&known, "/who", Some(wrong)).await,
            StatusCode::UNAUTHORIZED,
            "{wrong:?}"
        );
    }
}

#[actix_web::test]
async fn a_replaced_token_is_refused_at_once() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    let next = "bt_ffffffffffffffffffffffffffffffff";
    known
        .install_admin_token(&Access::new(test.database().clone()), &next.to_owned().into())
        .await
        .unwrap();
    assert_eq!(
        status(&known, "/who", Some(&format!("Bearer {TOKEN}"))).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status(&known, "/who", Some(&format!("Bearer {next}"))).await, StatusCode::OK);
}

#[actix_web::test]
async fn installing_the_same_token_again_changes_and_records_nothing() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    known
        .install_admin_token(&Access::new(test.database().clone()), &TOKEN.to_owned().into())
        .await
        .unwrap();
    let limit = domain::Limit::new(None).unwrap();
    let events =
        audit::list(test.database(), &audit::Filter::default(), None, limit).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].change, "token.installed");
    let detail = events[0].detail.to_string();
    assert!(!detail.contains("bt_"), "a token is in the audit trail: {detail}");
}

/// What says that a request is answered elsewhere, and where it came from.
struct There;

impl Elsewhere for There {
    fn is_asked(&self) -> bool {
        true
    }

    fn answer<'a>(
        &'a self,
        request: &'a mut ServiceRequest,
        origin: Origin,
    ) -> LocalBoxFuture<'a, Option<HttpResponse>> {
        let answer = (request.path() != "/who").then(|| {
            let address = origin.address.map(|address| address.to_string());
            HttpResponse::Ok().body(format!("there, from {address:?}"))
        });
        Box::pin(async { answer })
    }
}

#[actix_web::test]
async fn a_request_is_handed_on_once_and_only_nodes_say_where_it_came_from() {
    let test = TestDatabase::fresh().await;
    let known = with_token(&test, TOKEN).await;
    let refusal = |_: &str, problem| actix_web::ResponseError::error_response(&ApiError(problem));
    let gate = Gate::new(Arc::clone(&known), |_, _| false, refusal);
    async fn whence(caller: Caller) -> String {
        format!("here, from {:?}", caller.origin.address.map(|address| address.to_string()))
    }
    let app = App::new()
        .default_service(web::to(whence))
        .wrap(Guard::new(gate.handing_on(Arc::new(There))));
    let app = init_service(app).await;
    let ask = async |path: &str, claim: Option<&str>| {
        let mut request = TestRequest::get().uri(path).peer_addr("10.0.0.9:1".parse().unwrap());
        request = request.insert_header(("authorization", format!("Bearer {TOKEN}")));
        if let Some(claim) = claim {
            request = request.insert_header((FORWARDED, claim));
        }
        let answer = call_service(&app, request.to_request()).await;
        let status = answer.status();
        (status.as_u16(), String::from_utf8(read_body(answer).await.to_vec()).unwrap())
    };
    let ok = |text: &str| (200, text.to_owned());
    assert_eq!(ask("/x", None).await, ok(r#"there, from Some("10.0.0.9")"#));
    assert_eq!(ask("/who", None).await, ok(r#"here, from Some("10.0.0.9")"#));
    let origin = |address: &str| Origin { address: Some(address.parse().unwrap()), https: true };
    let claim = known.forward("GET", origin("2001:db8::7"));
    assert_eq!(ask("/x", Some(&claim)).await, ok(r#"here, from Some("2001:db8::7")"#));
    assert_eq!(known.forwarded("GET", &claim).await.unwrap(), origin("2001:db8::7"));
    let none = known.forward("GET", Origin::from(None));
    assert_eq!(known.forwarded("GET", &none).await.unwrap(), Origin::from(None));

    // Of another key, of another method, changed, and old.
    let other = SecretKey::new("o".repeat(32).into()).unwrap();
    let other = Authenticator::new(other, test.database().clone());
    let changed = claim.replace("2001:db8::7", "2001:db8::8");
    let shorter = &claim[..claim.len() - 1];
    let old = claim.replacen(char::is_numeric, "0", 1);
    for forged in [
        other.forward("GET", origin("1.2.3.4")).as_str(),
        known.forward("POST", origin("1.2.3.4")).as_str(),
        &changed,
        shorter,
        &old,
        "",
        "  ",
        "1 0 http - x y",
        "1 http - 00",
    ] {
        let (status, told) = ask("/x", Some(forged)).await;
        assert_eq!(status, 400, "{forged}: {told}");
        assert!(told.contains(FORWARDED), "{told}");
    }
}

#[tokio::test]
async fn what_a_node_vouches_for_is_worth_nothing_after_a_minute() {
    let clock = FixedClock::at(Timestamp::from_timestamp(1_800_000_000, 0).unwrap());
    let test = TestDatabase::with_clock(Arc::new(clock.clone())).await;
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    let known = Authenticator::new(key, test.database().clone());
    let claim = known.forward("GET", Origin::from(None));
    clock.advance(TimeDelta::seconds(60));
    assert!(known.forwarded("GET", &claim).await.is_ok());
    clock.advance(TimeDelta::seconds(1));
    assert!(known.forwarded("GET", &claim).await.is_err());
}
