//! Searches, and the histories of metrics.
//!
//! What all searches share is here: limits, views, permits, page tokens. Their grammar is
//! `domain::search`, their statements are `store::search`.

mod experiments;
mod logged_models;
mod metrics;
mod registry;
mod runs;

use actix_web::{HttpResponse, web::ServiceConfig};
use auth::{Access, Caller, Permit, verbs};
use domain::{
    ErrorCode, Resource,
    search::{Fingerprint, Position},
    tracking::ExperimentId,
};
use serde_json::{Value, json};
use store::search::{Search, View, length};

use crate::refusal::{Answer, Refusal};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .configure(experiments::routes)
        .configure(runs::routes)
        .configure(logged_models::routes)
        .configure(metrics::routes)
        .configure(registry::routes);
}

/// How many results a page has.
fn limit(asked: Option<i64>, unless_asked: i64, most: i64) -> Result<i64, Refusal> {
    let asked = asked.unwrap_or(unless_asked);
    let expected = if asked < 1 {
        "a positive integer".to_owned()
    } else if asked > most {
        format!("at most {most}")
    } else {
        return Ok(asked);
    };
    Err(Refusal::invalid(format!(
        "Invalid value {asked} for parameter 'max_results' supplied. It must be {expected}"
    )))
}

/// Which life stages are asked for: by name, or by number as protobuf has it.
fn view(name: &str, asked: Option<&Value>) -> Result<View, Refusal> {
    let asked = match asked {
        None | Some(Value::Null) => return Ok(View::Active),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match asked.as_str() {
        "" | "ACTIVE_ONLY" | "1" => Ok(View::Active),
        "DELETED_ONLY" | "2" => Ok(View::Deleted),
        "ALL" | "3" => Ok(View::All),
        _ => {
            let shown: String = asked.chars().take(80).collect();
            Err(Refusal::invalid(format!(
                "Invalid value for parameter '{name}' supplied: {shown}: expected ACTIVE_ONLY, DELETED_ONLY or ALL"
            )))
        }
    }
}

/// The experiments that are named, and the permits to look into them.
async fn named_experiments(
    caller: &Caller,
    access: &Access,
    ids: &[String],
) -> Result<(Vec<ExperimentId>, Vec<Permit<verbs::View>>), Refusal> {
    let mut experiments = Vec::with_capacity(ids.len());
    let mut permits = Vec::with_capacity(ids.len());
    for id in ids {
        let id: ExperimentId = id.parse()?;
        match access.authorize(caller, Resource::Experiment(id.to_string())).await {
            Ok(permit) => permits.push(permit),
            // What one may not see is not there.
            Err(problem) if problem.code == ErrorCode::NotFound => continue,
            Err(problem) => return Err(problem.into()),
        }
        experiments.push(id);
    }
    Ok((experiments, permits))
}

/// Has a search begin where its page token says.
fn begin(
    search: Search,
    fingerprint: &Fingerprint,
    token: Option<&String>,
) -> Result<Search, Refusal> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => Some(fingerprint.position(token, length(&search))?),
        None => None,
    };
    Ok(Search { after, ..search })
}

/// A page of results under their name.
fn page(
    name: &str,
    items: Vec<Value>,
    fingerprint: &Fingerprint,
    next: Option<&Position>,
) -> Answer {
    let mut answer = serde_json::Map::new();
    if !items.is_empty() {
        answer.insert(name.to_owned(), Value::Array(items));
    }
    if let Some(next) = next {
        answer.insert("next_page_token".to_owned(), json!(fingerprint.token(next)));
    }
    Ok(HttpResponse::Ok().json(answer))
}
