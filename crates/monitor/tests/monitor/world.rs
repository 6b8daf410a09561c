//! An endpoint, watchers of gateways, and who asks.

use std::{sync::Arc, time::Duration};

use artifacts::{Artifacts, Location, S3Settings};
use auth::{Access, Limiter, Offline, Permit, SecretKey, Verb, audit::Trail};
use domain::{
    Actor, EndpointId, Resource, Tensor, TensorData, Timestamp, VersionId,
    capture::{Place, Protocol, Record, Settings, Sink as _, Source},
};
use monitor::{Given, Hashes, Metrics, State, Watcher};
use prometheus_client::registry::Registry;
use store::{Database, testing::TestDatabase};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const ID: &str = "00000000-0000-7000-8000-000000000001";

/// So that nothing is written before a watcher ends, or is told to.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);
pub(crate) const SOON: Duration = Duration::from_millis(100);

pub(crate) struct World {
    pub(crate) test: TestDatabase,
    pub(crate) database: Database,
    pub(crate) access: Access,
    pub(crate) artifacts: Artifacts,
    pub(crate) hashes: Hashes,
    pub(crate) trail: Trail,
    pub(crate) folder: TempDir,
}

/// A gateway's watcher at work.
pub(crate) struct Running {
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) -> Registry {
        self.stop.cancel();
        self.work.await.unwrap();
        self.registry
    }

    /// Ends as a process that is killed: nothing is written any more.
    pub(crate) fn kill(self) {
        self.work.abort();
    }
}

pub(crate) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Location::Folder(folder.path().join("artifacts"));
        Self::at(&place, &S3Settings::default(), folder).await
    }

    pub(crate) async fn at(place: &Location, s3: &S3Settings, folder: TempDir) -> Self {
        let test = TestDatabase::fresh().await;
        let database = test.database().clone();
        test.execute(&format!(
            "INSERT INTO models (id, name, owner, created_at, updated_at) VALUES ('{ID}', 'fraud', 'user:ana', now(), now());
             INSERT INTO model_versions (id, model_id, number, digest, size, status, servable, runtime, created_by, created_at, updated_at, run_id)
             VALUES ('{ID}', '{ID}', 3, decode(repeat('00', 32), 'hex'), 0, 'pending', 'checking', 'onnx', 'user:ana', now(), now(), 'run-9');
             INSERT INTO endpoints (id, name, env, model_id, stage, owner, created_at, updated_at)
             VALUES ('{ID}', 'fraud', 'production', '{ID}', 'Production', 'user:ana', now(), now());
             INSERT INTO releases (endpoint_id, number, state, created_by, request_id, created_at, finished_at)
             VALUES ('{ID}', 2, 'completed', 'user:olga', 'r-77', now(), now())"
        ))
        .await;
        let artifacts = Artifacts::at(place, s3, database.clone()).unwrap();
        let access = Access::new(database.clone());
        access.refresh().await.unwrap();
        let hashes = Hashes::new(SecretKey::new("k".repeat(32).into()).unwrap());
        Self { test, database, access, artifacts, hashes, trail: Trail::default(), folder }
    }

    pub(crate) fn state(&self) -> State {
        let (hashes, trail) = (self.hashes.clone(), self.trail.clone());
        State::new(self.database.clone(), self.artifacts.clone(), hashes, trail)
    }

    pub(crate) fn permit<V: Verb>(&self) -> Permit<V> {
        self.access.system("test", Resource::Endpoint("fraud".to_owned()))
    }

    pub(crate) fn endpoint(&self) -> EndpointId {
        EndpointId(ID.parse().unwrap())
    }

    pub(crate) async fn watcher(&self, every: Duration) -> Running {
        self.watcher_of(self.database.clone(), every).await
    }

    pub(crate) async fn watcher_of(&self, database: Database, every: Duration) -> Running {
        let mut registry = Registry::default();
        let limiter = Arc::new(Limiter::new(database.clone(), Offline::default()));
        limiter.refresh().await.unwrap();
        let watcher = Arc::new(Watcher::new(Given {
            database,
            artifacts: self.artifacts.clone(),
            limiter,
            hashes: self.hashes.clone(),
            metrics: Metrics::register(&mut registry),
            every,
        }));
        let stop = CancellationToken::new();
        let work = tokio::spawn(Arc::clone(&watcher).run(stop.clone()));
        Running { watcher, registry, stop, work }
    }
}

pub(crate) fn source(settings: Settings) -> Arc<Source> {
    let endpoint = EndpointId(ID.parse().unwrap());
    let place = Place { endpoint, name: "fraud", team: None, release: 2 };
    let version = (VersionId(ID.parse().unwrap()), &"fraud".parse().unwrap(), 3);
    Arc::new(Source::new(&place, version, settings))
}

/// When everything here was answered.
pub(crate) fn then() -> Timestamp {
    "2026-11-17T14:00:07.5Z".parse().unwrap()
}

/// One row: a customer, and how much they earn.
pub(crate) fn offer(running: &Running, source: &Arc<Source>, id: &str, who: &str, income: f32) {
    offer_at(running, source, id, who, income, then());
}

pub(crate) fn offer_at(
    running: &Running,
    source: &Arc<Source>,
    id: &str,
    who: &str,
    income: f32,
    at: Timestamp,
) {
    running.watcher.offer(record(source, id, who, income, at));
}

pub(crate) fn record(
    source: &Arc<Source>,
    id: &str,
    who: &str,
    income: f32,
    at: Timestamp,
) -> Record {
    let customer = TensorData::Bytes(vec![who.as_bytes().to_vec()]);
    Record {
        source: Arc::clone(source),
        id: id.into(),
        at,
        took: Duration::from_micros(250),
        caller: Actor::user("ana"),
        protocol: Protocol::V2,
        shadow: false,
        code: None,
        keep: source.wanted().is_some_and(|wanted| wanted.keep),
        rows: 1,
        inputs: vec![
            Tensor::new("customer", vec![1, 1], customer).unwrap(),
            Tensor::new("income", vec![1, 1], TensorData::F32(vec![income])).unwrap(),
        ],
        outputs: vec![Tensor::new("label", vec![1], TensorData::I64(vec![1])).unwrap()],
    }
}

/// Waits until it holds, for a minute at most.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
