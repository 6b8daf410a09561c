//! What use cases work with.

use artifacts::Artifacts;
use auth::audit::Trail;
use store::Database;

use crate::Hashes;

/// What all of this crate's use cases work with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
    pub(crate) hashes: Hashes,
    pub(crate) trail: Trail,
}

impl State {
    /// Reads of captured rows are told to the trail.
    #[must_use]
    pub const fn new(
        database: Database,
        artifacts: Artifacts,
        hashes: Hashes,
        trail: Trail,
    ) -> Self {
        Self { database, artifacts, hashes, trail }
    }
}
