//! How requests for each version share runs: as was last set for it, also while it serves.

use std::{collections::HashMap, sync::Arc};

use domain::{Batching, VersionId};
use store::serving;

use crate::{State, live::Served};

/// What was set, by version; those that are not in it batch as pays.
#[derive(Debug, Default)]
pub(crate) struct Settings(HashMap<VersionId, Batching>);

impl Settings {
    /// Reads what was set for these versions.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn read(state: &State, versions: &[VersionId]) -> store::Result<Self> {
        let set = serving::batching(&state.given.database, versions).await?;
        Ok(Self(set.into_iter().collect()))
    }

    /// Makes a version that is loaded keep to it.
    pub(crate) fn apply(&self, served: &Arc<Served>) {
        let batching = self.0.get(&served.version).copied().unwrap_or_default();
        served.replica.set_batching(&batching);
    }
}
