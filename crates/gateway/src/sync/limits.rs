//! How much requests may take: as much as the release allows, and this node.

use std::time::Duration;

use store::serving::Live;

use crate::State;

/// How long one may take.
pub(super) fn deadline(state: &State, live: Option<&Live>) -> Duration {
    let ours = state.given.settings.deadline;
    live.and_then(|live| live.serving.timeout).map_or(ours, |theirs| theirs.get().min(ours))
}

/// How many bytes its body may have.
pub(super) fn body(state: &State, live: Option<&Live>) -> usize {
    let ours = state.given.settings.body_limit;
    let theirs = live.and_then(|live| live.serving.body_limit);
    theirs.map_or(ours, |theirs| usize::try_from(theirs.get()).unwrap_or(usize::MAX).min(ours))
}

/// How many may wait for one of its versions; these hold no more than they hold.
pub(super) fn queue(live: Option<&Live>) -> usize {
    let theirs = live.and_then(|live| live.serving.max_queue);
    theirs.map_or(usize::MAX, |most| most.get().unsigned_abs() as usize)
}
