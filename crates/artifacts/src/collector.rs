//! Deletes what nobody names.
//!
//! Each step is a statement of its own that locks the rows it takes, and deleting an object twice
//! does no harm: so any number of collectors may run at once, and one that dies is taken up by the
//! next. A blob goes in two steps. First its row is deleted and its key doomed: from then on nobody
//! finds it, and the same bytes would come in under a new key. Its object goes after a grace, when
//! those who had found it before have read it.

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use store::{
    blobs::{self, Doomed},
    tracking::direct,
};

use crate::{Artifacts, Error, Result};

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
    /// Objects that were deleted. One that was gone already counts: its bytes are free.
    pub deleted: u64,
    /// The bytes of those.
    pub bytes: u64,
    /// Objects that could not be deleted; the next collection tries again.
    pub failed: u64,
    /// Whether there may be more to do at once.
    pub more: bool,
}

impl Artifacts {
    /// Collects once: a bounded number of blobs and objects. As long as there is more to do, the
    /// caller does it again.
    ///
    /// # Errors
    /// The database is away. An object that cannot be deleted is counted, not an error.
    pub async fn collect(&self, policy: Policy) -> Result<Report> {
        let database = &self.database;
        let mut report =
            Report { expired: blobs::expire_uploads(database).await?, ..Report::default() };
        direct::expire(database).await?;
        let since = database.now() - policy.untouched;
        report.doomed = blobs::collect(database, since, policy.grace, BATCH).await?;
        blobs::hasten(database, policy.grace).await?;
        let due = blobs::due(database, BATCH).await?;
        let is_full = [report.doomed, due.len() as u64].contains(&BATCH.unsigned_abs());
        let mut deletions = stream::iter(due)
            .map(|doomed| async move { Ok::<_, Error>((doomed.size, self.delete(doomed).await?)) })
            .buffer_unordered(AT_ONCE);
        while let Some(deleted) = deletions.next().await {
            match deleted? {
                (size, Deletion::Done) => {
                    report.deleted += 1;
                    report.bytes += size;
                }
                (_, Deletion::Elsewhere) => {}
                (_, Deletion::Failed) => report.failed += 1,
            }
        }
        // Those that failed would be due again at once.
        report.more = is_full && report.failed == 0;
        Ok(report)
    }

    /// Deletes an object for good.
    async fn delete(&self, doomed: Doomed) -> Result<Deletion> {
        if let Err(error) = self.objects.delete(doomed.key, doomed.multipart_id.as_deref()).await {
            tracing::warn!(%error, blob.key = %doomed.key, "an object could not be deleted");
            return Ok(Deletion::Failed);
        }
        let is_ours = blobs::forget(&self.database, doomed.key).await?;
        Ok(if is_ours { Deletion::Done } else { Deletion::Elsewhere })
    }
}

/// What became of an object.
enum Deletion {
    /// It is gone.
    Done,
    /// Another collector was first, and counts it.
    Elsewhere,
    /// It is still there.
    Failed,
}
