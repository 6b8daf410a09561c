//! Which nodes hold which release, as a pure function of what is seen.
//!
//! The unit is a release and not a version: a node answers for an endpoint with all versions of its
//! release or not at all, so that splits, shadows and fallbacks stay within one node. [`place`] keeps what
//! lies well, gives what lay on a node that is gone to others, and tells why something waits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::{EndpointId, NodeId, VersionId, bytes::about};

#[cfg(test)]
mod tests;

/// A release, by its endpoint and its number.
pub type Key = (EndpointId, i32);

/// A node that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its id.
    pub id: NodeId,
    /// What it is called, for people.
    pub host: String,
    /// How many bytes models may take.
    pub memory: u64,
    /// How many cores it has.
    pub cores: u32,
}

/// A release that is live or on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which one.
    pub release: Key,
    /// How many nodes are to hold it; absent: all of them.
    pub nodes: Option<usize>,
    /// What it serves.
    pub versions: BTreeSet<VersionId>,
    /// Whether it is loaded when it is asked for alone: then it must fit by itself, and takes nothing from
    /// others, since its node unloads it for them.
    pub on_demand: bool,
}

/// What is seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The nodes that are alive.
    pub nodes: Vec<Machine>,
    /// The releases, the most urgent first.
    pub asked: Vec<Asked>,
    /// Who is to hold them by now, also nodes that are gone.
    pub placed: BTreeMap<Key, BTreeSet<NodeId>>,
    /// How many bytes versions take.
    pub sizes: BTreeMap<VersionId, u64>,
}

/// Who is to hold what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The nodes of each release that is not on all of them.
    pub placed: BTreeMap<Key, BTreeSet<NodeId>>,
    /// The releases that fewer nodes hold than they ask for.
    pub waits: BTreeMap<Key, Wait>,
}

/// Why a release waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// How many nodes it lacks.
    pub missing: usize,
    /// Why, in words.
    pub reason: String,
}

/// Decides who is to hold what.
///
/// A release stays on its nodes that are alive. What it lacks goes to the node that holds its endpoint's
/// other release, else to the one with the most free memory, then the most cores; never where it does not
/// fit. What fits nowhere waits, and keeps its place on a node that is gone: should that come back first,
/// it holds what it held.
#[must_use]
pub fn place(seen: &Seen) -> Plan {
    let mut ground = Ground::new(seen);
    let mut plan = Plan::default();
    let nothing = BTreeSet::new();
    for asked in &seen.asked {
        let Some(count) = asked.nodes else {
            seen.nodes.iter().for_each(|node| ground.take(node.id, asked));
            continue;
        };
        let before = seen.placed.get(&asked.release).unwrap_or(&nothing);
        let alive = before.iter().copied().filter(|id| ground.taken.contains_key(id));
        let stays: BTreeSet<_> = alive.take(count).collect();
        stays.iter().for_each(|id| ground.take(*id, asked));
        plan.placed.insert(asked.release, stays);
    }
    for asked in &seen.asked {
        let Some(count) = asked.nodes else { continue };
        let mut holds = plan.placed.get(&asked.release).cloned().unwrap_or_default();
        let others = plan.neighbours(asked.release);
        while holds.len() < count
            && let Some(node) = ground.best(asked, &holds, &others)
        {
            ground.take(node, asked);
            holds.insert(node);
        }
        let missing = count - holds.len();
        if missing > 0 {
            let reason = ground.why(asked, &holds);
            plan.waits.insert(asked.release, Wait { missing, reason });
            let before = seen.placed.get(&asked.release).unwrap_or(&nothing);
            let gone = before.iter().filter(|id| !ground.taken.contains_key(id));
            holds.extend(gone.take(missing));
        }
        plan.placed.insert(asked.release, holds);
    }
    plan
}

impl Plan {
    /// The nodes that hold other releases of the same endpoint.
    fn neighbours(&self, (endpoint, _): Key) -> BTreeSet<NodeId> {
        let all = self.placed.range((endpoint, i32::MIN)..=(endpoint, i32::MAX));
        all.flat_map(|(_, nodes)| nodes).copied().collect()
    }
}

/// What is taken of each node.
struct Ground<'s> {
    seen: &'s Seen,
    taken: BTreeMap<NodeId, BTreeSet<VersionId>>,
}

impl<'s> Ground<'s> {
    fn new(seen: &'s Seen) -> Self {
        let taken = seen.nodes.iter().map(|node| (node.id, BTreeSet::new())).collect();
        Self { seen, taken }
    }

    fn take(&mut self, node: NodeId, asked: &Asked) {
        if let Some(taken) = self.taken.get_mut(&node).filter(|_| !asked.on_demand) {
            taken.extend(&asked.versions);
        }
    }

    fn bytes<'v>(&self, versions: impl Iterator<Item = &'v VersionId>) -> u64 {
        let bytes = versions.map(|version| self.seen.sizes.get(version).copied().unwrap_or(0));
        bytes.fold(0, u64::saturating_add)
    }

    fn free(&self, node: &Machine) -> u64 {
        node.memory.saturating_sub(self.bytes(self.taken.get(&node.id).into_iter().flatten()))
    }

    /// What it would take there beside what is there.
    fn need(&self, node: &Machine, asked: &Asked) -> u64 {
        let taken = self.taken.get(&node.id);
        let is_new = |version: &&VersionId| !taken.is_some_and(|taken| taken.contains(version));
        self.bytes(asked.versions.iter().filter(is_new))
    }

    fn candidates<'a>(
        &'a self,
        holds: &'a BTreeSet<NodeId>,
    ) -> impl Iterator<Item = &'s Machine> + 'a {
        self.seen.nodes.iter().filter(|node| !holds.contains(&node.id))
    }

    fn best(
        &self,
        asked: &Asked,
        holds: &BTreeSet<NodeId>,
        others: &BTreeSet<NodeId>,
    ) -> Option<NodeId> {
        let fits = |node: &&Machine| self.need(node, asked) <= self.free(node);
        let rank = |node: &&Machine| {
            (others.contains(&node.id), self.free(node), node.cores, Reverse(node.id))
        };
        self.candidates(holds).filter(fits).max_by_key(rank).map(|node| node.id)
    }

    /// Why no node is left for it.
    fn why(&self, asked: &Asked, holds: &BTreeSet<NodeId>) -> String {
        let room = |node: &&Machine| self.free(node);
        let Some(node) = self.candidates(holds).max_by_key(room) else {
            let (count, wanted) = (self.seen.nodes.len(), asked.nodes.unwrap_or_default());
            return match count {
                0 => "no node is alive".to_owned(),
                1 => format!("1 node is alive, and it asks for {wanted}"),
                _ => format!("{count} nodes are alive, and it asks for {wanted}"),
            };
        };
        let (need, free) = (about(self.need(node, asked)), about(self.free(node)));
        let (host, memory) = (&node.host, about(node.memory));
        format!("it takes {need}, and the most that is free is {free} of {memory}, on `{host}`")
    }
}
