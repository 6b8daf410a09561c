//! Where each version runs here: in this process, or in one of its own.

use std::collections::HashMap;

use auth::verbs;
use domain::{Digest, Resource, VersionId, serving::Isolation};
use serde_json::json;
use store::{Change, serving};

use crate::{State, load::Failure, sync::in_time};

/// What is said of a version that is run apart although nobody asked for it.
const SUSPECT: &str = "it runs in a process of its own: twice it was running when this node died";
const PERILOUS: &str = "it runs in a process of its own: it divides whole numbers that callers send, and the processor ends a process that divides the least of them by -1";

/// What was asked for, by version; those that are not in it run as the node's own setting says.
#[derive(Debug, Default)]
pub(crate) struct Wanted(HashMap<VersionId, Isolation>);

impl Wanted {
    /// Reads where versions run, for the endpoints that have them.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn read(state: &State, routes: &[serving::Route]) -> store::Result<Self> {
        let node = state.given.settings.isolation;
        let live = routes.iter().filter_map(|route| route.live.as_ref());
        let live = live.flat_map(|live| live.versions.iter().map(|version| version.version));
        let target = routes.iter().flat_map(|route| route.target.iter().copied());
        let versions: Vec<_> = live.chain(target).collect();
        let said = serving::isolations(&state.given.database, &versions).await?;
        let said: HashMap<_, _> = said.into_iter().collect();
        let mut wanted: HashMap<VersionId, Isolation> = HashMap::new();
        let mut want = |version: VersionId, release| {
            let isolation = Isolation::of(release, said.get(&version).copied(), node);
            let so_far = wanted.entry(version).or_insert(Isolation::InProcess);
            *so_far = so_far.stricter(isolation);
        };
        for route in routes {
            if let Some(live) = route.live.as_ref().filter(|_| route.is_here) {
                let release = live.serving.isolation;
                live.versions.iter().for_each(|version| want(version.version, release));
            }
            // How the next release serves is not known here before it is live.
            route.target.iter().for_each(|&version| want(version, None));
        }
        Ok(Self(wanted))
    }

    /// Where this one is to run, unless it is [suspect](suspicion).
    pub(crate) fn of(&self, state: &State, version: VersionId) -> Isolation {
        self.0.get(&version).copied().unwrap_or(state.given.settings.isolation)
    }
}

/// Why a version that is to run in this process does not; the trail is told once for each node and death.
///
/// # Errors
/// The database is away.
pub(crate) async fn suspicion(
    state: &State,
    version: &serving::Loadable,
    digest: &Digest,
    isolation: Isolation,
) -> Result<Option<&'static str>, Failure> {
    if version.is_perilous && isolation == Isolation::InProcess {
        return Ok(Some(PERILOUS));
    }
    let suspects = |journal: &&std::sync::Arc<inference::Journal>| journal.suspects(digest);
    let Some(journal) = state.given.journal.as_ref().filter(suspects) else { return Ok(None) };
    if isolation == Isolation::Process {
        return Ok(None);
    }
    let (model, number) = (&version.model, version.number);
    tracing::warn!(model.name = %model, number, "{SUSPECT}");
    if journal.is_news(digest) {
        in_time(tell(state, version)).await.map_err(Failure::Passing)?;
    }
    Ok(Some(SUSPECT))
}

async fn tell(state: &State, version: &serving::Loadable) -> store::Result<()> {
    let resource = Resource::Model(version.model.to_string());
    let detail = json!({
        "version": version.number, "reason": SUSPECT, "node": state.id, "host": state.given.settings.node.host,
    });
    let mut change = Change::begin(&state.given.database).await?;
    change.emit("version.isolated", &resource.to_string(), &detail).await?;
    let permit = state.given.access.system::<verbs::Deploy>("gateway", resource);
    change.commit(&permit.event("version.isolated", detail)).await
}
