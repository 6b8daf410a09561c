//! What decisions look at of things: out of memory where what was read last still holds.

use std::sync::Arc;

use domain::{Problem, Resource, access::Target};
use quick_cache::sync::Cache;
use store::{Database, freshness::Mark};

/// How many things are remembered.
const THINGS: usize = 50_000;

pub(super) struct Facts(Cache<Resource, Known>);

#[derive(Clone)]
struct Known {
    found: Option<Arc<Target>>,
    /// Taken before the look.
    mark: Mark,
}

impl Default for Facts {
    fn default() -> Self {
        Self(Cache::new(THINGS))
    }
}

impl Facts {
    /// What is known of the resource; absent where there is none of that name.
    pub async fn of(
        &self,
        database: &Database,
        resource: &Resource,
    ) -> Result<Option<Arc<Target>>, Problem> {
        let freshness = database.freshness();
        if let Some(known) = self.0.get(resource).filter(|known| freshness.holds(known.mark)) {
            return Ok(known.found);
        }
        let mark = freshness.mark(resource);
        let found = store::access::target(database, resource).await.map_err(Problem::from)?;
        let found = found.map(Arc::new);
        if freshness.is_hearing() {
            self.0.insert(resource.clone(), Known { found: found.clone(), mark });
        }
        Ok(found)
    }
}
