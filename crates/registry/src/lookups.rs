//! Where aliases point, out of memory where what was read last still holds. Whoever asks while a
//! look into the database is on its way shares the next one, so no answer is older than its
//! question in this process.

use std::{
    hash::{BuildHasher as _, RandomState},
    io, mem,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use domain::{AliasName, ModelName, Problem, Resource};
use store::{
    Database,
    freshness::{Freshness, Mark},
    versions::{self, Version},
};
use tokio::sync::{Mutex as Turn, oneshot};

use crate::{Error, Result};

type Asked = (ModelName, AliasName);
type Found = Option<Arc<Version>>;

/// What is known, and the questions that wait for the next look.
#[derive(Default)]
pub(crate) struct Lookups {
    memory: Memory,
    waiting: Mutex<Vec<Question>>,
    /// Held by whoever looks; how many bytes are remembered.
    turn: Turn<u64>,
}

struct Question {
    asked: Asked,
    answer: oneshot::Sender<Result<Found, Problem>>,
}

impl Lookups {
    /// The version that an alias points to; absent where there is no such model, or it has no such
    /// alias.
    ///
    /// # Errors
    /// The database is away.
    pub async fn ask(
        &self,
        database: &Database,
        model: &ModelName,
        alias: &AliasName,
    ) -> Result<Found> {
        let asked = (model.clone(), alias.clone());
        match self.memory.get(&asked, database.freshness()) {
            Some(found) => Ok(found),
            None => self.wait(database, asked).await,
        }
    }

    async fn wait(&self, database: &Database, asked: Asked) -> Result<Found> {
        loop {
            let (answer, mut answered) = oneshot::channel();
            let question = Question { asked: asked.clone(), answer };
            self.with_waiting(|waiting| waiting.push(question));
            tokio::select! {
                biased;
                Ok(answer) = &mut answered => return Ok(answer?),
                mut remembered = self.turn.lock() => {
                    self.look(database, self.with_waiting(mem::take), &mut remembered).await;
                    if let Ok(answer) = answered.try_recv() {
                        return Ok(answer?);
                    }
                }
            }
            // Whoever had taken the question was cut off while they looked.
        }
    }

    fn with_waiting<T>(&self, with: impl FnOnce(&mut Vec<Question>) -> T) -> T {
        with(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers all questions, and remembers the answers.
    async fn look(&self, database: &Database, questions: Vec<Question>, remembered: &mut u64) {
        let (asked, answers): (Vec<_>, Vec<_>) =
            questions.into_iter().map(|question| (question.asked, question.answer)).unzip();
        let freshness = database.freshness();
        let marks: Vec<_> =
            asked.iter().map(|(model, _)| freshness.mark(&resource(model))).collect();
        // Who does not wait any more does not mind either.
        match versions::get_by_aliases(database, &asked).await {
            Ok(found) => {
                for (answer, found) in answers.into_iter().zip(&found) {
                    let _ = answer.send(Ok(found.clone()));
                }
                for ((asked, mark), found) in asked.into_iter().zip(marks).zip(found) {
                    let bytes = ORDINARY + found.as_deref().map_or(0, bytes);
                    let known = Known { asked, found, mark, bytes };
                    self.memory.put(known, freshness, remembered);
                }
            }
            Err(error) => {
                let problem = Problem::from(Error::from(error));
                for answer in answers {
                    let _ = answer.send(Err(problem.clone()));
                }
            }
        }
    }
}

fn resource(model: &ModelName) -> Resource {
    Resource::Model(model.to_string())
}

/// How many answers may be remembered. Who asks for names at random drives out the answers of
/// others, but takes no more.
const PLACES: usize = 4096;
/// How much may be remembered in all, in bytes.
const CAPACITY: u64 = 32 << 20;
/// What an answer of ordinary length takes.
const ORDINARY: u64 = 4 << 10;

/// Answers, each in one of two places that its question picks. Reading takes no lock.
struct Memory {
    places: Box<[ArcSwapOption<Known>]>,
    hasher: RandomState,
}

struct Known {
    asked: Asked,
    found: Found,
    /// Taken before the look.
    mark: Mark,
    bytes: u64,
}

impl Default for Memory {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| ArcSwapOption::empty()).collect();
        Self { places, hasher: RandomState::new() }
    }
}

impl Memory {
    /// What is known, if that still holds.
    fn get(&self, asked: &Asked, freshness: &Freshness) -> Option<Found> {
        self.places_of(asked).into_iter().find_map(|place| {
            let known = place.load();
            let known = known.as_ref().filter(|known| known.asked == *asked)?;
            freshness.holds(known.mark).then(|| known.found.clone())
        })
    }

    /// Remembers an answer, in place of an older one. One at a time.
    fn put(&self, known: Known, freshness: &Freshness, remembered: &mut u64) {
        if known.bytes > CAPACITY {
            return;
        }
        if *remembered + known.bytes > CAPACITY {
            // Most of it does not hold any more.
            self.places.iter().for_each(|place| place.store(None));
            *remembered = 0;
        }
        let [first, second] = self.places_of(&known.asked);
        let is_free = |place: &&ArcSwapOption<Known>| {
            place
                .load()
                .as_ref()
                .is_none_or(|it| it.asked == known.asked || !freshness.holds(it.mark))
        };
        let place = [first, second].into_iter().find(is_free).unwrap_or(first);
        *remembered += known.bytes;
        let before = place.swap(Some(Arc::new(known)));
        *remembered -= before.map_or(0, |before| before.bytes);
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half of the hash is taken by itself")]
    fn places_of(&self, asked: &Asked) -> [&ArcSwapOption<Known>; 2] {
        let hash = self.hasher.hash_one(asked) as usize;
        [hash, hash >> 32].map(|hash| &self.places[hash % PLACES])
    }
}

/// About how much memory those parts of a version take that may be long.
fn bytes(version: &Version) -> u64 {
    /// What a value takes, for each byte of its JSON.
    const SPREAD: u64 = 4;
    let parts = (
        (&version.facts, &version.signature, &version.input_example, &version.findings),
        (&version.packaging.flavors, &version.packaging.mlmodel, &version.packaging.notes),
        (&version.description, &version.reason, &version.origin.source, &version.origin.run_link),
        (&version.tags, &version.aliases),
    );
    let mut count = Count(0);
    // What cannot be counted is not remembered.
    serde_json::to_writer(&mut count, &parts).map_or(CAPACITY, |()| SPREAD * count.0)
}

struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(n: u32, bytes: u64) -> Known {
        let asked = (format!("model {n}").parse().unwrap(), "champion".parse().unwrap());
        Known {
            asked,
            found: None,
            mark: Freshness::default().mark(&Resource::Model("fraud".to_owned())),
            bytes,
        }
    }

    /// How many answers there are, and their bytes.
    fn held(memory: &Memory) -> (usize, u64) {
        let all = memory.places.iter().filter_map(|place| place.load_full());
        all.fold((0, 0), |(count, bytes), known| (count + 1, bytes + known.bytes))
    }

    #[test]
    fn names_at_random_take_no_more_than_their_share() {
        let (memory, mut remembered) = (Memory::default(), 0);
        for n in 0..20_000 {
            memory.put(known(n, ORDINARY), &Freshness::default(), &mut remembered);
        }
        let (count, bytes) = held(&memory);
        assert!(count > PLACES / 2 && bytes == remembered && bytes <= CAPACITY);
    }

    #[test]
    fn long_answers_take_no_more_than_all_may() {
        let (memory, mut remembered) = (Memory::default(), 0);
        for n in 0..1000 {
            memory.put(known(n, CAPACITY / 10), &Freshness::default(), &mut remembered);
            assert!(remembered <= CAPACITY && held(&memory).1 == remembered);
        }
        let before = remembered;
        memory.put(known(1000, CAPACITY + 1), &Freshness::default(), &mut remembered);
        assert_eq!(remembered, before, "one that is too long drives out nothing");
    }
}
