//! Paths and methods that do not exist.
//!
//! `App::default_service(web::to(fallback::answer))`, with [`AllowedMethods`] as `app_data` so
//! that a wrong method is answered with those that are right.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use domain::{ErrorCode, Problem};
use utoipa::openapi::{OpenApi, PathItem};

use crate::ApiError;

/// Which methods each documented path has.
#[derive(Debug, Clone)]
pub struct AllowedMethods(Arc<HashMap<String, Vec<&'static str>>>);

impl AllowedMethods {
    /// As the document says.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let paths = &document.paths.paths;
        Self(Arc::new(paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()))
    }

    fn on(&self, pattern: &str) -> Option<&[&'static str]> {
        self.0.get(&without_expressions(pattern)).map(Vec::as_slice)
    }
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    [
        ("GET", &item.get),
        ("HEAD", &item.head),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.is_some().then_some(method))
    .collect()
}

/// `/files/{path:.*}` is `/files/{path}` in the document.
fn without_expressions(pattern: &str) -> String {
    let (mut out, mut depth, mut in_expression) = (String::with_capacity(pattern.len()), 0, false);
    for c in pattern.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ':' if depth == 1 => in_expression = true,
            _ => {}
        }
        in_expression &= depth > 0;
        if !in_expression {
            out.push(c);
        }
    }
    out
}

/// Answers what no route takes in the shape of our own API.
pub fn answer(request: HttpRequest) -> Ready<HttpResponse> {
    let own = |_: &str, problem: Problem| ApiError(problem).error_response();
    ready(answer_as(&request, own))
}

/// Answers what no route takes: 404, or 405 where the path exists but not with this method.
/// `shape` makes the body, as the surface that the path belongs to has it.
pub fn answer_as(
    request: &HttpRequest,
    shape: impl FnOnce(&str, Problem) -> HttpResponse,
) -> HttpResponse {
    let path: String = request.path().chars().take(200).collect();
    let unknown = || Problem::not_found("path", &path).hint("`/docs` lists the paths there are");
    let method = request.method().as_str();
    let Some(pattern) = request.match_pattern() else { return shape(&path, unknown()) };
    let all = request.app_data::<AllowedMethods>();
    let allowed = all.and_then(|all| all.on(&pattern)).unwrap_or_default();
    if allowed.contains(&method) {
        return shape(&path, unknown());
    }
    // 405 is a fact of HTTP, not one of our codes: the body says `invalid`, the status more.
    let mut answer = shape(&path, wrong_method(method, &path, allowed));
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let head = |method: &&'static str| if *method == "GET" { "GET, HEAD" } else { *method };
    let allowed: Vec<_> = allowed.iter().map(head).collect();
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", "))
        && !allowed.is_empty()
    {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}

fn wrong_method(method: &str, path: &str, allowed: &[&str]) -> Problem {
    let problem = Problem::new(ErrorCode::Invalid, format!("`{path}` has no method {method}"));
    if allowed.is_empty() { problem } else { problem.hint(format!("use {}", allowed.join(" or "))) }
}
