//! What the tables are told of this node.

use std::collections::HashSet;

use domain::{ReplicaState, VersionId};
use store::nodes::{self, Report};

use super::{Keeper, Slot, Trouble};
use crate::load::Failure;

impl Keeper {
    /// Tells the tables what differs from what they say of this node.
    pub(super) async fn report(&self) -> store::Result<()> {
        let (database, node) = (&self.state.given.database, self.state.id);
        let mut reported = nodes::reported(database, node).await?;
        let versions: HashSet<_> = self.slots.keys().chain(self.troubles.keys()).collect();
        for &version in versions {
            let is = self.replica(version);
            if reported.remove(&version).as_ref() != Some(&is) {
                nodes::report(database, node, version, &is).await?;
            }
        }
        for version in reported.into_keys() {
            let gone = Report::of(ReplicaState::Stopped, None);
            nodes::report(database, node, version, &gone).await?;
        }
        Ok(())
    }

    /// A version as others see it.
    fn replica(&self, version: VersionId) -> Report {
        let replica = |state| Report::of(state, None);
        match (self.slots.get(&version), self.troubles.get(&version)) {
            (Some(Slot::Ready(served)), _) => {
                let reason = served.suspicion.map(str::to_owned);
                let (bytes, isolation) = (served.bytes, served.runs());
                Report { state: ReplicaState::Ready, reason, bytes, isolation }
            }
            (Some(Slot::Draining), _) => replica(ReplicaState::Draining),
            // Also while it is tried again, so that a release does not wait for its deadline.
            (Some(Slot::Loading) | None, Some(Trouble { failure: Failure::Lasting(why), .. })) => {
                Report::of(ReplicaState::Failed, Some(why.clone()))
            }
            (Some(Slot::Loading) | None, _) => replica(ReplicaState::Starting),
        }
    }
}
