//! What a gateway works with.

use std::{
    num::NonZero,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use auth::{Access, Authenticator, Limiter};
use domain::{NodeId, capture::Sink, serving::Isolation};
use inference::{
    Environments, Journal, ModelCache, ReplicaOptions, Runtime,
    process::{Bounds, Host},
};
use remote::Remote;
use store::{Database, nodes::About};
use tokio::sync::watch;

use crate::{
    Headers, Logging, Metrics, Tracing,
    demand::Asked,
    live::Routes,
    log::Log,
    printed::Printed,
    routing::Shadows,
    spans::{Spans, Traced},
    usage::Usage,
};

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What others are told of this node: how it is called, where it is reached, what it has.
    pub node: About,
    /// The longest request body in bytes.
    pub body_limit: usize,
    /// How long a prediction may take.
    pub deadline: Duration,
    /// How versions are run.
    pub replica: ReplicaOptions,
    /// Where ONNX versions run of which nobody says it.
    pub isolation: Isolation,
    /// How much memory a version may take that runs in a process of its own, each of its processes.
    pub process_memory: u64,
    /// What clients may take of us besides.
    pub limits: Limits,
    /// What is written down of predictions.
    pub logging: Logging,
    /// Where traces go, if anywhere.
    pub tracing: Option<Tracing>,
}

/// What clients may take of us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads that serve gRPC.
    pub grpc_workers: usize,
    /// Connections to gRPC at a time.
    pub connections: usize,
    /// Calls at a time in one of them.
    pub streams: u32,
    /// How long a client may be silent that has something to send.
    pub patience: Duration,
    /// How long calls under way may take once we were told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grpc_workers: thread::available_parallelism().map_or(2, NonZero::get),
            connections: 10_000,
            streams: 256,
            patience: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: About::host("localhost"),
            body_limit: 16 << 20,
            deadline: Duration::from_secs(30),
            replica: ReplicaOptions::default(),
            isolation: Isolation::InProcess,
            process_memory: Bounds::default().memory_bytes,
            limits: Limits::default(),
            logging: Logging::default(),
            tracing: None,
        }
    }
}

/// What a gateway is given by whoever runs it.
pub struct Resources {
    /// Where it reads what to serve and reports what it does.
    pub database: Database,
    /// Who may.
    pub access: Access,
    /// Who calls, for gRPC; HTTP has a guard before it.
    pub authenticator: Arc<Authenticator>,
    /// How much they may send.
    pub limiter: Arc<Limiter>,
    /// What runs the models.
    pub runtime: Runtime,
    /// ONNX Runtime's library, for models in processes of their own.
    pub library: PathBuf,
    /// What is known of models that were running when this node died.
    pub journal: Option<Arc<Journal>>,
    /// How processes of versions are started.
    pub host: Host,
    /// Environments of Python packages on this machine.
    pub environments: Arc<Environments>,
    /// The models' files on this machine.
    pub cache: Arc<ModelCache>,
    /// What asks servers of others.
    pub remote: Arc<Remote>,
    /// What may be set.
    pub settings: Settings,
    /// Where predictions are counted.
    pub metrics: Metrics,
    /// Who is handed what is captured of them.
    pub capture: Arc<dyn Sink>,
}

/// One gateway. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Node>);

/// What the clones of a [`State`] share.
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) given: Resources,
    /// What is answered with, swapped whole.
    pub(crate) live: ArcSwap<Routes>,
    /// Whether other nodes answer for any of it.
    pub(crate) any_elsewhere: AtomicBool,
    /// Told of each swap.
    pub(crate) swapped: watch::Sender<()>,
    /// What was used.
    pub(crate) usage: Usage,
    /// What was answered.
    pub(crate) log: Log,
    /// What versions printed. By itself, as what they print to outlives them by a moment.
    pub(crate) printed: Arc<Printed>,
    /// What is traced, if anything is.
    pub(crate) spans: Option<Spans>,
    /// Copies of requests that wait for a version whose answers nobody gets.
    pub(crate) shadows: Shadows,
    /// What requests ask of whoever loads.
    pub(crate) asked: Asked,
    ready: watch::Sender<bool>,
}

impl State {
    /// A node that is new to all others and serves nothing yet.
    #[must_use]
    pub fn new(given: Resources) -> Self {
        let (live, swapped) = (ArcSwap::default(), watch::Sender::default());
        let ready = watch::Sender::new(false);
        let (usage, shadows, asked) = (Usage::default(), Shadows::default(), Asked::default());
        let log = Log::new(given.settings.logging.rate);
        let spans = given.settings.tracing.as_ref().map(Spans::new);
        let id = NodeId::new();
        let printed = Arc::default();
        Self(Arc::new(Node {
            id,
            given,
            live,
            swapped,
            usage,
            log,
            printed,
            any_elsewhere: AtomicBool::default(),
            spans,
            shadows,
            asked,
            ready,
        }))
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.id
    }

    /// Whether this node may be sent traffic: it has loaded what was live when it started, and has
    /// not been told to stop.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// A prediction's place in a trace, if one is recorded of it.
    pub(crate) fn trace(&self, headers: Headers<'_>) -> Option<Traced> {
        self.spans.as_ref()?.begin(headers.trace())
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Tells each change of that.
    pub(crate) fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }
}

impl Deref for State {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}
