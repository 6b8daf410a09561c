//! Which endpoints other nodes answer for.

use std::sync::Arc;

use store::serving;

use crate::{
    elsewhere::{Elsewhere, Forwarded},
    live::Route,
};

/// Whether others answer for an endpoint that this node is not to hold any more.
pub(super) fn is_left(wanted: &serving::Route) -> bool {
    let others = wanted.elsewhere.as_ref().filter(|_| !wanted.is_here);
    others.is_some_and(|elsewhere| !elsewhere.holders.is_empty())
}

/// The nodes that answer for an endpoint, where this one does not: it is not to, or its versions are still
/// on their way here.
pub(super) fn of(
    wanted: &serving::Route,
    is_empty: bool,
    old: Option<&Route>,
    forwarded: &Forwarded,
) -> Option<Arc<Elsewhere>> {
    let told = wanted.elsewhere.as_ref().filter(|_| is_empty)?;
    let is_asked_here = match &wanted.live {
        Some(live) => {
            wanted.is_here && (live.serving.on_demand.is_some() || told.holders.is_empty())
        }
        None => !wanted.target.is_empty(),
    };
    if is_asked_here {
        return None;
    }
    let known = old.and_then(|old| old.elsewhere.as_ref()).filter(|known| known.is(told));
    Some(known.cloned().unwrap_or_else(|| {
        let counts = forwarded.of(&wanted.endpoint.to_string());
        Arc::new(Elsewhere::new(told.clone(), counts))
    }))
}

/// Whether two routes leave an endpoint to the same nodes.
pub(super) fn are_alike(one: Option<&Arc<Elsewhere>>, other: Option<&Arc<Elsewhere>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
