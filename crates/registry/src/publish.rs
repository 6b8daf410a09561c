//! How each change of this crate ends.

use domain::AuditEvent;
use serde_json::Value;
use store::Change;

use crate::Result;

/// Records the event, tells whoever must react about it, and makes the change so.
pub(crate) async fn publish(mut change: Change, event: AuditEvent) -> Result<()> {
    let mut payload = event.detail.clone();
    if let Value::Object(facts) = &mut payload {
        // Whoever reacts reads the rows: the whole descriptions are for the trail only.
        facts.remove("before");
        facts.remove("after");
    }
    change.emit(event.change, &event.resource.to_string(), &payload).await?;
    change.commit(&event).await?;
    Ok(())
}
