//! A deployer with a database, a clock that stands still, and models, versions and endpoints.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]
#![expect(dead_code, reason = "each test file uses its part")]

use std::{path::Path, sync::Arc};

use artifacts::{Artifacts, Location, S3Settings};
use auth::{Access, SecretKey, Vault, egress::Networks, verbs};
use bytes::Bytes;
use chrono::TimeDelta;
use deployer::{State, Trials};
use domain::{
    Actor, AliasName, EndpointRef, FileEntry, FixedClock, Limit, Manifest, NodeId, Problem,
    ReplicaState, RequestId, Resource, Runtime, Timestamp, VersionId, WeightedVersion,
};
use futures_util::stream;
use inference::{
    CacheSettings, EnvironmentSettings, Environments, ModelCache, process::Host, trial::TrialLimits,
};
use remote::Remote;
use serde_json::json;
use store::{
    Change, Database, aliases, audit, endpoints, models, nodes, releases,
    testing::TestDatabase,
    versions::{self, NewVersion, TrialOutcome, Version},
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub struct World {
    pub clock: FixedClock,
    pub state: State,
    pub folder: TempDir,
    artifacts: Artifacts,
    /// Dropped last: the database ends with it.
    pub database: TestDatabase,
}

impl World {
    pub async fn new() -> Self {
        let clock = FixedClock::at(Timestamp::from_timestamp(1_800_000_000, 0).unwrap());
        let test = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let (database, folder) = (test.database().clone(), tempfile::tempdir().unwrap());
        let place = Location::Folder(folder.path().join("artifacts"));
        let artifacts = Artifacts::at(&place, &S3Settings::default(), database.clone()).unwrap();
        let cache = ModelCache::new(
            folder.path().join("cache"),
            artifacts.clone(),
            CacheSettings::default(),
        )
        .unwrap();
        let given =
            EnvironmentSettings { uv: Some("/none".into()), ..EnvironmentSettings::default() };
        let environments = Environments::new(folder.path().join("environments"), given).unwrap();
        drop(rustls::crypto::ring::default_provider().install_default());
        let key = SecretKey::new("k".repeat(32).into()).unwrap();
        let vault = Vault::new(&key.into(), "credentials");
        let allowed = Networks::parse("remote_allow", "127.0.0.1").unwrap();
        let remote = Remote::new(database.clone(), vault, allowed).unwrap();
        let trials = Trials {
            cache: Arc::new(cache),
            exe: std::env::current_exe().unwrap(),
            library: std::env::var_os("BOTTEGA_ONNXRUNTIME").unwrap_or_default().into(),
            limits: TrialLimits::default(),
            environments: Arc::new(environments),
            host: Host::new(std::env::current_exe().unwrap()),
            at_once: 1,
            workers: Arc::new(Semaphore::new(1)),
            remote: Arc::new(remote),
            decode_example: |_, _| Err(Problem::invalid("inputs", "input `y` is unknown")),
        };
        let access = Access::new(database.clone());
        let state = State { database, access, trials };
        Self { clock, state, folder, artifacts, database: test }
    }

    /// A deployer with a pool of its own, as in another process.
    pub async fn another(&self) -> State {
        self.another_at(self.database.url()).await
    }

    /// The same, by another way to the database.
    pub async fn another_at(&self, url: &str) -> State {
        let clock = Arc::new(self.clock.clone());
        let database = Database::connect(url, 3, clock).await.unwrap();
        State { database, ..self.state.clone() }
    }

    /// Registers a version of the model `fraud`, which waits for its trial.
    pub async fn version(&self, model: &[u8], example: bool) -> Version {
        self.version_of(&[("model.onnx", model)], example).await
    }

    /// The same, of several files.
    pub async fn version_of(&self, files: &[(&str, &[u8])], example: bool) -> Version {
        let (by, database) = (Actor::user("ana"), &self.state.database);
        let mut entries = Vec::new();
        for (path, content) in files {
            let bytes = stream::iter([Ok::<_, Problem>(Bytes::copy_from_slice(content))]);
            let stored = self.artifacts.upload(&by, None, bytes).await.unwrap();
            let entry = FileEntry { digest: stored.digest, size: stored.size };
            entries.push((path.parse().unwrap(), entry));
        }
        let signature = json!({
            "inputs": [{"name": "x", "datatype": "INT64", "shape": ["n"]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": ["n", 2]}],
        });
        let new = NewVersion {
            manifest: Manifest::new(entries).unwrap(),
            runtime: Runtime::Onnx,
            model_file: Some("model.onnx".to_owned()),
            facts: None,
            signature: Some(serde_json::from_value(signature).unwrap()),
            input_example: example.then(|| json!({ "inputs": [] })),
            not_servable: None,
            description: String::new(),
            lineage: versions::Lineage::default(),
            origin: versions::Origin::default(),
            packaging: versions::Packaging::default(),
            tags: models::Tags::default(),
        };
        let name = "fraud".parse().unwrap();
        let mut change = Change::begin(database).await.unwrap();
        let model = match models::lock(&mut change, &name).await.unwrap() {
            Some(model) => model,
            None => models::insert(&mut change, &name, "", (&by, None), &new.tags).await.unwrap(),
        };
        let version = versions::insert(&mut change, model.id, &new, &by).await.unwrap();
        self.commit(change).await;
        version
    }

    /// The same, tried and found good.
    pub async fn ready_version(&self, model: &[u8]) -> Version {
        let version = self.version(model, false).await;
        let mut change = Change::begin(&self.state.database).await.unwrap();
        let outcome = TrialOutcome::Ready { batchable: false };
        versions::finish_trial(&mut change, version.id, &outcome).await.unwrap();
        self.commit(change).await;
        version
    }

    pub async fn see(&self, version: VersionId) -> Version {
        versions::get_by_id(&self.state.database, version).await.unwrap().unwrap()
    }

    /// Points `champion` to a version.
    pub async fn promote(&self, version: &Version) {
        let (alias, by) = ("champion".parse::<AliasName>().unwrap(), Actor::user("ana"));
        let mut change = Change::begin(&self.state.database).await.unwrap();
        let to = Some((version.id, version.number));
        let request = RequestId::new();
        aliases::set(&mut change, version.model_id, &alias, to, None, &by, &request).await.unwrap();
        self.commit(change).await;
    }

    /// Makes an endpoint that follows `champion`, and cannot take what it points to.
    pub async fn blocked_follower(&self, endpoint: &str, version: &Version) {
        let target = endpoints::Target::Alias(version.model_id, "champion".parse().unwrap());
        let mut change = Change::begin(&self.state.database).await.unwrap();
        let (endpoint, by) = (endpoint.parse().unwrap(), Actor::user("ana"));
        let endpoint =
            endpoints::insert(&mut change, &endpoint, &target, (&by, None)).await.unwrap();
        endpoints::mark(&mut change, endpoint.id, false, Some("trial not over")).await.unwrap();
        self.commit(change).await;
    }

    /// Gives an endpoint a release of one version, making the endpoint if it is not there.
    pub async fn deploy(&self, endpoint: &str, version: &Version) {
        self.deploy_with(endpoint, version, json!({})).await;
    }

    /// The same, served so.
    pub async fn deploy_with(&self, endpoint: &str, version: &Version, serving: serde_json::Value) {
        let by = Actor::user("ana");
        let endpoint: EndpointRef = endpoint.parse().unwrap();
        let target = endpoints::Target::Pinned(version.model_id, version.id);
        let mut change = Change::begin(&self.state.database).await.unwrap();
        let endpoint = match endpoints::lock(&mut change, &endpoint).await.unwrap() {
            Some(endpoint) => endpoint,
            None => endpoints::insert(&mut change, &endpoint, &target, (&by, None)).await.unwrap(),
        };
        let shares = [WeightedVersion { version: version.id, weight: 100 }];
        let request = RequestId::new();
        let new = releases::New {
            versions: &shares,
            serving: &serde_json::from_value(serving).unwrap(),
            reason: None,
            by: &by,
            request: &request,
        };
        releases::insert(&mut change, &endpoint, &new).await.unwrap();
        self.commit(change).await;
    }

    /// A gateway that is alive for ten seconds.
    pub async fn node(&self) -> NodeId {
        let node = NodeId::new();
        self.beat(node, u64::MAX).await;
        node
    }

    /// A sign of life of one that has so much memory for models.
    pub async fn beat(&self, node: NodeId, memory_bytes: u64) {
        let about = nodes::About { memory_bytes, ..nodes::About::host("host") };
        nodes::beat(&self.state.database, node, &about, TimeDelta::seconds(10)).await.unwrap();
    }

    pub async fn report(&self, node: NodeId, version: VersionId, state: ReplicaState) {
        let reason = (state == ReplicaState::Failed).then(|| "no such operator".to_owned());
        let report = nodes::Report::of(state, reason);
        nodes::report(&self.state.database, node, version, &report).await.unwrap();
    }

    pub async fn endpoint(&self, endpoint: &str) -> endpoints::Endpoint {
        let endpoint = endpoint.parse().unwrap();
        endpoints::get(&self.state.database, &endpoint).await.unwrap().unwrap()
    }

    pub async fn release(&self, endpoint: &str, number: i32) -> releases::Release {
        let id = self.endpoint(endpoint).await.id;
        releases::get(&self.state.database, id, number).await.unwrap().unwrap()
    }

    /// What the audit trail has of one kind of change.
    pub async fn recorded(&self, change: &str) -> Vec<audit::Recorded> {
        let (all, limit) = (audit::Filter::default(), Limit::new(None).unwrap());
        let page = audit::list(&self.state.database, &all, None, limit).await.unwrap();
        page.items.into_iter().filter(|event| event.change == change).collect()
    }

    async fn commit(&self, change: Change) {
        let permit = self.state.access.system::<verbs::Administer>("test", Resource::Platform);
        change.commit(&permit.event("test.prepared", json!({}))).await.unwrap();
    }
}

/// The bytes of a model of the repository.
pub fn model(file: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/data");
    std::fs::read(models.join(file)).unwrap()
}
