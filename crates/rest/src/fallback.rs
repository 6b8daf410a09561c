//! Paths and methods that do not exist.
//!
//! `App::default_service(web::to(fallback::answer))`, with [`AllowedMethods`] as `app_data` so
//! that a wrong method is answered with those that are right.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use domain::{ErrorCode, Problem};
use utoipa::openapi::{OpenApi, PathItem};

use crate::{ApiError, ErrorBody, request_id};

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

/// Answers what no route takes: 404, or 405 where the path exists but not with this method.
pub fn answer(request: HttpRequest) -> Ready<Result<HttpResponse, ApiError>> {
    let path: String = request.path().chars().take(200).collect();
    let unknown = || Problem::not_found("path", &path).hint("`/docs` lists the paths there are");
    let method = request.method().as_str();
    let Some(pattern) = request.match_pattern() else { return ready(Err(unknown().into())) };
    let all = request.app_data::<AllowedMethods>();
    let allowed = all.and_then(|all| all.on(&pattern)).unwrap_or_default();
    ready(if allowed.contains(&method) {
        Err(unknown().into())
    } else {
        Ok(wrong_method(method, &path, allowed))
    })
}

/// 405 is a fact of HTTP, not one of our codes: the body says `invalid`, the status more.
fn wrong_method(method: &str, path: &str, allowed: &[&str]) -> HttpResponse {
    let message = format!("`{path}` has no method {method}");
    let mut problem = Problem::new(ErrorCode::Invalid, message);
    let mut answer = HttpResponseBuilder::new(StatusCode::METHOD_NOT_ALLOWED);
    if !allowed.is_empty() {
        problem = problem.hint(format!("use {}", allowed.join(" or ")));
        answer.insert_header((header::ALLOW, allowed.join(", ")));
    }
    answer.json(ErrorBody::new(&problem, request_id().as_str()))
}
