//! What callers use, counted in memory and written down every few seconds.
//!
//! Counting takes a lock that only requests of one thread share. A part that was written is numbered,
//! so that it counts once however often it is sent; what a process that is killed had not written is
//! lost, that of [`EVERY`] at most.

use std::time::Duration;

use domain::{Actor, EndpointId, ModelName, Streak, SubjectId, VersionId};
use foldhash::HashMap;
use inference::Sharded;
use store::usage::{self, Counts, Used};
use tokio_util::sync::CancellationToken;

use crate::State;

/// How often what was used is written down.
const EVERY: Duration = Duration::from_secs(2);

/// What is used: a version through an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) endpoint: EndpointId,
    pub(crate) version: VersionId,
}

/// How a place is told of: by names, which outlive it.
#[derive(Debug, Clone)]
struct Names {
    endpoint: String,
    model: ModelName,
    team: Option<SubjectId>,
}

type Counted = HashMap<Place, (Names, HashMap<Actor, Counts>)>;

/// What was used since it was written down last.
#[derive(Default)]
pub(crate) struct Usage(Sharded<Counted>);

impl Usage {
    /// Counts what one request used.
    pub(crate) fn add(
        &self,
        place: Place,
        names: (&str, &ModelName, Option<SubjectId>),
        actor: &Actor,
        counts: &Counts,
    ) {
        self.0.change(|counted| {
            let (_, actors) = counted.entry(place).or_insert_with(|| {
                let (endpoint, model, team) = names;
                let endpoint = endpoint.to_owned();
                (Names { endpoint, model: model.clone(), team }, HashMap::default())
            });
            match actors.get_mut(actor) {
                Some(sum) => sum.add(counts),
                None => drop(actors.insert(actor.clone(), *counts)),
            }
        });
    }

    /// Takes all that was counted.
    fn take(&self) -> Vec<Used> {
        let mut used = Vec::new();
        self.0.each(|counted| {
            for (names, actors) in std::mem::take(counted).into_values() {
                used.extend(actors.into_iter().map(|(actor, counts)| Used {
                    subject: actor.to_string(),
                    model: names.model.to_string(),
                    endpoint: names.endpoint.clone(),
                    team: names.team,
                    counts,
                }));
            }
        });
        used
    }
}

/// Writes down what was used until told to stop, and then what is left.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    let mut writer = Writer { epoch: 0, unsent: None, away: Streak::default() };
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        writer.flush(&state).await;
    }
    writer.flush(&state).await;
    // A part that could not be sent before this one goes first.
    writer.flush(&state).await;
}

struct Writer {
    epoch: i64,
    /// The part that was sent last, while nobody knows whether it arrived.
    unsent: Option<Vec<Used>>,
    away: Streak,
}

impl Writer {
    async fn flush(&mut self, state: &State) {
        let part = self.unsent.take().unwrap_or_else(|| {
            self.epoch += 1;
            state.usage.take()
        });
        if part.is_empty() {
            return;
        }
        let sent = usage::flush(&state.given.database, state.id, self.epoch, &part);
        match tokio::time::timeout(EVERY, sent).await {
            Ok(Ok(_)) => drop(self.away.ended()),
            failed => {
                self.unsent = Some(part);
                self.away.failed();
                if self.away.is_news() {
                    let error = match failed {
                        Ok(Err(error)) => error.to_string(),
                        Ok(Ok(_)) | Err(_) => "no answer in time".to_owned(),
                    };
                    tracing::warn!(error, "what was used cannot be written down: it is kept");
                }
            }
        }
    }
}
