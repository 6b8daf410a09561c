//! What a place that keeps objects must be able to do.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use domain::BlobKey;
use futures_util::stream::BoxStream;

use crate::Result;

/// An object that is being read.
pub(crate) struct Object {
    /// The size of the whole object, whatever range of it was asked for.
    pub size: u64,
    /// The bytes that were asked for.
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// A place that keeps objects by key. What it says is stored survives a loss of power.
#[async_trait]
pub(crate) trait Objects: Send + Sync {
    /// What it is called, for whoever runs it.
    fn place(&self) -> String;

    /// How long the parts of a long object are: all but the last, which is shorter.
    fn part_size(&self) -> usize;

    /// Stores a whole object, at most one part long.
    async fn put(&self, key: BlobKey, bytes: Bytes) -> Result<()>;

    /// Begins a longer one.
    async fn begin(&self, key: BlobKey) -> Result<Box<dyn Writer>>;

    /// Reads an object, or a range of it that is not empty. `None` only if the place is well and
    /// the object is not there.
    async fn read(&self, key: BlobKey, range: Option<Range<u64>>) -> Result<Option<Object>>;

    /// Deletes whatever there is under this key, and the parts of an upload that did not end.
    /// Nothing there is no error.
    async fn delete(&self, key: BlobKey, multipart_id: Option<&str>) -> Result<()>;

    /// Ways to the bytes that do not pass through this server, if clients have any.
    fn direct(&self) -> Option<&dyn Direct> {
        None
    }
}

/// A place that clients send to and read from themselves, by addresses that are signed for a while.
#[async_trait]
pub(crate) trait Direct: Send + Sync {
    /// Begins an object in parts; answers what the place calls it.
    async fn begin_parts(&self, key: BlobKey) -> Result<String>;

    /// Where each part is to be PUT.
    async fn part_urls(
        &self,
        key: BlobKey,
        multipart_id: &str,
        parts: u16,
        within: Duration,
    ) -> Result<Vec<String>>;

    /// Makes one object of the parts, by what the place called each when it was sent. Parts that
    /// are not those are refused.
    async fn join_parts(
        &self,
        key: BlobKey,
        multipart_id: &str,
        etags: Vec<String>,
    ) -> Result<Joined>;

    /// Where an object is to be read, as a file of this name.
    async fn read_url(
        &self,
        key: BlobKey,
        name: &str,
        media_type: &str,
        within: Duration,
    ) -> Result<String>;
}

/// What became of parts that were to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// They are one object now.
    Now,
    /// No parts are there: they were joined before, or given up.
    Gone,
}

/// A long object on its way in. What is dropped on the way is left for [`Objects::delete`].
#[async_trait]
pub(crate) trait Writer: Send {
    /// What must be remembered to delete the parts if we die.
    fn multipart_id(&self) -> Option<&str>;

    /// Takes the next part, as soon as there is room for it.
    async fn write(&mut self, part: Bytes) -> Result<()>;

    /// Makes the object whole and durable.
    async fn finish(&mut self) -> Result<()>;

    /// Deletes what was written. What cannot be deleted now is left for [`Objects::delete`].
    async fn abort(&mut self);
}
