use proptest::{collection::vec, prelude::*};

use super::*;

fn node(memory: u64, cores: u32) -> Machine {
    let id = NodeId::new();
    Machine { id, host: format!("serving-{memory}"), memory, cores }
}

/// A release of one new version of so many bytes.
fn asked(seen: &mut Seen, nodes: Option<usize>, bytes: u64) -> Key {
    let (release, version) = ((EndpointId::new(), 1), VersionId::new());
    seen.sizes.insert(version, bytes);
    seen.asked.push(Asked { release, nodes, versions: [version].into(), on_demand: false });
    release
}

fn with(nodes: &[Machine]) -> Seen {
    Seen { nodes: nodes.to_vec(), ..Seen::default() }
}

/// What is placed by now.
fn settle(seen: &mut Seen) -> Plan {
    let plan = place(seen);
    seen.placed = plan.placed.clone();
    plan
}

#[test]
fn the_node_with_the_most_free_memory_takes_a_release_and_cores_decide_between_equals() {
    let nodes = [node(1000, 8), node(3000, 1), node(3000, 2)];
    let mut seen = with(&nodes);
    let keys = [2000, 1500, 900].map(|bytes| asked(&mut seen, Some(1), bytes));
    let plan = place(&seen);
    assert_eq!(plan.placed[&keys[0]], BTreeSet::from([nodes[2].id]));
    assert_eq!(plan.placed[&keys[1]], BTreeSet::from([nodes[1].id]));
    // 1500 are free on the second, 1000 on the others.
    assert_eq!(plan.placed[&keys[2]], BTreeSet::from([nodes[1].id]));
    assert!(plan.waits.is_empty());
}

#[test]
fn what_is_on_all_nodes_counts_before_what_is_placed() {
    let nodes = [node(1000, 1), node(1200, 1)];
    let mut seen = with(&nodes);
    let release = asked(&mut seen, Some(2), 300);
    asked(&mut seen, None, 800);
    let plan = place(&seen);
    assert_eq!(plan.placed[&release], BTreeSet::from([nodes[1].id]));
    let wait = &plan.waits[&release];
    assert_eq!(wait.missing, 1);
    let words = "it takes 300 B, and the most that is free is 200 B of 1000 B, on `serving-1000`";
    assert_eq!(wait.reason, words);
}

#[test]
fn what_a_dead_node_held_moves_and_does_not_come_back() {
    let nodes = [node(1000, 1), node(900, 1)];
    let mut seen = with(&nodes);
    let release = asked(&mut seen, Some(1), 100);
    assert_eq!(settle(&mut seen).placed[&release], BTreeSet::from([nodes[0].id]));
    seen.nodes = vec![nodes[1].clone()];
    assert_eq!(settle(&mut seen).placed[&release], BTreeSet::from([nodes[1].id]));
    seen.nodes = nodes.to_vec();
    assert_eq!(settle(&mut seen).placed[&release], BTreeSet::from([nodes[1].id]));
}

#[test]
fn what_has_no_room_elsewhere_waits_for_room_or_its_node() {
    let nodes = [node(1000, 1), node(50, 1)];
    let mut seen = with(&nodes);
    let release = asked(&mut seen, Some(1), 100);
    settle(&mut seen);
    seen.nodes = vec![nodes[1].clone()];
    let plan = settle(&mut seen);
    assert_eq!(plan.waits[&release].missing, 1);
    // All seem gone after the database was away: nothing moves for that.
    seen.nodes.clear();
    assert_eq!(settle(&mut seen).waits[&release].reason, "no node is alive");
    seen.nodes = nodes.to_vec();
    let plan = settle(&mut seen);
    assert_eq!(plan.placed[&release], BTreeSet::from([nodes[0].id]));
    assert!(plan.waits.is_empty());
}

#[test]
fn more_nodes_than_there_are_wait_for_one() {
    let nodes = [node(1000, 1), node(1000, 1)];
    let mut seen = with(&nodes);
    let release = asked(&mut seen, Some(3), 100);
    let plan = settle(&mut seen);
    assert_eq!(plan.placed[&release].len(), 2);
    assert_eq!(plan.waits[&release].reason, "2 nodes are alive, and it asks for 3");
}

#[test]
fn the_next_release_goes_where_the_present_one_is_if_it_fits() {
    let nodes = [node(1000, 1), node(900, 1)];
    let mut seen = with(&nodes);
    let (endpoint, _) = asked(&mut seen, Some(1), 500);
    settle(&mut seen);
    let version = VersionId::new();
    seen.sizes.insert(version, 200);
    let mut next = seen.asked[0].clone();
    (next.release, next.versions) = ((endpoint, 2), [version].into());
    seen.asked.push(next);
    // More would be free on the other one.
    assert_eq!(place(&seen).placed[&(endpoint, 2)], BTreeSet::from([nodes[0].id]));
    seen.sizes.insert(version, 600);
    assert_eq!(place(&seen).placed[&(endpoint, 2)], BTreeSet::from([nodes[1].id]));
}

#[test]
fn a_version_is_held_once_for_all_its_endpoints() {
    let mut seen = with(&[node(1000, 1)]);
    asked(&mut seen, Some(1), 900);
    let mut second = seen.asked[0].clone();
    second.release = (EndpointId::new(), 1);
    seen.asked.push(second);
    assert!(place(&seen).waits.is_empty());
}

#[test]
fn what_is_on_demand_takes_nothing_but_must_fit() {
    let mut seen = with(&[node(1000, 1)]);
    for _ in 0..3 {
        asked(&mut seen, Some(1), 900);
    }
    seen.asked.iter_mut().for_each(|asked| asked.on_demand = true);
    assert!(place(&seen).waits.is_empty());
    asked(&mut seen, None, 200);
    assert_eq!(place(&seen).waits.len(), 3);
}

prop_compose! {
    /// Nodes that come and go, and releases of versions that some of them share.
    fn worlds()(
        nodes in vec((0..1000_u64, 1..4_u32), 0..5),
        sizes in vec(0..600_u64, 1..6),
        releases in vec((proptest::option::of(1..4_usize), vec(0..6_usize, 1..3), any::<bool>()), 0..8),
        gone in vec(any::<bool>(), 5),
    ) -> (Seen, Vec<Machine>) {
        let nodes: Vec<_> = nodes.into_iter().map(|(memory, cores)| node(memory, cores)).collect();
        let versions: Vec<_> = sizes.iter().map(|bytes| (VersionId::new(), *bytes)).collect();
        let asked = releases.into_iter().map(|(nodes, of, on_demand)| Asked {
            release: (EndpointId::new(), 1),
            nodes,
            versions: of.into_iter().map(|at| versions[at % versions.len()].0).collect(),
            on_demand,
        });
        let (asked, sizes) = (asked.collect(), versions.iter().copied().collect());
        let left = nodes.iter().zip(&gone).filter(|(_, gone)| !**gone);
        let left = left.map(|(node, _)| node.clone()).collect();
        (Seen { nodes, asked, placed: BTreeMap::new(), sizes }, left)
    }
}

/// What a plan takes of a node.
fn taken(seen: &Seen, plan: &Plan, node: &Machine) -> u64 {
    let is_there = |asked: &&Asked| {
        let placed = plan.placed.get(&asked.release);
        !asked.on_demand && placed.is_none_or(|nodes| nodes.contains(&node.id))
    };
    let versions: BTreeSet<_> =
        seen.asked.iter().filter(is_there).flat_map(|asked| &asked.versions).collect();
    versions.into_iter().map(|version| seen.sizes[version]).sum()
}

proptest! {
    #[test]
    fn a_plan_is_sound((mut seen, left) in worlds()) {
        for nodes in [seen.nodes.clone(), left, seen.nodes.clone()] {
            seen.nodes = nodes;
            let (before, plan) = (seen.placed.clone(), place(&seen));
            let alive: BTreeSet<_> = seen.nodes.iter().map(|node| node.id).collect();
            for asked in &seen.asked {
                let Some(count) = asked.nodes else {
                    prop_assert!(!plan.placed.contains_key(&asked.release));
                    continue;
                };
                let holds = &plan.placed[&asked.release];
                let live = holds.intersection(&alive).count();
                let missing = plan.waits.get(&asked.release).map_or(0, |wait| wait.missing);
                prop_assert!(holds.len() <= count);
                prop_assert_eq!(live + missing, count);
                // Nobody who lives loses what they hold.
                let held = before.get(&asked.release).into_iter().flatten();
                prop_assert!(held.filter(|id| alive.contains(id)).all(|id| holds.contains(id)));
            }
            // What is new takes no node over its memory.
            let mut kept = plan.clone();
            for (release, nodes) in &mut kept.placed {
                nodes.retain(|id| before.get(release).is_some_and(|before| before.contains(id)));
            }
            for node in &seen.nodes {
                let most = node.memory.max(taken(&seen, &kept, node));
                prop_assert!(taken(&seen, &plan, node) <= most);
            }
            // A second look changes nothing.
            seen.placed = plan.placed.clone();
            prop_assert_eq!(place(&seen).placed, plan.placed);
        }
    }
}
