//! Python versions: a process each, in the environment of the version's own packages.
//!
//! What the process does is in `python/worker.py`. Here is what starts it.

use std::{path::PathBuf, sync::Arc, time::Instant};

use domain::{
    Signature, Tensor,
    python::{Native, PythonModel},
};
use serde_json::json;

use crate::{
    Engine, Environment, ModelFolder, native,
    process::{Apart, Bounds, Program},
};

/// A process with NumPy takes about as much before it holds a model.
const LEAST: u64 = 128 << 20;
const WORKER: &str = include_str!("python/worker.py");

/// A Python version on this node, ready to be run.
#[derive(Debug, Clone)]
pub struct PythonProgram {
    model: PythonModel,
    signature: Signature,
    environment: Arc<Environment>,
    folder: PathBuf,
    /// Memory that one process takes, as far as the size of its files tells.
    bytes: u64,
}

impl PythonProgram {
    /// What runs these files in that environment.
    #[must_use]
    pub fn new(
        model: PythonModel,
        signature: Signature,
        environment: Environment,
        folder: &ModelFolder,
    ) -> Self {
        let (environment, bytes) = (Arc::new(environment), folder.bytes.max(LEAST));
        Self { model, signature, environment, folder: folder.path.clone(), bytes }
    }
}

impl Apart for PythonProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn environment(&self) -> Option<Arc<Environment>> {
        Some(Arc::clone(&self.environment))
    }

    fn native(
        &self,
        process: &mut dyn Engine,
        example: Option<&[Tensor]>,
        deadline: Instant,
    ) -> Option<Native> {
        native::compare(process, (&self.model, &self.signature, &self.folder), example, deadline)
    }

    fn program(&self, threads: usize, bounds: &Bounds) -> Program {
        let Environment { folder, python, base, .. } = &*self.environment;
        let mut readable = Program::machine();
        readable.extend([folder.clone(), base.clone()]);
        let threads = threads.max(1).to_string();
        let environment = [
            ("LC_ALL", "C.UTF-8"),
            ("OMP_NUM_THREADS", &threads),
            ("OPENBLAS_NUM_THREADS", &threads),
            ("MKL_NUM_THREADS", &threads),
            // MLflow, where it loads the model: it may, and it is not to call home.
            ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true"),
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ];
        Program {
            command: python.clone(),
            // Nothing of the machine's own packages, and nothing is written beside modules.
            arguments: ["-I", "-B", "-c", WORKER].map(str::to_owned).to_vec(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            readable,
            folder: self.folder.clone(),
            talks: false,
            load: json!({
                "model": self.model, "signature": self.signature, "output_bytes": bounds.output_bytes,
            }),
        }
    }
}
