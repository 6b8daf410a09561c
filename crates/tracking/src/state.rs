//! What use cases work with.

use artifacts::Artifacts;
use store::Database;

/// What all use cases of this crate work with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
}

impl State {
    /// Over the platform's database and bytes.
    #[must_use]
    pub const fn new(database: Database, artifacts: Artifacts) -> Self {
        Self { database, artifacts }
    }
}
