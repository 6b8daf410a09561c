//! Deletes what nobody names.
//!
//! Each step is a statement of its own that locks the rows it takes, and deleting an object twice
//! does no harm: so any number of collectors may run at once, and one that dies is taken up by the
//! next. A blob goes in two steps. First its row is deleted and its key doomed: from then on nobody
//! finds it, and the same bytes would come in under a new key. Its object goes after a grace, when
//! those who had found it before have read it.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use store::blobs::{self, Doomed};
use tokio_util::sync::CancellationToken;

use crate::{Artifacts, Result};

const BATCH: i64 = 500;
const AT_ONCE: usize = 8;

/// How patient collection is.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// A blob that no version names stays this long after it was last uploaded or asked for: the
    /// version that will name it may be on its way.
    pub untouched: TimeDelta,
    /// The object of a collected blob stays this long: someone may be reading it.
    pub grace: TimeDelta,
}

impl Default for Policy {
    fn default() -> Self {
        Self { untouched: TimeDelta::hours(24), grace: TimeDelta::hours(1) }
    }
}

/// What one collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Uploads that had died.
    pub expired: u64,
    /// Blobs that nobody named.
    pub doomed: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that could not be deleted; the next collection tries again.
    pub failed: u64,
}

impl Artifacts {
    /// Collects once.
    ///
    /// # Errors
    /// The database is away. An object that cannot be deleted is counted, not an error.
    pub async fn collect(&self, policy: Policy) -> Result<Report> {
        let database = &self.database;
        let expired = blobs::expire_uploads(database).await?;
        let mut report = Report { expired, ..Report::default() };
        loop {
            let since = database.now() - policy.untouched;
            let doomed = blobs::collect(database, since, policy.grace, BATCH).await?;
            report.doomed += doomed;
            if doomed < BATCH.unsigned_abs() {
                break;
            }
        }
        loop {
            let due = blobs::due(database, BATCH).await?;
            let is_last = (due.len() as u64) < BATCH.unsigned_abs();
            let mut deletions =
                stream::iter(due).map(|doomed| self.delete(doomed)).buffer_unordered(AT_ONCE);
            while let Some(deleted) = deletions.next().await {
                if deleted? { report.deleted += 1 } else { report.failed += 1 }
            }
            // Those that failed would be due again at once.
            if is_last || report.failed > 0 {
                return Ok(report);
            }
        }
    }

    /// Collects every so often, until it is told to stop.
    pub async fn collect_forever(&self, policy: Policy, every: Duration, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.collect(policy)).await {
                None => return,
                Some(Ok(report)) if report == Report::default() => {}
                Some(Ok(Report { expired, doomed, deleted, failed })) => {
                    tracing::info!(expired, doomed, deleted, failed, "collected artifacts");
                }
                Some(Err(error)) => tracing::error!(%error, "artifacts were not collected"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
                return;
            }
        }
    }

    /// Deletes an object for good. `false` if that did not work.
    async fn delete(&self, doomed: Doomed) -> Result<bool> {
        if let Err(error) = self.objects.delete(doomed.key, doomed.multipart_id.as_deref()).await {
            tracing::warn!(%error, blob.key = %doomed.key, "an object could not be deleted");
            return Ok(false);
        }
        blobs::forget(&self.database, doomed.key).await?;
        Ok(true)
    }
}
