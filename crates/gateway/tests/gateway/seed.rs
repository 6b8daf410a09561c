//! Nodes, a deployer, and models, versions and endpoints for them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use artifacts::{Artifacts, Location, S3Settings};
use auth::{
    Access, Authenticator, Caller, Limiter, Offline, SecretKey, Vault, egress::Networks, verbs,
};
use deployer::Trials;
use domain::{
    Actor, EndpointRef, FileEntry, Manifest, Problem, RequestId, Resource, Runtime, SystemClock,
    VersionId, WeightedVersion,
    capture::{Nowhere, Protocol, Sink},
    onnx::{Interface, Scanner},
};
use futures_util::stream;
use gateway::{
    Metrics, Resources, Settings, State,
    predict::{Asked, Foreseen, predict},
};
use inference::{
    CacheSettings, EnvironmentSettings, Environments, ModelCache, Priority, process::Host,
};
use prometheus_client::registry::Registry;
use remote::Remote;
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{
    Change, Database, aliases, endpoints, models, nodes, releases,
    testing::TestDatabase,
    versions::{self, NewVersion, TrialOutcome, Version},
};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "bt_0123456789abcdef0123456789abcdef";

/// A platform without its nodes.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) folder: TempDir,
    pub(crate) access: Access,
    pub(crate) authenticator: Arc<Authenticator>,
    artifacts: Artifacts,
    pub(crate) test: TestDatabase,
}

/// A gateway that runs; it ends with this value.
pub(crate) struct Node {
    pub(crate) state: State,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// A deployer that runs; it ends with this value.
pub(crate) struct Deployer(
    #[expect(dead_code, reason = "held to be dropped")] tokio_util::sync::DropGuard,
);

impl World {
    pub(crate) async fn new() -> Self {
        let test = TestDatabase::fresh().await;
        let (database, folder) = (test.database().clone(), tempfile::tempdir().unwrap());
        let place = Location::Folder(folder.path().join("artifacts"));
        let artifacts = Artifacts::at(&place, &S3Settings::default(), database.clone()).unwrap();
        let access = Access::new(database.clone());
        let key = SecretKey::new(SecretKey::generate()).unwrap();
        let authenticator = Arc::new(Authenticator::new(key, database.clone()));
        let token = SecretString::from(TOKEN);
        authenticator.install_admin_token(&access, &token).await.unwrap();
        access.refresh().await.unwrap();
        Self { database, folder, access, authenticator, artifacts, test }
    }

    /// A gateway with a cache and a pool of its own, as on another machine.
    pub(crate) async fn node(&self, cache: &str) -> Node {
        self.node_with(cache, Settings::default(), self.test.url()).await
    }

    pub(crate) async fn node_with(&self, cache: &str, settings: Settings, url: &str) -> Node {
        self.node_watched(cache, settings, url, Arc::new(Nowhere)).await
    }

    /// A gateway that hands what is captured to that one.
    pub(crate) async fn node_watched(
        &self,
        cache: &str,
        settings: Settings,
        url: &str,
        capture: Arc<dyn Sink>,
    ) -> Node {
        let database = Database::connect(url, 4, Arc::new(SystemClock)).await.unwrap();
        let mut registry = Registry::default();
        let limiter = Arc::new(Limiter::new(database.clone(), Offline::default()));
        limiter.refresh().await.unwrap();
        let state = State::new(Resources {
            database,
            limiter,
            access: self.access.clone(),
            authenticator: Arc::clone(&self.authenticator),
            runtime: inference::Runtime::load(&library()).unwrap(),
            library: library(),
            journal: None,
            host: Host::new("/proc/self/exe".into()),
            environments: self.environments(),
            cache: self.cache(cache),
            remote: Arc::new(remote(self.database.clone())),
            settings,
            metrics: Metrics::register(&mut registry),
            capture,
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(gateway::run(state.clone(), stop.clone()));
        state.register(&mut registry);
        Node { state, registry, stop, running }
    }

    fn cache(&self, name: &str) -> Arc<ModelCache> {
        let folder = self.folder.path().join(name);
        Arc::new(ModelCache::new(folder, self.artifacts.clone(), CacheSettings::default()).unwrap())
    }

    /// Nothing builds environments here.
    fn environments(&self) -> Arc<Environments> {
        let settings =
            EnvironmentSettings { uv: Some("/none".into()), ..EnvironmentSettings::default() };
        let folder = self.folder.path().join("environments");
        Arc::new(Environments::new(folder, settings).unwrap())
    }

    /// A deployer that ends releases; versions are found good without a trial here.
    pub(crate) async fn deployer(&self) -> Deployer {
        let database = Database::connect(self.test.url(), 4, Arc::new(SystemClock)).await.unwrap();
        let trials = Trials {
            cache: self.cache("trials"),
            exe: PathBuf::new(),
            library: PathBuf::new(),
            limits: inference::trial::TrialLimits::default(),
            environments: self.environments(),
            host: Host::new(PathBuf::new()),
            at_once: 1,
            workers: Arc::new(Semaphore::new(1)),
            remote: Arc::new(remote(self.database.clone())),
            decode_example: |_, _| Err(Problem::internal()),
        };
        let state = deployer::State { database, access: self.access.clone(), trials };
        let stop = CancellationToken::new();
        tokio::spawn(deployer::run(state, stop.clone()));
        Deployer(stop.drop_guard())
    }

    /// Registers a version of the model `fraud` that was found good.
    pub(crate) async fn version(&self, file: &str) -> Version {
        self.version_with(file, None).await
    }

    pub(crate) async fn version_with(&self, file: &str, example: Option<Value>) -> Version {
        let (by, bytes) = (Actor::user("ana"), model(file));
        let mut scanner = Scanner::default();
        scanner.feed(&bytes).unwrap();
        let facts = scanner.finish().unwrap();
        let Interface::Signature(signature) = facts.interface.clone() else {
            unreachable!("{file} has tensors only")
        };
        let bytes = stream::iter([Ok::<_, Problem>(bytes.into())]);
        let stored = self.artifacts.upload(&by, None, bytes).await.unwrap();
        let entry = FileEntry { digest: stored.digest, size: stored.size };
        let new = NewVersion {
            manifest: Manifest::new([("model.onnx".parse().unwrap(), entry)]).unwrap(),
            runtime: Runtime::Onnx,
            model_file: Some("model.onnx".to_owned()),
            facts: Some(facts),
            signature: Some(signature),
            input_example: example,
            not_servable: None,
            description: String::new(),
            lineage: versions::Lineage::default(),
            origin: versions::Origin::default(),
            packaging: versions::Packaging::default(),
            tags: models::Tags::default(),
        };
        let name = "fraud".parse().unwrap();
        let mut change = Change::begin(&self.database).await.unwrap();
        let model = match models::lock(&mut change, &name).await.unwrap() {
            Some(model) => model,
            None => models::insert(&mut change, &name, "", (&by, None), &new.tags).await.unwrap(),
        };
        let version = versions::insert(&mut change, model.id, &new, &by).await.unwrap();
        let outcome = TrialOutcome::Ready { batchable: true };
        versions::finish_trial(&mut change, version.id, &outcome).await.unwrap();
        self.commit(change).await;
        version
    }

    /// Gives an endpoint a release of one version, making the endpoint if it is not there.
    pub(crate) async fn deploy(&self, endpoint: &str, version: &Version) {
        self.deploy_split(endpoint, &[(version, 100)]).await;
    }

    pub(crate) async fn deploy_split(&self, endpoint: &str, split: &[(&Version, i32)]) {
        self.deploy_with(endpoint, split, json!({})).await;
    }

    /// Gives an endpoint a release that serves so; all versions that it names are in the split.
    pub(crate) async fn deploy_with(
        &self,
        endpoint: &str,
        split: &[(&Version, i32)],
        serving: Value,
    ) {
        let by = Actor::user("ana");
        let endpoint: EndpointRef = endpoint.parse().unwrap();
        let (first, _) = split[0];
        let target = endpoints::Target::Pinned(first.model_id, first.id);
        let mut change = Change::begin(&self.database).await.unwrap();
        let endpoint = match endpoints::lock(&mut change, &endpoint).await.unwrap() {
            Some(endpoint) => endpoint,
            None => endpoints::insert(&mut change, &endpoint, &target, (&by, None)).await.unwrap(),
        };
        let shares: Vec<_> = split
            .iter()
            .map(|(version, weight)| WeightedVersion { version: version.id, weight: *weight })
            .collect();
        let request = RequestId::new();
        let new = releases::New {
            versions: &shares,
            serving: &serde_json::from_value(serving).unwrap(),
            reason: None,
            by: &by,
            request: &request,
        };
        releases::insert(&mut change, &endpoint, &new).await.unwrap();
        change.emit("release.created", "endpoint:x", &json!({})).await.unwrap();
        self.commit(change).await;
    }

    /// Points an alias of the model `fraud` to a version.
    pub(crate) async fn alias(&self, alias: &str, version: &Version) {
        let (by, request) = (Actor::user("ana"), RequestId::new());
        let (alias, to) = (alias.parse().unwrap(), Some((version.id, version.number)));
        let mut change = Change::begin(&self.database).await.unwrap();
        let model = version.model_id;
        aliases::set(&mut change, model, &alias, to, None, &by, &request).await.unwrap();
        change.emit("alias.moved", "model:fraud", &json!({})).await.unwrap();
        self.commit(change).await;
    }

    pub(crate) async fn delete(&self, endpoint: &str) {
        let id = self.endpoint(endpoint).await.id;
        let mut change = Change::begin(&self.database).await.unwrap();
        endpoints::delete(&mut change, id).await.unwrap();
        change.emit("endpoint.deleted", "endpoint:x", &json!({})).await.unwrap();
        self.commit(change).await;
    }

    pub(crate) async fn commit(&self, change: Change) {
        let permit = self.access.system::<verbs::Administer>("test", Resource::Platform);
        change.commit(&permit.event("test.prepared", json!({}))).await.unwrap();
    }

    pub(crate) async fn endpoint(&self, endpoint: &str) -> endpoints::Endpoint {
        let endpoint = endpoint.parse().unwrap();
        endpoints::get(&self.database, &endpoint).await.unwrap().unwrap()
    }

    pub(crate) async fn release(&self, endpoint: &str, number: i32) -> releases::Release {
        let id = self.endpoint(endpoint).await.id;
        releases::get(&self.database, id, number).await.unwrap().unwrap()
    }

    /// The versions that a node says it holds.
    pub(crate) async fn held(&self, node: &Node) -> Vec<VersionId> {
        let reported = nodes::reported(&self.database, node.state.node_id()).await.unwrap();
        reported.into_keys().collect()
    }

    /// Asks a node, and answers the number of the version that answered.
    pub(crate) async fn ask(&self, node: &Node, endpoint: &str) -> Result<i32, Problem> {
        let caller = Caller::system("test");
        let resource = Resource::Endpoint(endpoint.to_owned());
        let permit = self.access.authorize::<verbs::Invoke>(&caller, resource).await?;
        let decode = |signature: &_| {
            let body = protocol::v2::json::example(signature).to_string();
            protocol::v2::json::decode(body.as_bytes(), signature)
        };
        let headers = gateway::Headers::None;
        let asked = Asked {
            permit: &permit,
            version: gateway::predict::Version::Any,
            headers,
            bytes_in: 0,
            until: None,
            protocol: Protocol::V2,
            id: None,
            traced: None,
            priority: Foreseen::AtMost(Priority::default()),
        };
        predict(&node.state, &asked, decode, |answered| Ok((answered.served.number, 0))).await
    }
}

/// What asks servers, on this machine's loopback too, and opens what [`vault`] sealed.
pub(crate) fn remote(database: Database) -> Remote {
    drop(rustls::crypto::ring::default_provider().install_default());
    Remote::new(database, vault(), Networks::parse("remote_allow", "127.0.0.1").unwrap()).unwrap()
}

pub(crate) fn vault() -> Vault {
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    Vault::new(&key.into(), "credentials")
}

pub(crate) fn library() -> PathBuf {
    std::env::var_os("BOTTEGA_ONNXRUNTIME")
        .unwrap_or_else(|| unreachable!("BOTTEGA_ONNXRUNTIME is not set: run ./just test"))
        .into()
}

/// A file of the repository.
pub(crate) fn model(file: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/data");
    std::fs::read(models.join(file)).unwrap()
}

/// Waits until it holds, for a minute at most.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
