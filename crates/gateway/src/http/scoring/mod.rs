//! MLflow's scoring server, and SageMaker's runtime, which takes the same bodies.

mod mlflow;
mod sagemaker;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use domain::{Problem, Signature, Tensor};
use protocol::scoring::{Format, Layout, ScoringRequest, decode};
use utoipa_actix_web::service_config::ServiceConfig;

use super::body::header;
use crate::{State, admission::body_limit};

pub(super) use mlflow::refusal as mlflow_refusal;
pub(super) use sagemaker::refusal as sagemaker_refusal;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(mlflow::invocations)
        .service(mlflow::ping)
        .service(mlflow::health)
        .service(mlflow::version)
        .service(sagemaker::invocations);
}

/// How the body is written, by its content type.
///
/// # Errors
/// What it says, where that is no format that is known.
fn format(headers: &HeaderMap) -> Result<Format, String> {
    let given = headers.get(CONTENT_TYPE).map(|it| String::from_utf8_lossy(it.as_bytes()));
    let given = given.unwrap_or_default();
    Format::of(&given).ok_or_else(|| given.chars().take(100).collect())
}

/// What may become of a body that is packed in itself; of the others nothing larger becomes.
fn unpacked_limit(format: Format, state: &State, endpoint: &str) -> usize {
    match format {
        Format::Parquet => body_limit(state, endpoint),
        Format::Json | Format::Csv => 0,
    }
}

/// The inputs of a body, and how they were laid out.
fn read(
    format: Format,
    body: &[u8],
    signature: &Signature,
    limit: usize,
) -> Result<(Vec<Tensor>, Layout), Problem> {
    let ScoringRequest { inputs, layout } = decode(format, body, signature, limit)?;
    Ok((inputs, layout))
}

/// Refuses a caller who would not read JSON.
fn check_accept(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(accept) = header(headers, &ACCEPT)? else { return Ok(()) };
    let takes_json = |choice: &str| {
        let mut parts = choice.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let mut weights = parts.filter_map(|part| part.strip_prefix("q="));
        let is_refused = weights.any(|weight| weight.trim().parse() == Ok(0.0));
        let kinds = ["*/*", "application/*", "application/json"];
        !is_refused && kinds.iter().any(|it| kind.eq_ignore_ascii_case(it))
    };
    if accept.split(',').any(takes_json) {
        return Ok(());
    }
    let accept: String = accept.chars().take(100).collect();
    let message = format!("`accept` is `{accept}`: the answer is application/json");
    Err(Problem::invalid("accept", message))
}
