//! JSON bodies.

use actix_web::body::{BodyStream, to_bytes_limited};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder};
use domain::{ErrorCode, Problem};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::refusal;
use crate::{ApiError, Paced};

/// A JSON body, of a request or of an answer.
///
/// A request must say `content-type: application/json` (so that no foreign web page can send one
/// without asking first) and stay within [`BodyLimit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// The longest JSON body in bytes. 1 MiB unless a resource carries another as `app_data`.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(1024 * 1024)
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let BodyLimit(limit) = request.app_data().copied().unwrap_or_default();
        let acceptable = acceptable(request, limit);
        let patience = request.app_data().copied().unwrap_or_default();
        let payload = payload.take();
        Box::pin(async move {
            acceptable?;
            let payload = Paced::new(payload, patience);
            let body = to_bytes_limited(BodyStream::new(payload), limit)
                .await
                .map_err(|_| too_large(limit))?
                .map_err(|_| {
                    Problem::new(ErrorCode::Invalid, "the body broke off before its end")
                })?;
            Ok(Self(decode(&body)?))
        })
    }
}

impl<T: Serialize> Responder for Json<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

/// What can be said before the body is read.
fn acceptable(request: &HttpRequest, limit: usize) -> Result<(), Problem> {
    let content_type = request.content_type();
    if !content_type.eq_ignore_ascii_case("application/json") {
        let found = if content_type.is_empty() { "none" } else { content_type };
        return Err(Problem::new(
            ErrorCode::Invalid,
            format!("the content type is `{found}`: expected `application/json`"),
        )
        .hint("send the header `content-type: application/json`"));
    }
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    let encoding = header(CONTENT_ENCODING).unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(Problem::invalid("content-encoding", "compressed bodies are not taken")
            .hint("send the body as it is, without `content-encoding`"));
    }
    let length = header(CONTENT_LENGTH);
    if length.and_then(|it| it.parse::<usize>().ok()).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    Ok(())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.is_empty() {
        return Err(Problem::new(ErrorCode::Invalid, "the body is empty: expected JSON"));
    }
    // serde would take a struct's fields in order, without their names.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(ErrorCode::Invalid, "the body is a list: expected an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, error) = (error.path().clone(), error.into_inner());
        match error.classify() {
            Category::Data => refusal(&path, &without_position(&error)),
            Category::Syntax | Category::Eof | Category::Io => not_json(&error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Reads what stands at a field of a body that is read already.
///
/// # Errors
/// It does not fit; the field is the path to what does not.
pub fn decode_at<T: DeserializeOwned>(field: &str, value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, error) = (error.path().clone(), error.into_inner());
        let problem = refusal(&path, &without_position(&error));
        let inner = problem.field.as_deref().filter(|inner| *inner != ".");
        let whole = inner.map_or_else(|| field.to_owned(), |inner| format!("{field}.{inner}"));
        problem.at(whole)
    })
}

fn not_json(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return Problem::new(ErrorCode::Invalid, "the body is nested more than 127 levels deep");
    }
    Problem::new(ErrorCode::Invalid, format!("the body is not JSON: {message}"))
}

/// The path says better where a wrong value is than a line and a column do.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&position).unwrap_or(&message);
    // What our own types are called is nothing to callers.
    match message.split_once("expected struct ") {
        Some((found, _)) => format!("{found}expected an object"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use actix_web::ResponseError as _;
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;
    use domain::{AliasName, TagValue};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        version: i32,
        alias: Option<AliasName>,
        #[serde(default)]
        tags: BTreeMap<String, TagValue>,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        path: String,
    }

    async fn extract(request: TestRequest) -> Result<Body, ApiError> {
        let (request, mut payload) = request.to_http_parts();
        Json::<Body>::from_request(&request, &mut payload).await.map(|Json(body)| body)
    }

    fn json(body: &str) -> TestRequest {
        TestRequest::post()
            .insert_header(("content-type", "application/json; charset=utf-8"))
            .set_payload(body.to_owned())
    }

    #[actix_web::test]
    async fn a_good_body_is_taken() {
        let body = extract(json(r#"{"version":3,"alias":"champion"}"#)).await.unwrap();
        assert_eq!((body.version, body.alias.unwrap().as_str()), (3, "champion"));
    }

    #[actix_web::test]
    async fn a_refusal_names_the_field_and_what_was_expected() {
        let cases = [
            (
                r#"{"version":1,"tag":{}}"#,
                "tag",
                "unknown field `tag`, expected one of `version`, `alias`, `tags`, `parts`",
            ),
            (
                r#"{"version":1,"tags":{"a":3}}"#,
                "tags.a",
                "invalid type: integer `3`, expected a string",
            ),
            (r#"{"version":"1"}"#, "version", "invalid type: string \"1\", expected i32"),
            (r#"{}"#, "version", "missing field `version`"),
            (r#"{"version":1,"parts":[{"path":"a"},{}]}"#, "parts[1].path", "missing field `path`"),
            (
                r#"{"version":1,"parts":[{"path":"a","x":1}]}"#,
                "parts[0].x",
                "unknown field `x`, expected `path`",
            ),
            (r#"{"version":1,"version":2}"#, "version", "duplicate field `version`"),
            (
                r#"{"version":1,"parts":["a"]}"#,
                "parts[0]",
                "invalid type: string \"a\", expected an object",
            ),
            (
                r#"{"version":1,"alias":"v3"}"#,
                "alias",
                "Version alias name 'v3' is reserved: an alias may not be `latest` or look like a version (`v3`)",
            ),
        ];
        for (body, field, message) in cases {
            let ApiError(problem) = extract(json(body)).await.unwrap_err();
            assert_eq!(
                (problem.code, problem.field.as_deref(), problem.message.as_str()),
                (ErrorCode::Invalid, Some(field), message),
                "{body}"
            );
        }
    }

    #[actix_web::test]
    async fn what_is_not_json_is_refused() {
        let deep = "[".repeat(100_000);
        let cases = [
            ("", "the body is empty: expected JSON"),
            ("{", "the body is not JSON: EOF while parsing an object at line 1 column 1"),
            (" [3]", "the body is a list: expected an object"),
            ("3", "invalid type: integer `3`, expected an object"),
            (r#"{"version":1} x"#, "the body is not JSON: trailing characters at line 1 column 15"),
            (&format!("{{\"version\":1,\"tags\":{deep}"), "invalid type: sequence, expected a map"),
        ];
        for (body, message) in cases {
            let ApiError(problem) = extract(json(body)).await.unwrap_err();
            assert!(problem.message.starts_with(message), "{}", problem.message);
        }
    }

    #[actix_web::test]
    async fn json_that_is_nested_too_deeply_is_refused() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        let (request, mut payload) = json(&deep).to_http_parts();
        let refused = Json::<serde_json::Value>::from_request(&request, &mut payload).await;
        let message = refused.unwrap_err().to_string();
        assert_eq!(message, "the body is nested more than 127 levels deep");
    }

    #[actix_web::test]
    async fn a_body_of_another_type_is_refused() {
        for (request, found) in [
            (TestRequest::post().set_payload("{}"), "none"),
            (TestRequest::post().insert_header(("content-type", "text/plain")), "text/plain"),
        ] {
            let ApiError(problem) = extract(request).await.unwrap_err();
            let expected = format!("the content type is `{found}`: expected `application/json`");
            assert_eq!(problem.message, expected);
            assert!(problem.hint.unwrap().contains("content-type: application/json"));
        }
    }

    #[actix_web::test]
    async fn a_compressed_body_is_refused_as_such() {
        let packed = json("{}").insert_header((CONTENT_ENCODING, "gzip"));
        let ApiError(problem) = extract(packed).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("content-encoding"));
        assert!(
            extract(json("{}").insert_header((CONTENT_ENCODING, "identity")))
                .await
                .is_err_and(|ApiError(problem)| problem.message == "missing field `version`")
        );
    }

    #[actix_web::test]
    async fn a_body_beyond_the_limit_is_refused() {
        let body = format!(r#"{{"version":1,"tags":{{"a":"{}"}}}}"#, "x".repeat(1024 * 1024));
        let announced = json("{}").insert_header((CONTENT_LENGTH, "1048577"));
        for request in [json(&body), announced] {
            let error = extract(request).await.unwrap_err();
            assert_eq!(error.status_code(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(error.0.message, "the body is larger than 1048576 bytes");
        }
        let raised = json(&body).app_data(BodyLimit(2 * 1024 * 1024));
        let refused = extract(raised).await;
        assert!(refused.is_err_and(|error| error.0.field.as_deref() == Some("tags.a")));
    }

    #[actix_web::test]
    async fn a_refusal_does_not_repeat_all_that_was_sent() {
        let body = format!(r#"{{"{}":1}}"#, "é".repeat(100_000));
        let ApiError(problem) = extract(json(&body)).await.unwrap_err();
        assert!(problem.message.chars().count() < 500 && problem.field.unwrap().len() < 1000);
    }
}
