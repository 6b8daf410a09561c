//! What use cases work with.

use artifacts::Artifacts;
use domain::tracking::{ExperimentId, RunId};
use quick_cache::sync::Cache;
use store::Database;

/// Of how many runs is remembered where they belong.
const HOMES: usize = 100_000;

/// What all use cases of this crate work with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
    /// A run never moves.
    pub(crate) homes: Cache<RunId, ExperimentId>,
}

impl State {
    /// Over the platform's database and bytes.
    #[must_use]
    pub fn new(database: Database, artifacts: Artifacts) -> Self {
        Self { database, artifacts, homes: Cache::new(HOMES) }
    }
}
