//! What is run in a process of its own, and what it may have.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What answers for a version in a process of its own. It finds the socket to the node as its standard
/// input, and speaks what `docs/decisions/0038-workers.md` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    /// What becomes of the confined process; an absolute path, which is readable.
    pub command: PathBuf,
    /// What it is told on its command line.
    pub arguments: Vec<String>,
    /// Its environment, besides `HOME`, `TMPDIR`, `BOTTEGA_MODEL` and [`SILENCE`](crate::SILENCE).
    pub environment: Vec<(String, String)>,
    /// What it may read besides the version's files: files and folders, which it finds at their own places.
    /// What is not there is left out.
    pub readable: Vec<PathBuf>,
    /// The version's folder, which it finds by `BOTTEGA_MODEL`.
    pub folder: PathBuf,
    /// What it is told first: the head of the frame `load`.
    pub load: Value,
    /// Whether its processes may talk to each other over the network that they have to themselves.
    pub talks: bool,
}

impl Program {
    /// What any program needs that was linked against the machine's libraries.
    #[must_use]
    pub fn machine() -> Vec<PathBuf> {
        [
            "/usr",
            "/lib",
            "/lib64",
            "/lib32",
            "/bin",
            "/etc/ld.so.cache",
            "/etc/localtime",
            "/dev/null",
            "/dev/random",
            "/dev/urandom",
            "/dev/zero",
        ]
        .map(PathBuf::from)
        .to_vec()
    }
}

/// What a program may have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bounds {
    /// Memory of all its processes together. A single one is refused more; where several are, they are
    /// ended.
    pub memory_bytes: u64,
    /// Threads and processes.
    pub processes: u64,
    /// How many processors' time all of them may take together, where the machine has control groups.
    pub processors: u32,
    /// Open files in each process.
    pub files: u64,
    /// What it may write, into a folder that ends with it.
    pub scratch_bytes: u64,
    /// The most bytes that one answer may have.
    pub output_bytes: usize,
    /// How long it may take until it can answer.
    pub loading: Duration,
}

impl Default for Bounds {
    /// 2 GiB, 64 threads on one processor, 256 files, 64 MiB to write, answers of 256 MiB, 60 s.
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            processes: 64,
            processors: 1,
            files: 256,
            scratch_bytes: 64 << 20,
            output_bytes: 256 << 20,
            loading: Duration::from_secs(60),
        }
    }
}

impl Bounds {
    /// As many processors as threads that compute.
    #[must_use]
    pub fn on_processors(self, threads: usize) -> Self {
        Self { processors: u32::try_from(threads.max(1)).unwrap_or(u32::MAX), ..self }
    }
}

/// What a worker is told before it becomes the program.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) program: Program,
    pub(crate) bounds: Bounds,
}
