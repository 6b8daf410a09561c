//! Whether the place where objects lie works, and if not, why, in plain words.

use std::time::Duration;

use bytes::Bytes;
use domain::BlobKey;
use uuid::Uuid;

use crate::{Artifacts, Error, Location, Result, S3Settings, objects::Objects};

/// How long the check may take.
const CHECK: Duration = Duration::from_secs(15);
const PROBE: &[u8] = b"bottega was here";

/// Does what [`Artifacts::check`] does, where there is no database yet.
///
/// # Errors
/// As [`Artifacts::at`] and [`Artifacts::check`].
///
/// # Panics
/// As [`Artifacts::at`].
pub async fn probe(location: &Location, settings: &S3Settings) -> Result<()> {
    check(&*location.open(settings)?).await
}

impl Artifacts {
    /// Writes a small object, reads it back and deletes it: whoever starts learns at once that the
    /// bucket is missing, the credentials are wrong or the disk is full.
    ///
    /// # Errors
    /// Any of these.
    pub async fn check(&self) -> Result<()> {
        check(&*self.objects).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// None within that time, or a refusal.
    pub async fn ping(&self, within: Duration) -> Result<()> {
        let absent = BlobKey(Uuid::nil());
        let asked = async { self.objects.read(absent, None).await.map(|_| ()) };
        limited(&*self.objects, within, asked).await
    }
}

async fn check(objects: &dyn Objects) -> Result<()> {
    let probe = async {
        let key = BlobKey::new();
        // Some servers make a missing bucket when they are written to: ask before.
        objects.read(key, None).await?;
        objects.put(key, Bytes::from_static(PROBE)).await?;
        let size = objects.read(key, None).await?.map(|object| object.size);
        objects.delete(key, None).await?;
        if size == Some(PROBE.len() as u64) { Ok(()) } else { Err(Error::Forgetful) }
    };
    limited(objects, CHECK, probe).await
}

async fn limited(
    objects: &dyn Objects,
    within: Duration,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {within:?}");
        Err(Error::Unreachable { place: objects.place(), reason })
    })
}
