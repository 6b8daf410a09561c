//! What an endpoint answered lately, as its gateways wrote it down.

use auth::{Permit, verbs};
use domain::{EndpointRef, Limit, Timestamp};
use store::{
    prediction_log::{self, Written},
    printed,
};

use crate::{Result, State, endpoints};

/// Where to begin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// Behind this entry.
    pub after: Option<i64>,
    /// Not before that.
    pub since: Option<Timestamp>,
}

/// Entries, the oldest first: those that come next, or the last ones where nothing says where to begin.
///
/// # Errors
/// The endpoint is not there.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
    range: Range,
    limit: Limit,
) -> Result<Vec<Written>> {
    let endpoint = endpoints::get(state, permit, endpoint).await?.endpoint.id;
    let (database, limit) = (&state.database, limit.get());
    Ok(match range {
        Range { after: None, since: None } => {
            prediction_log::last(database, endpoint, limit).await?
        }
        Range { after, since } => {
            prediction_log::next(database, endpoint, after.unwrap_or(0), since, limit).await?
        }
    })
}

/// Lines that the endpoint's versions printed, the oldest first: those that come next, or the last ones where
/// nothing says where to begin.
///
/// # Errors
/// The endpoint is not there.
pub async fn printed(
    state: &State,
    _permit: &Permit<verbs::Deploy>,
    endpoint: &EndpointRef,
    range: Range,
    limit: Limit,
) -> Result<Vec<printed::Written>> {
    let found = store::endpoints::get(&state.database, endpoint).await?;
    let endpoint = found.ok_or_else(|| endpoints::absent(endpoint))?.id;
    let (database, limit) = (&state.database, limit.get());
    Ok(match range {
        Range { after: None, since: None } => printed::last(database, endpoint, limit).await?,
        Range { after, since } => {
            printed::next(database, endpoint, after.unwrap_or(0), since, limit).await?
        }
    })
}
