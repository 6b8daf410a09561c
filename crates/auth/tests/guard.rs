//! Nobody passes without a token that we know, on any path.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    http::{Method, StatusCode},
    test::{TestRequest, call_service, init_service},
    web,
};
use auth::{
    Access, Authenticator, Caller, SecretKey,
    http::{Gate, Guard},
};
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
