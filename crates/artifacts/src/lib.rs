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
//! - On S3, clients may send and read [straight](Artifacts::begin_direct): what came so is a blob only
//!   once it was read and has a digest.
//!
//! Where the bytes lie is behind one private trait, `Objects`: `folder` and `s3` implement it, and
//! `tests/contract` holds both to the same promises. To add a third: implement it, give
//! [`Location`] a way to name it, and run the suite on it.
//!
//! Not here: rows (`store`), who may read or write (`auth`), what a manifest is (`domain`).

mod check;
mod collector;
mod direct;
mod download;
mod error;
mod file;
mod folder;
mod location;
mod objects;
mod parts;
mod reading;
mod s3;
mod upload;

use std::{collections::HashSet, sync::Arc};

use domain::Digest;
use store::{Database, blobs};

pub use check::probe;
pub use collector::{Policy, Report};
pub use direct::{DirectUpload, MOST_PARTS};
pub use download::Download;
pub use error::Error;
pub use location::{Location, Outside, S3Settings};
pub use upload::Stored;

use crate::objects::Objects;

/// What every function of this crate answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
        Ok(Self { objects: location.open(settings)?, database })
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
