//! How each change of this crate ends.

use domain::AuditEvent;
use store::Change;

use crate::Result;

/// Records the event, tells whoever must react about it, and makes the change so.
pub(crate) async fn publish(mut change: Change, event: AuditEvent) -> Result<()> {
    change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
    change.commit(&event).await?;
    Ok(())
}
