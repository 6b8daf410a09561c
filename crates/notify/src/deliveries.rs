//! Deliveries: looked at, and tried again after they were given up.

use auth::{Permit, verbs};
use domain::{Cursor, DeliveryId, Limit, Page, Problem, WebhookId};
use serde_json::json;
use store::{
    Change,
    webhooks::deliveries::{self, Delivery},
};

use crate::{Result, State, webhooks};

/// The states that a delivery may be in.
pub const STATES: [&str; 3] = ["pending", "delivered", "dead"];

/// Lists a webhook's deliveries, newest first; only those in `state` if given.
///
/// # Errors
/// The webhook is not there; there is no such state.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::Administer>,
    webhook: WebhookId,
    only: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Delivery>> {
    if let Some(only) = only.filter(|only| !STATES.contains(only)) {
        let shown: String = only.chars().take(40).collect();
        let message = format!("`{shown}` is no state: expected {}", STATES.join(", "));
        return Err(Problem::invalid("state", message).into());
    }
    webhooks::get(state, permit, webhook).await?;
    Ok(deliveries::list(&state.database, webhook, only, cursor, limit).await?)
}

/// Tries all dead deliveries of a webhook again, or one. Answers how many.
///
/// # Errors
/// The webhook or the delivery is not there; the one is not dead.
pub async fn replay(
    state: &State,
    permit: &Permit<verbs::Administer>,
    webhook: WebhookId,
    one: Option<DeliveryId>,
) -> Result<u64> {
    let mut change = Change::begin(&state.database).await?;
    webhooks::lock(&mut change, webhook).await?;
    if let Some(one) = one {
        let found = deliveries::lock(&mut change, webhook, one).await?;
        let found = found.ok_or_else(|| Problem::not_found("delivery", one).at("delivery"))?;
        if found != "dead" {
            let message = format!("the delivery is {found}: only dead ones are replayed");
            return Err(Problem::conflict(message).at("delivery").into());
        }
    }
    let replayed = deliveries::replay(&mut change, webhook, one).await?;
    let detail = json!({"webhook": webhook, "delivery": one, "replayed": replayed});
    change.emit("webhook.replayed", &permit.resource().to_string(), &detail).await?;
    change.commit(&permit.event("webhook.replayed", detail)).await?;
    Ok(replayed)
}
