//! What use cases work with.

use std::sync::Arc;

use artifacts::Artifacts;
use auth::{Limiter, Permit, Verb};
use domain::{
    Problem,
    quota::Key,
    tracking::{ExperimentId, RunId},
};
use quick_cache::sync::Cache;
use store::{Database, tracking::experiments};

/// Of how many runs is remembered where they belong.
const HOMES: usize = 100_000;

/// What all use cases of this crate work with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
    /// A run never moves.
    pub(crate) homes: Cache<RunId, ExperimentId>,
    limiter: Option<Arc<Limiter>>,
}

impl State {
    /// Over the platform's database and bytes.
    #[must_use]
    pub fn new(database: Database, artifacts: Artifacts) -> Self {
        Self { database, artifacts, homes: Cache::new(HOMES), limiter: None }
    }

    /// The same, where callers may log no more than the limiter lets through.
    #[must_use]
    pub fn limited(self, limiter: Arc<Limiter>) -> Self {
        Self { limiter: Some(limiter), ..self }
    }

    /// Counts points of metrics that are about to be logged.
    ///
    /// # Errors
    /// The quota of who logs them, or of the team that owns the experiment, is spent.
    pub(crate) async fn count_points<V: Verb>(
        &self,
        permit: &Permit<V>,
        experiment: ExperimentId,
        points: usize,
    ) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let key = Key::TrackingPointsPerDay;
        let team = match limiter.limits_teams(key) {
            true => experiments::team(&self.database, experiment).await?,
            false => None,
        };
        limiter.count(key, permit.actor(), team, points as u64).await
    }
}
