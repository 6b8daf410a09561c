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
    /// The nodes that are to hold it, where it is not all that are alive.
    pub placed: Option<Placed>,
}

/// The nodes of a release that is not on all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// How many it asks for.
    pub wanted: usize,
    /// Those that are to hold it by now.
    pub nodes: BTreeSet<NodeId>,
    /// Why they are fewer, as far as it is known.
    pub reason: Option<String>,
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
/// It completes when every live node (at least one), or as many as it asks for, is ready for every
/// version, and fails when a live node reports a failed replica or when the deadline passes.
#[must_use]
pub fn step(spec: &Spec, observed: &Observed, now: Timestamp) -> Decision {
    let its: BTreeSet<_> = match &spec.placed {
        None => observed.live_nodes.clone(),
        Some(placed) => placed.nodes.intersection(&observed.live_nodes).copied().collect(),
    };
    let wanted = spec.placed.as_ref().map_or(its.len(), |placed| placed.wanted);
    let missing = wanted.saturating_sub(its.len());
    let mut waiting = missing * spec.versions.len();
    for &node in &its {
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
    if waiting == 0 && !its.is_empty() {
        return Decision::Complete;
    }
    let deadline = spec.started_at + spec.progress_deadline;
    let reason = if observed.live_nodes.is_empty() {
        "no gateway is running".to_owned()
    } else {
        let all = wanted * spec.versions.len();
        let why = spec.placed.as_ref().and_then(|placed| placed.reason.as_deref());
        match why.filter(|_| missing > 0) {
            None => format!("{waiting} of {all} replicas are not ready"),
            Some(why) => format!("{waiting} of {all} replicas are not ready: {why}"),
        }
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
            placed: None,
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

    #[test]
    fn a_release_for_some_nodes_asks_those_alone() {
        let version = VersionId::new();
        let mut observed = seen(version, &[Some(ReplicaState::Ready), None]);
        let (ready, _) = observed.replicas.keys().next().copied().unwrap();
        let placed = |wanted, reason: Option<&str>| Spec {
            placed: Some(Placed {
                wanted,
                nodes: [ready].into(),
                reason: reason.map(ToOwned::to_owned),
            }),
            ..spec(version)
        };
        assert_eq!(step(&placed(1, None), &observed, now()), Decision::Complete);
        let Decision::Hold { reason, .. } = step(&placed(2, Some("no room")), &observed, now())
        else {
            panic!("it completed");
        };
        assert_eq!(reason, "1 of 2 replicas are not ready: no room");
        // It died before the next look at the placements.
        observed.live_nodes.remove(&ready);
        let held = step(&placed(1, None), &observed, now());
        assert!(matches!(held, Decision::Hold { .. }), "{held:?}");
    }
}
