//! Lineage: all that something comes from and all that it leads to, from datasets and runs over
//! versions to endpoints.
//!
//! The graph is walked step by step, up and down from where it begins, never sideways: what else came of
//! a version's dataset is not part of its lineage. What the caller may not view is absent, and so is what
//! is reached only by way of it.

use std::collections::{HashMap, HashSet};

use auth::{Permit, verbs};
use domain::{
    EndpointRef, ErrorCode, ModelName, Problem, Resource,
    lineage::{Direction, Edge, Graph, Key, Link, Node},
    tracking::{ExperimentId, RunId},
};
use store::{endpoints, lineage, tracking::runs};

use crate::{Result, State, versions};

/// The most steps that are walked in each direction.
pub const DEEPEST: u32 = 20;
/// The most nodes that one answer holds.
const NODES: usize = 500;
/// The most links that are read for one step.
const LINKS: usize = 5_000;

/// How far, and what the caller may see.
pub struct Scope<F> {
    /// How many steps in each direction.
    pub depth: u32,
    /// Whether the caller may view a thing of this resource.
    pub may_view: F,
}

/// The lineage of a version.
///
/// # Errors
/// It is not there.
pub async fn of_version(
    state: &State,
    permit: &Permit<verbs::View>,
    scope: &Scope<impl AsyncFn(&Resource) -> bool>,
    model: &ModelName,
    number: i32,
) -> Result<Graph> {
    let version = versions::get(state, permit, model, number).await?;
    trace(state, scope, Key::Version(version.id)).await
}

/// The lineage of an endpoint.
///
/// # Errors
/// It is not there.
pub async fn of_endpoint(
    state: &State,
    _permit: &Permit<verbs::View>,
    scope: &Scope<impl AsyncFn(&Resource) -> bool>,
    endpoint: &EndpointRef,
) -> Result<Graph> {
    let found = endpoints::get(&state.database, endpoint).await?;
    let found = found.ok_or_else(|| Problem::not_found("endpoint", endpoint).at("endpoint"))?;
    trace(state, scope, Key::Endpoint(found.id)).await
}

/// The lineage of a run.
///
/// # Errors
/// It is not there.
pub async fn of_run(
    state: &State,
    _permit: &Permit<verbs::View>,
    scope: &Scope<impl AsyncFn(&Resource) -> bool>,
    run: RunId,
) -> Result<Graph> {
    trace(state, scope, Key::Run(run.to_string())).await
}

/// The lineage of a dataset, wherever runs read it.
///
/// # Errors
/// Nobody that the caller may view read it.
pub async fn of_dataset(
    state: &State,
    scope: &Scope<impl AsyncFn(&Resource) -> bool>,
    name: &str,
    digest: &str,
) -> Result<Graph> {
    trace(state, scope, Key::Dataset(Some(name.to_owned()), digest.to_owned())).await
}

/// Whose a run is, to ask for a permit.
///
/// # Errors
/// It is not there, or deleted.
pub async fn home(state: &State, run: RunId) -> Result<ExperimentId> {
    let found = runs::load(&state.database, &[run]).await?.pop();
    let found = found.filter(|found| found.run.deleted_at.is_none());
    Ok(found.ok_or_else(|| no_run(run))?.run.experiment)
}

/// What is told of a run that is not there.
#[must_use]
pub fn no_run(run: RunId) -> Problem {
    Problem::not_found("run", run).at("run_id")
}

/// What has been reached.
#[derive(Default)]
struct Reached {
    nodes: HashMap<Key, Node>,
    order: Vec<Key>,
    links: HashSet<Link>,
    truncated: bool,
}

async fn trace(
    state: &State,
    scope: &Scope<impl AsyncFn(&Resource) -> bool>,
    root: Key,
) -> Result<Graph> {
    let mut reached = Reached::default();
    let found = lineage::nodes(&state.database, std::slice::from_ref(&root)).await?;
    let (_, node) = found.into_iter().find(|(_, node)| node.present).ok_or_else(untraceable)?;
    if !is_visible(scope, &node).await {
        return Err(untraceable().into());
    }
    let id = node.id();
    reached.add(root.clone(), node);
    for direction in [Direction::Up, Direction::Down] {
        let mut walked = HashSet::from([root.clone()]);
        let mut frontier = vec![root.clone()];
        for _ in 0..scope.depth {
            if frontier.is_empty() {
                break;
            }
            let next = reached.step(state, scope, direction, &frontier).await?;
            frontier = next.into_iter().filter(|key| walked.insert(key.clone())).collect();
        }
        if !frontier.is_empty() {
            let more = lineage::links(&state.database, direction, &frontier, 1).await?;
            reached.truncated |= !more.is_empty();
        }
    }
    Ok(reached.graph(id))
}

impl Reached {
    fn add(&mut self, key: Key, node: Node) {
        if self.nodes.insert(key.clone(), node).is_none() {
            self.order.push(key);
        }
    }

    /// One step from these nodes; answers where it leads on from.
    async fn step(
        &mut self,
        state: &State,
        scope: &Scope<impl AsyncFn(&Resource) -> bool>,
        direction: Direction,
        frontier: &[Key],
    ) -> Result<Vec<Key>> {
        let limit = i64::try_from(LINKS).unwrap_or(i64::MAX);
        let links = lineage::links(&state.database, direction, frontier, limit).await?;
        self.truncated |= links.len() >= LINKS;
        let mut new = Vec::new();
        let mut asked = HashSet::new();
        for link in &links {
            let end = link.end(direction);
            if !self.nodes.contains_key(end) && asked.insert(end) {
                new.push(end.clone());
            }
        }
        let mut found = lineage::nodes(&state.database, &new).await?;
        found.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
        for (key, node) in found {
            // What is gone is worth a word as an origin, not as a consequence.
            let is_told = node.present || direction == Direction::Up;
            if !is_told || !is_visible(scope, &node).await {
                continue;
            }
            if self.nodes.len() == NODES {
                self.truncated = true;
                break;
            }
            self.add(key, node);
        }
        let mut ends = Vec::new();
        for link in links {
            let end = link.end(direction).clone();
            let Some(node) = self.nodes.get(&end) else { continue };
            if node.present {
                ends.push(end);
            }
            self.links.insert(link);
        }
        Ok(ends)
    }

    fn graph(self, root: String) -> Graph {
        let id = |key: &Key| self.nodes.get(key).map(Node::id);
        let mut edges: Vec<Edge> = self
            .links
            .iter()
            .filter_map(|link| {
                Some(Edge {
                    from: id(&link.from)?,
                    to: id(&link.to)?,
                    relation: link.relation,
                    context: link.context.clone(),
                    release: link.release,
                })
            })
            .collect();
        edges.sort_by(|one, other| {
            let order = |edge: &Edge| (edge.from.clone(), edge.to.clone(), edge.relation.as_str());
            order(one).cmp(&order(other))
        });
        let nodes = self.order.iter().filter_map(|key| self.nodes.get(key).cloned()).collect();
        Graph { root, nodes, edges, truncated: self.truncated }
    }
}

/// Whoever may view one of a node's homes may know of it; what has none stands in a visible row.
async fn is_visible(scope: &Scope<impl AsyncFn(&Resource) -> bool>, node: &Node) -> bool {
    for home in &node.homes {
        if (scope.may_view)(home).await {
            return true;
        }
    }
    node.homes.is_empty()
}

fn untraceable() -> Problem {
    Problem::new(ErrorCode::NotFound, "there is no such thing to trace")
}
