//! The way from one release to the next, as a pure function of what is seen.
//!
//! [`step`] knows no clock and does no I/O: the deployer reads [`Observed`] in one transaction,
//! asks `step`, and writes the [`Decision`] in one transaction. Missing data is neither success
//! nor failure: the rollout holds, and fails only at its deadline.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::{NodeId, ReplicaState, Timestamp, VersionId};

/// What a release asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The versions that must be ready before traffic moves.
    pub versions: BTreeSet<VersionId>,
    /// When the release was made.
    pub started_at: Timestamp,
    /// How long it may take to become ready.
    pub progress_deadline: TimeDelta,
}

/// A replica as its node reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// How far it has come.
    pub state: ReplicaState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What is seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Nodes with a live lease; only they count.
    pub live_nodes: BTreeSet<NodeId>,
    /// Replicas, by node and version.
    pub replicas: BTreeMap<(NodeId, VersionId), Replica>,
}

/// What to do with a release that is progressing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Move all traffic to it now.
    Complete,
    /// Leave traffic where it is and give up.
    Fail {
        /// In words.
        reason: String,
    },
    /// Nothing to do yet.
    Hold {
        /// What is waited for, in words.
        reason: String,
        /// When to look again even if no event comes.
        wake_at: Timestamp,
    },
}

/// Decides the next step of an all-at-once rollout.
///
/// It completes when every live node (at least one) is ready for every version, and fails when a
/// live node reports a failed replica or when the deadline passes.
#[must_use]
pub fn step(spec: &Spec, observed: &Observed, now: Timestamp) -> Decision {
    let mut waiting = 0_usize;
    for &node in &observed.live_nodes {
        for &version in &spec.versions {
            match observed.replicas.get(&(node, version)) {
                Some(Replica { state: ReplicaState::Failed, reason }) => {
                    let reason = reason
                        .clone()
                        .unwrap_or_else(|| "the version could not be loaded".to_owned());
                    return Decision::Fail { reason };
                }
                Some(Replica { state: ReplicaState::Ready, .. }) => {}
                _ => waiting += 1,
            }
        }
    }
    if waiting == 0 && !observed.live_nodes.is_empty() {
        return Decision::Complete;
    }
    let deadline = spec.started_at + spec.progress_deadline;
    let reason = if observed.live_nodes.is_empty() {
        "no gateway is running".to_owned()
    } else {
        format!(
            "{waiting} of {} replicas are not ready",
            observed.live_nodes.len() * spec.versions.len()
        )
    };
    if now >= deadline {
        let seconds = spec.progress_deadline.num_seconds();
        return Decision::Fail { reason: format!("not ready after {seconds} s: {reason}") };
    }
    Decision::Hold { reason, wake_at: deadline }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn spec(version: VersionId) -> Spec {
        Spec {
            versions: [version].into(),
            started_at: now(),
            progress_deadline: TimeDelta::seconds(60),
        }
    }

    fn seen(version: VersionId, states: &[Option<ReplicaState>]) -> Observed {
        let mut observed = Observed::default();
        for state in states {
            let node = NodeId::new();
            observed.live_nodes.insert(node);
            if let Some(state) = *state {
                observed.replicas.insert(
                    (node, version),
                    Replica { state, reason: Some("bad file".to_owned()) },
                );
            }
        }
        observed
    }

    #[test]
    fn traffic_moves_when_every_live_node_is_ready() {
        let version = VersionId::new();
        let observed = seen(version, &[Some(ReplicaState::Ready), Some(ReplicaState::Ready)]);
        assert_eq!(step(&spec(version), &observed, now()), Decision::Complete);
    }

    #[test]
    fn one_node_that_is_not_ready_holds_the_traffic() {
        let version = VersionId::new();
        for state in [
            None,
            Some(ReplicaState::Starting),
            Some(ReplicaState::Draining),
            Some(ReplicaState::Stopped),
        ] {
            let observed = seen(version, &[Some(ReplicaState::Ready), state]);
            assert!(
                matches!(step(&spec(version), &observed, now()), Decision::Hold { .. }),
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_dead_nodes_replica_does_not_count() {
        let version = VersionId::new();
        let mut observed = seen(version, &[Some(ReplicaState::Ready)]);
        let dead = Replica { state: ReplicaState::Failed, reason: None };
        observed.replicas.insert((NodeId::new(), version), dead);
        assert_eq!(step(&spec(version), &observed, now()), Decision::Complete);
    }

    #[test]
    fn a_failed_replica_fails_the_release_with_its_reason() {
        let version = VersionId::new();
        let observed = seen(version, &[Some(ReplicaState::Ready), Some(ReplicaState::Failed)]);
        assert_eq!(
            step(&spec(version), &observed, now()),
            Decision::Fail { reason: "bad file".to_owned() }
        );
    }

    #[test]
    fn no_node_at_all_holds_until_the_deadline_then_fails() {
        let version = VersionId::new();
        let nothing = Observed::default();
        assert!(matches!(step(&spec(version), &nothing, now()), Decision::Hold { .. }));
        let late = now() + TimeDelta::seconds(60);
        assert!(matches!(step(&spec(version), &nothing, late), Decision::Fail { .. }));
    }
}
