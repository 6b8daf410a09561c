//! Content-addressed bytes: every file of every model version, kept once, in a folder or on S3.
//!
//! A blob's identity is its SHA-256; the object that holds it lies under `blobs/<uuid>`, and a row
//! of `store::blobs` says which digest is where. So:
//!
//! - An upload of unknown digest goes straight to its final key; only the row, written last, makes
//!   it a blob. What a broken upload leaves behind is an object without a row, and its lease, once
//!   over, sends the [collector](Artifacts::collect) to delete it.
//! - An object is whole and durable before its row is committed, and never changes after.
//! - Bytes stream in and out in constant memory, and are [verified on the way out](Artifacts::open):
//!   what does not have its digest any more is never served as if it had.
//!
//! Where the bytes lie is behind one private trait, `Objects`: `folder` and `s3` implement it, and
//! `tests/contract` holds both to the same promises. To add a third: implement it, give
//! [`Location`] a way to name it, and run the suite on it.
//!
//! Not here: rows (`store`), who may read or write (`auth`), what a manifest is (`domain`).

mod collector;
mod download;
mod error;
mod file;
mod folder;
mod location;
mod objects;
mod parts;
mod s3;
mod upload;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{BlobKey, Digest};
use store::{Database, blobs};
use uuid::Uuid;

pub use collector::{Policy, Report};
pub use download::Download;
pub use error::Error;
pub use location::{Location, S3Settings};
pub use upload::Stored;

use crate::{folder::Folder, objects::Objects, s3::S3};

/// What every function of this crate answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How long the check at the start may take.
const CHECK: Duration = Duration::from_secs(15);

/// The artifact store: objects in a folder or on S3, their rows in Postgres. Cheap to clone.
#[derive(Clone)]
pub struct Artifacts {
    objects: Arc<dyn Objects>,
    database: Database,
}

impl Artifacts {
    /// The store at this location. A folder is made if it is absent; S3 is not asked anything yet
    /// (see [`Artifacts::check`]).
    ///
    /// # Errors
    /// A folder that cannot be made; settings that name no S3.
    ///
    /// # Panics
    /// On S3, unless the process has installed a provider of cryptography for `rustls`.
    pub fn at(location: &Location, settings: &S3Settings, database: Database) -> Result<Self> {
        Ok(Self { objects: objects_at(location, settings)?, database })
    }

    /// Writes a small object, reads it back and deletes it: whoever starts learns at once, and in
    /// plain words, that the bucket is missing, the credentials are wrong or the disk is full.
    ///
    /// # Errors
    /// Any of these.
    pub async fn check(&self) -> Result<()> {
        check(self.objects.as_ref()).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// None within that time, or a refusal.
    pub async fn ping(&self, time: Duration) -> Result<()> {
        let absent = BlobKey(Uuid::nil());
        let asked = async { self.objects.read(absent, None).await.map(|_| ()) };
        within(time, self.objects.as_ref(), asked).await
    }

    /// Which of these blobs are not here, or not whole: their bytes must be uploaded. Those that
    /// are here stay for a while, since the caller is about to name them.
    ///
    /// # Errors
    /// The database is away.
    pub async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let here: HashSet<Digest> = blobs::touch(&self.database, digests)
            .await?
            .into_iter()
            .map(|(digest, _)| digest)
            .collect();
        Ok(digests.iter().copied().filter(|digest| !here.contains(digest)).collect())
    }
}

/// Whether the store at this location can be used, without a database: see [`Artifacts::check`].
///
/// # Errors
/// It cannot.
///
/// # Panics
/// On S3, unless the process has installed a provider of cryptography for `rustls`.
pub async fn probe(location: &Location, settings: &S3Settings) -> Result<()> {
    check(objects_at(location, settings)?.as_ref()).await
}

fn objects_at(location: &Location, settings: &S3Settings) -> Result<Arc<dyn Objects>> {
    Ok(match location {
        Location::Folder(root) => Arc::new(Folder::open(root)?),
        Location::S3 { bucket, prefix } => Arc::new(S3::open(bucket, prefix, settings)?),
    })
}

async fn check(objects: &dyn Objects) -> Result<()> {
    const PROBE: &[u8] = b"bottega was here";
    let probe = async {
        let key = BlobKey::new();
        // Some servers make a missing bucket when they are written to: ask before.
        objects.read(key, None).await?;
        objects.put(key, Bytes::from_static(PROBE)).await?;
        let size = objects.read(key, None).await?.map(|object| object.size);
        objects.delete(key, None).await?;
        if size == Some(PROBE.len() as u64) { Ok(()) } else { Err(Error::Forgetful) }
    };
    within(CHECK, objects, probe).await
}

async fn within(
    time: Duration,
    objects: &dyn Objects,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {time:?}");
        Err(Error::Unreachable { place: objects.place(), reason })
    })
}
