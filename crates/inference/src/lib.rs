//! Runs models: engines, batching without waiting, trials in a throw-away process, and the
//! node's copies of models' files.
//!
//! A request meets [`Replica`], which is one loaded version: it runs the request at once where it
//! stands if nothing else runs, else queues it, and an inference thread takes what is queued as
//! one batch ([`Replica`] says when). The replica computes by [`Engine`]: [`onnx::OnnxEngine`],
//! [`NativeTrees`], or a process ([`process::ProcessEngine`]). Before a version serves, [`trial::run`] has
//! loaded and tried it in a process of its own, which is [`worker::main`] behind `bottega worker --trial`.
//! [`ModelCache`] puts a version's files on the node's disk.
//!
//! Invariants: an answer belongs to the request that it is given to, whatever was batched with it;
//! one bad row never fails its neighbours; a run ends at its deadline; a queue is bounded, full
//! means refused at once, and so does a queue that grows faster than it is served; a model that
//! crashes, hangs or eats memory does it in its trial.
//!
//! Not here: which versions a node serves, routes and weights (`gateway`), and what happens after
//! a trial (`deployer`).

mod ask;
mod batch;
mod cache;
mod direct;
mod engine;
mod environment;
mod error;
mod gauge;
mod journal;
mod lanes;
mod native;
pub mod onnx;
mod own;
mod pace;
mod padded;
mod plan;
mod probe;
pub mod process;
mod python;
mod queue;
mod replica;
mod runtime;
pub mod scan;
mod sharded;
mod sync;
pub mod trial;
mod watchdog;
mod wire;
pub mod worker;

pub use ask::{Ask, Priority};
pub use cache::{CacheSettings, CachedFolder, ModelCache};
pub use engine::{Engine, ModelFolder, arrange};
pub use environment::{Environment, EnvironmentSettings, Environments, Unbuilt};
pub use error::Error;
pub use journal::{Journal, Watched};
pub use native::NativeTrees;
pub use own::{OwnOrder, OwnProgram};
pub use probe::{Profile, probe};
pub use python::PythonProgram;
pub use replica::{Answer, Replica, ReplicaOptions, Run, Shed};
pub use runtime::{Runtime, SILENCE};
pub use sharded::Sharded;
