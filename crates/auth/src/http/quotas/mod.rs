//! `/quotas` and `/quota-requests`

mod limits;
mod requests;

use domain::{Problem, quota::Key};
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    limits::routes(config);
    requests::routes(config);
}

/// A limit as callers write it: a text with its unit, or a number, which is read as it was written
/// and so has none.
fn written(field: String, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            let message = format!("`{value}`: expected a text like \"50\" or \"10GiB\", or null");
            Err(Problem::invalid(field, message))
        }
    }
}

fn quota(name: &str) -> Result<Key, Problem> {
    name.parse().map_err(|problem: Problem| problem.at(format!("limits.{name}")))
}
