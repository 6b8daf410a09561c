//! The services' states over a platform, and their background work.

use std::{net::TcpListener, path::Path, sync::Arc, time::Duration};

use artifacts::Artifacts;
use auth::{
    Access, Authenticator, Limiter, Offline,
    audit::{Signer, Trail, keep_sealed},
    egress::Networks,
    jwt::Jwts,
    oidc::Oidc,
    secrets::{self, Secrets},
};
use chrono::TimeDelta;
use domain::{Problem, Signature, Tensor};
use inference::{CacheSettings, Environments, Journal, ModelCache, ReplicaOptions, Runtime};
use inference::{process::Host, trial::TrialLimits};
use prometheus_client::registry::Registry;
use remote::Remote;
use rest::metrics::HttpMetrics;
use serde_json::Value;
use store::{Database, audit::archives::Archivist, outbox::Listener, sealed::Kind};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Roles,
    banner::Addresses,
    node, onnxruntime,
    platform::{Platform, refused},
    python, traces,
};
use crate::{output::Failure, settings::Settings};

/// Trials under way: most of them wait for packages of Python, and one at a time runs a model.
const TRIALS_AT_ONCE: usize = 8;

/// How often is looked whether who may call has changed, should every notice be lost.
const REFRESH: Duration = Duration::from_millis(500);

/// How often is written down when tokens were used, and forgotten what is over.
const KEEP: Duration = Duration::from_secs(60);

/// How often signing keys are read again, and the next one is made in time.
const SIGNING_KEYS: Duration = Duration::from_secs(10);

/// How often is looked for what was deleted long ago, and for bytes that nothing names.
const COLLECT: Duration = Duration::from_secs(600);

/// What this process serves. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The one truth.
    pub database: Database,
    /// Bytes.
    pub artifacts: Artifacts,
    /// Who may.
    pub access: Access,
    /// Who calls.
    pub authenticator: Arc<Authenticator>,
    /// How much they may send.
    pub limiter: Arc<Limiter>,
    /// The way into the audit trail for what changes nothing.
    pub trail: Trail,
    /// Signs checkpoints of the audit trail.
    pub signer: Arc<Signer>,
    /// Deletes from the audit trail what was archived.
    pub archivist: Archivist,
    /// Secrets at rest.
    pub secrets: Secrets,
    /// Signs and checks short-lived tokens.
    pub jwts: Jwts,
    /// Logs people in by an identity provider, and takes tokens of CI jobs.
    pub oidc: Arc<Oidc>,
    /// All metrics of this process.
    pub metrics: Arc<Registry>,
    /// Those of HTTP.
    pub http_metrics: HttpMetrics,
    /// The registry role.
    pub registry: Option<Arc<registry::State>>,
    /// Tracking, of the registry role.
    pub tracking: Option<Arc<tracking::State>>,
    /// Webhooks, of the registry role.
    pub notify: Option<Arc<notify::State>>,
    /// What asks servers of others.
    pub remote: Arc<Remote>,
    /// What is captured, of the registry role.
    pub monitor: Option<Arc<monitor::State>>,
    /// The gateway role.
    pub gateway: Option<gateway::State>,
    watcher: Option<Arc<monitor::Watcher>>,
    deployer: Option<deployer::State>,
}

impl Services {
    /// Puts the roles together.
    pub fn of(
        platform: &Platform,
        settings: &Settings,
        roles: Roles,
        at: &Addresses,
    ) -> Result<Self, Failure> {
        let mut metrics = Registry::default();
        let http_metrics = HttpMetrics::register(&mut metrics);
        platform.trail.register(&mut metrics);
        let inference_metrics = gateway::Metrics::register(&mut metrics);
        let capture_metrics = monitor::Metrics::register(&mut metrics);
        let hashes = monitor::Hashes::new(platform.key.clone());
        let (database, artifacts) = (platform.database.clone(), platform.artifacts.clone());
        let offline =
            Offline { grace: settings.offline_grace, then: settings.quota_when_offline.into() };
        let limiter = Arc::new(Limiter::new(database.clone(), offline));
        let remote = Arc::new(remote(platform, settings)?);
        let registry = roles.registry.then(|| {
            let limits = registry::Limits {
                blob_bytes: settings.max_artifact_bytes,
                archive_bytes: settings.max_artifact_bytes,
                body_bytes: settings.max_body_bytes as u64,
            };
            let scratch = settings.data_dir.join("scratch");
            // What no calendar reaches is kept for good.
            let retention = TimeDelta::from_std(settings.retention).unwrap_or(TimeDelta::MAX);
            let state = registry::State::new(database.clone(), artifacts.clone(), scratch, limits);
            Arc::new(state.with_retention(retention).with_remote(Arc::clone(&remote)))
        });
        let tracking = roles
            .registry
            .then(|| tracking::State::new(database.clone(), artifacts.clone()))
            .map(|state| Arc::new(state.limited(Arc::clone(&limiter))));
        let notify =
            if roles.registry { Some(Arc::new(notify_state(platform, settings)?)) } else { None };
        let monitor = roles.registry.then(|| {
            let (hashes, trail) = (hashes.clone(), platform.trail.clone());
            Arc::new(monitor::State::new(database.clone(), artifacts.clone(), hashes, trail))
        });
        let watcher = roles.gateway.then(|| {
            Arc::new(monitor::Watcher::new(monitor::Given {
                database: database.clone(),
                artifacts: artifacts.clone(),
                limiter: Arc::clone(&limiter),
                hashes,
                metrics: capture_metrics,
                every: settings.capture_flush,
            }))
        });
        let limit = settings.model_cache_bytes;
        let cache_settings = CacheSettings { limit, ..CacheSettings::default() };
        let cache =
            ModelCache::new(settings.data_dir.join("cache"), artifacts.clone(), cache_settings)
                .map_err(|error| refused("data_dir", &error))?;
        let cache = Arc::new(cache);
        let environments = python::environments(settings)?;
        // This very program, even when another one lies at its path by now: an upgrade replaces the file
        // under running processes.
        let mut host = Host::new("/proc/self/exe".into());
        if roles.gateway || roles.deployer {
            // A registry alone starts no version's processes.
            host = host.in_groups();
        }
        let gateway = if let Some(watcher) = &watcher {
            let library = onnxruntime::find(settings)?;
            let runtime =
                Runtime::load(&library).map_err(|error| refused("onnxruntime", &error))?;
            Some(gateway::State::new(gateway::Resources {
                database: database.clone(),
                access: platform.access.clone(),
                authenticator: Arc::clone(&platform.authenticator),
                limiter: Arc::clone(&limiter),
                runtime,
                library,
                journal: journal(&settings.data_dir),
                host: host.clone(),
                environments: Arc::clone(&environments),
                cache: Arc::clone(&cache),
                remote: Arc::clone(&remote),
                settings: gateway::Settings {
                    node: node::about(settings, at)?,
                    body_limit: settings.max_body_bytes,
                    deadline: settings.request_timeout,
                    replica: ReplicaOptions {
                        queue_time: settings.queue_time,
                        ..ReplicaOptions::default()
                    },
                    limits: gateway::Limits {
                        grpc_workers: settings.grpc_workers,
                        connections: settings.max_connections,
                        streams: settings.max_streams,
                        patience: settings.client_timeout,
                        drain: settings.drain_timeout,
                    },
                    isolation: settings.isolation,
                    process_memory: settings.process_memory_bytes,
                    logging: gateway::Logging {
                        rate: settings.prediction_log_rate,
                        retention: settings.prediction_log_retention,
                    },
                    tracing: traces::of(settings)?,
                },
                metrics: inference_metrics,
                capture: Arc::<monitor::Watcher>::clone(watcher),
            }))
        } else {
            None
        };
        if let Some(gateway) = &gateway {
            gateway.register(&mut metrics);
        }
        let deployer = match roles.deployer {
            true => {
                let given = (environments, host, &remote);
                Some(deployer_state(platform, settings, &cache, given)?)
            }
            false => None,
        };
        Ok(Self {
            database,
            artifacts,
            access: platform.access.clone(),
            authenticator: Arc::clone(&platform.authenticator),
            limiter,
            trail: platform.trail.clone(),
            signer: Arc::new(Signer::new(&platform.key)),
            archivist: platform.archivist.clone(),
            secrets: Secrets::new(platform.database.clone(), platform.keys.clone()),
            jwts: platform.jwts.clone(),
            oidc: Arc::new(super::oidc::of(platform, settings)?),
            metrics: Arc::new(metrics),
            http_metrics,
            registry,
            tracking,
            notify,
            remote,
            monitor,
            gateway,
            watcher,
            deployer,
        })
    }

    /// Starts what runs beside requests. Each piece ends by itself after `stop`.
    pub fn start_work(&self, work: &TaskTracker, stop: &CancellationToken) {
        work.spawn(refresh_identities(self.clone(), stop.clone()));
        work.spawn(keep_identities(self.clone(), stop.clone()));
        work.spawn(keep_limits(Arc::clone(&self.limiter), self.database.clone(), stop.clone()));
        work.spawn(keep_signing_keys(self.clone(), stop.clone()));
        let (trail, database, stopped) = (self.trail.clone(), self.database.clone(), stop.clone());
        work.spawn(async move { trail.write(&database, &stopped).await });
        if let Some(registry) = self.registry.clone() {
            let (watched, watching) = (Arc::clone(&registry), stop.clone());
            work.spawn(async move { registry::watch(&watched, watching).await });
            let (signer, database) = (Arc::clone(&self.signer), self.database.clone());
            let sealing = stop.clone();
            work.spawn(async move { keep_sealed(&database, &signer, &sealing).await });
            let (sampled, stopped) = (self.database.clone(), stop.clone());
            work.spawn(async move { auth::usage::sample_forever(&sampled, stopped).await });
            let (access, stop) = (self.access.clone(), stop.clone());
            work.spawn(async move {
                registry::collections::collect_forever(&registry, &access, COLLECT, stop).await;
            });
        }
        if let Some(monitor) = self.monitor.clone() {
            let (access, stop) = (self.access.clone(), stop.clone());
            work.spawn(async move {
                monitor::expire_forever(&monitor, &access, COLLECT, stop).await;
            });
        }
        if let Some(notify) = self.notify.clone() {
            work.spawn(notify::run(notify, stop.clone()));
        }
        if let Some(gateway) = self.gateway.clone() {
            work.spawn(gateway::run(gateway, stop.clone()));
        }
        if let Some(watcher) = self.watcher.clone() {
            work.spawn(watcher.run(stop.clone()));
        }
        if let Some(deployer) = self.deployer.clone() {
            work.spawn(deployer::run(deployer, stop.clone()));
        }
    }

    /// Starts serving gRPC, if this is a gateway.
    pub fn start_grpc(
        &self,
        listener: TcpListener,
        work: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let Some(gateway) = self.gateway.clone() else { return Ok(()) };
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Failure::io)?;
        let stop = stop.clone();
        work.spawn(async move {
            if let Err(error) = gateway::grpc::serve(listener, gateway, stop).await {
                tracing::error!(%error, "gRPC ended");
            }
        });
        Ok(())
    }

    /// Waits until everything answers.
    pub async fn ready(&self) {
        while self.gateway.as_ref().is_some_and(|gateway| !gateway.is_ready()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn notify_state(platform: &Platform, settings: &Settings) -> Result<notify::State, Failure> {
    let allowed = settings.webhook_allow.as_deref().unwrap_or_default();
    let allowed = Networks::parse("webhook_allow", allowed)?;
    let vault = secrets::vault(&platform.keys, Kind::Webhook);
    notify::State::new(platform.database.clone(), vault, allowed)
        .map_err(|error| refused("webhooks", &error))
}

fn remote(platform: &Platform, settings: &Settings) -> Result<Remote, Failure> {
    let allowed = settings.remote_allow.as_deref().unwrap_or_default();
    let allowed = Networks::parse("remote_allow", allowed)?;
    let vault = secrets::vault(&platform.keys, Kind::Credential);
    Remote::new(platform.database.clone(), vault, allowed)
        .map_err(|error| refused("remote", &error))
}

/// Which models were running when this node died; not where that cannot be kept.
fn journal(data: &Path) -> Option<Arc<Journal>> {
    match Journal::open(data) {
        Ok(journal) => Some(Arc::new(journal)),
        Err(error) => {
            tracing::warn!(%error, "which models run is not kept: none is isolated by itself");
            None
        }
    }
}

fn deployer_state(
    platform: &Platform,
    settings: &Settings,
    cache: &Arc<ModelCache>,
    (environments, host, remote): (Arc<Environments>, Host, &Arc<Remote>),
) -> Result<deployer::State, Failure> {
    Ok(deployer::State {
        database: platform.database.clone(),
        access: platform.access.clone(),
        trials: deployer::Trials {
            cache: Arc::clone(cache),
            exe: host.exe().to_owned(),
            library: onnxruntime::find(settings)?,
            limits: TrialLimits {
                time: settings.trial_timeout,
                memory_bytes: settings.trial_memory_bytes,
                ..TrialLimits::default()
            },
            environments,
            host,
            at_once: TRIALS_AT_ONCE,
            workers: Arc::new(Semaphore::new(1)),
            remote: Arc::clone(remote),
            decode_example,
        },
    })
}

/// An input example, as whoever pushed it wrote it, as tensors.
fn decode_example(example: &Value, signature: &Signature) -> Result<Vec<Tensor>, Problem> {
    let body = serde_json::to_vec(example).map_err(|_| Problem::internal())?;
    protocol::v2::json::decode(&body, signature).map(|request| request.inputs)
}

/// Takes over within a moment who may call, and who may no more.
async fn refresh_identities(services: Services, stop: CancellationToken) {
    let mut listener = Listener::new(&services.database);
    let mut streak = domain::Streak::default();
    while !stop.is_cancelled() {
        tokio::select! {
            () = listener.changed(REFRESH) => {}
            () = stop.cancelled() => return,
        }
        match services.authenticator.refresh().await {
            Ok(()) => drop(streak.ended()),
            Err(error) => {
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "identities and grants cannot be read: those known before stay");
                }
            }
        }
    }
}

/// Writes down when tokens were used, also at the end, and forgets what is over.
async fn keep_identities(services: Services, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(KEEP) => {}
            () = stop.cancelled() => {}
        }
        if let Err(error) = services.authenticator.keep().await {
            tracing::debug!(%error, "when tokens were used cannot be written down yet");
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Takes over new limits within a moment, and at the end gives back what is left of leases.
async fn keep_limits(limiter: Arc<Limiter>, database: Database, stop: CancellationToken) {
    let mut listener = Listener::new(&database);
    let mut streak = domain::Streak::default();
    loop {
        match limiter.refresh().await {
            Ok(()) => drop(streak.ended()),
            Err(error) => {
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "quotas cannot be read: those known before stay");
                }
            }
        }
        tokio::select! {
            () = listener.changed(REFRESH) => {}
            () = stop.cancelled() => break,
        }
    }
    limiter.close().await;
}

/// Knows the keys of signed tokens, and makes the next one in time.
async fn keep_signing_keys(services: Services, stop: CancellationToken) {
    let mut streak = domain::Streak::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SIGNING_KEYS) => {}
            () = stop.cancelled() => return,
        }
        match services.jwts.maintain(&services.database, &services.access).await {
            Ok(()) => drop(streak.ended()),
            Err(error) => {
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "signing keys cannot be read: those known before stay");
                }
            }
        }
    }
}
