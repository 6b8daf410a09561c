//! An artifact store in an empty place, with an empty database and a clock that stands still.

use std::sync::Arc;

use artifacts::{Artifacts, Download, Error, Report, Stored};
use bytes::Bytes;
use chrono::TimeDelta;
use domain::{
    Action, Actor, AuditEvent, Digest, FileEntry, FixedClock, Manifest, Problem, RequestId,
    Resource, Runtime, Timestamp, VersionId,
};
use futures_util::{Stream, StreamExt as _, stream};
use store::{
    Change, Database, models, purge,
    testing::TestDatabase,
    versions::{self, NewVersion},
};
use tokio::sync::oneshot;

use crate::places::Place;

pub(crate) struct World {
    pub(crate) artifacts: Artifacts,
    pub(crate) place: Place,
    pub(crate) clock: FixedClock,
    database: TestDatabase,
}

impl World {
    pub(crate) async fn new(place: Place) -> Self {
        let clock = FixedClock::at(Timestamp::from_timestamp(1_800_000_000, 0).unwrap());
        let database = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let db = database.database().clone();
        let artifacts = Artifacts::at(&place.location, &place.settings, db).unwrap();
        Self { artifacts, place, clock, database }
    }

    pub(crate) fn database(&self) -> &Database {
        self.database.database()
    }

    pub(crate) async fn push(&self, bytes: &[u8]) -> Stored {
        let expected = Some(Digest::of(bytes));
        self.upload(expected, chunks(bytes, 100_003)).await.unwrap()
    }

    pub(crate) async fn pull(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let download = self.artifacts.open(digest).await?;
        let size = download.size;
        let (bytes, ended) = read(download).await;
        ended.inspect(|()| assert_eq!(bytes.len() as u64, size))?;
        Ok(bytes)
    }

    /// Collects, with the standard policy.
    pub(crate) async fn collect(&self) -> Report {
        let report = self.artifacts.collect(artifacts::Policy::default()).await.unwrap();
        assert_eq!(report.failed, 0);
        report
    }

    /// Registers a version that consists of this blob.
    pub(crate) async fn register(&self, blob: &Stored) -> VersionId {
        let entry = FileEntry { digest: blob.digest, size: blob.size };
        let new = NewVersion {
            manifest: Manifest::new([("model.bin".parse().unwrap(), entry)]).unwrap(),
            runtime: Runtime::Onnx,
            model_file: None,
            facts: None,
            signature: None,
            input_example: None,
            not_servable: Some("no model file".to_owned()),
            description: String::new(),
            lineage: versions::Lineage::default(),
            origin: versions::Origin::default(),
            packaging: versions::Packaging::default(),
            tags: models::Tags::default(),
        };
        let mut change = Change::begin(self.database()).await.unwrap();
        let (model, _) =
            models::ensure(&mut change, &"fraud".parse().unwrap(), (&ana(), None)).await.unwrap();
        let version = versions::insert(&mut change, model.id, &new, &ana()).await.unwrap();
        change.commit(&event()).await.unwrap();
        version.id
    }

    /// Deletes a version for good.
    pub(crate) async fn delete(&self, version: VersionId) {
        let mut change = Change::begin(self.database()).await.unwrap();
        versions::delete(&mut change, version).await.unwrap();
        change.commit(&event()).await.unwrap();
        let soon = self.database().now() + TimeDelta::seconds(1);
        let mut change = Change::begin(self.database()).await.unwrap();
        assert_eq!(purge::some(&mut change, soon).await.unwrap().len(), 1);
        change.commit(&event()).await.unwrap();
    }

    pub(crate) fn wait(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    /// Ana uploads this body.
    pub(crate) async fn upload(
        &self,
        expected: Option<Digest>,
        body: impl Stream<Item = Result<Bytes, Problem>>,
    ) -> Result<Stored, Error> {
        self.artifacts.upload(&ana(), expected, body).await
    }
}

fn ana() -> Actor {
    Actor::user("ana")
}

fn event() -> AuditEvent {
    let resource = Resource::Model("fraud".parse().unwrap());
    let (change, detail) = ("version.registered", serde_json::json!({}));
    AuditEvent::new(ana(), Some(Action::Register), resource, change, RequestId::new(), detail)
}

/// Bytes that do not repeat, different for each seed.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}

/// A body that arrives in chunks of this size.
pub(crate) fn chunks(
    bytes: &[u8],
    size: usize,
) -> impl Stream<Item = Result<Bytes, Problem>> + use<> {
    let bytes = Bytes::copy_from_slice(bytes);
    let starts = (0..bytes.len()).step_by(size);
    stream::iter(starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + size)))))
}

/// A body that halts after its beginning: it says when that was taken in, and waits for the end.
pub(crate) fn halting(
    beginning: &[u8],
) -> (
    impl Stream<Item = Result<Bytes, Problem>> + use<>,
    oneshot::Receiver<()>,
    oneshot::Sender<Bytes>,
) {
    let ((taken, is_taken), (end, the_end)) = (oneshot::channel(), oneshot::channel());
    let last = stream::once(async move {
        taken.send(()).unwrap();
        Ok(the_end.await.unwrap())
    });
    (chunks(beginning, 1 << 20).chain(last), is_taken, end)
}

/// All that comes, and how it ends.
pub(crate) async fn read(mut download: Download) -> (Vec<u8>, Result<(), Error>) {
    let mut bytes = Vec::new();
    while let Some(chunk) = download.body.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => {
                assert!(download.body.next().await.is_none(), "an error is the last item");
                return (bytes, Err(error));
            }
        }
    }
    (bytes, Ok(()))
}
