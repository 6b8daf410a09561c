//! What answered an inference: the version, and from there who put it there and what it was made of.

use auth::{Permit, verbs};
use domain::{EndpointRef, Limit, Problem};
use serde_json::Value;
use store::{
    releases::{self, Release},
    versions::{self, Version},
};

use crate::{
    Result, State,
    captured::{self, Filter, Row, Which},
};

/// What is known of an inference.
#[derive(Debug, Clone)]
pub struct Inference {
    /// The endpoint that was asked.
    pub endpoint: EndpointRef,
    /// Its first row, without values.
    pub row: Row,
    /// The version that answered; absent where it was deleted for good.
    pub version: Option<Version>,
    /// The release that the version was part of.
    pub release: Option<Release>,
}

/// The endpoints that may have answered it.
///
/// # Errors
/// The database is away.
pub async fn endpoints(state: &State, id: &str) -> Result<Vec<EndpointRef>> {
    let hash = state.hashes.inference(id);
    Ok(store::capture::segments::endpoints(&state.database, hash).await?)
}

/// What answered an inference at an endpoint; absent where no row of it was kept there. The audit trail
/// is told.
///
/// # Errors
/// The endpoint is not there; a file is damaged.
pub async fn get(
    state: &State,
    permit: &Permit<verbs::ViewData>,
    endpoint: &EndpointRef,
    id: &str,
) -> Result<Option<Inference>> {
    let which = Some(Which::Inference(id.to_owned()));
    let filter = Filter { which, answered: true, ..Filter::default() };
    let page = captured::list(state, permit, endpoint, &filter, None, Limit::new(Some(1))?).await?;
    let Some(mut row) = page.items.into_iter().next() else { return Ok(None) };
    row.remove("inputs");
    row.remove("outputs");
    let number =
        |name: &str| row.get(name).and_then(Value::as_i64).and_then(|it| i32::try_from(it).ok());
    let model = row.get("model").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let version = match model.zip(number("version")) {
        Some((model, number)) => {
            versions::get_even_deleted(&state.database, &model, number).await?
        }
        None => None,
    };
    let found = store::capture::get(&state.database, endpoint).await?;
    let release = match found.map(|found| found.endpoint).zip(number("release")) {
        Some((endpoint, number)) => releases::get(&state.database, endpoint, number).await?,
        None => None,
    };
    Ok(Some(Inference { endpoint: endpoint.clone(), row, version, release }))
}

/// What is told of an inference of which no row is kept.
#[must_use]
pub fn absent(id: &str) -> Problem {
    Problem::not_found("inference", id).hint(
        "rows are kept of the share of requests that `bottega endpoints capture NAME` tells, for as long \
         as it tells, and are written down within a minute or so",
    )
}
