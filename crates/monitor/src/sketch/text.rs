//! A column of texts.

use std::{borrow::Cow, collections::HashMap};

use datasketches::{
    frequencies::{ErrorType, FrequentItemsSketch},
    hll::{HllSketch, HllType, HllUnion},
};

use super::{
    Unreadable,
    bytes::{Reader, Writer},
};

/// So many different texts are counted exactly.
const EXACT: usize = 1_000;

/// Of more, three quarters of so many are followed: the frequent ones stay.
const FOLLOWED: usize = 1_024;

/// How many are different is known to 1.6 %.
const REGISTERS: u8 = 12;

/// Longer texts are told apart by their beginning alone.
const LONGEST: usize = 128;

const IN_FULL: u8 = 0;
const SKETCHED: u8 = 1;

/// Counts exactly, and each text up to a thousand different ones; beyond, the frequent ones and how
/// many there are. An empty text is missing.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// How many texts.
    pub count: u64,
    /// How many were missing.
    pub missing: u64,
    /// Each text, until there are too many.
    counts: HashMap<String, u64>,
    sketches: Option<Box<Sketches>>,
}

#[derive(Debug, Clone)]
struct Sketches {
    frequent: FrequentItemsSketch<String>,
    distinct: HllSketch,
}

impl Sketches {
    #[expect(clippy::expect_used, reason = "both sizes are constants that the library takes")]
    fn empty() -> Self {
        let frequent = FrequentItemsSketch::new(FOLLOWED).expect("a power of two");
        Self { frequent, distinct: HllSketch::new(REGISTERS, HllType::Hll8).expect("4 to 21") }
    }

    fn add(&mut self, text: String, count: u64) {
        self.distinct.update(text.as_str());
        self.frequent.update_with_count(text, count);
    }
}

impl Text {
    /// Adds a text.
    pub fn add(&mut self, text: &[u8]) {
        if text.is_empty() {
            self.missing += 1;
            return;
        }
        self.count += 1;
        let text = shortened(text);
        match self.counts.get_mut(text.as_ref()) {
            Some(count) => *count += 1,
            None => self.add_many(text.into_owned(), 1),
        }
    }

    fn add_many(&mut self, text: String, count: u64) {
        let is_room = self.counts.len() < EXACT || self.counts.contains_key(&text);
        if self.sketches.is_none() && is_room {
            let sum = self.counts.entry(text).or_default();
            *sum = sum.saturating_add(count);
        } else {
            self.sketched().add(text, count);
        }
    }

    /// From here on by sketches.
    fn sketched(&mut self) -> &mut Sketches {
        let counts = std::mem::take(&mut self.counts);
        let sketches = self.sketches.get_or_insert_with(|| Box::new(Sketches::empty()));
        for (text, count) in counts {
            sketches.add(text, count);
        }
        sketches
    }

    /// How many different texts there are, about.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        match &self.sketches {
            None => self.counts.len() as f64,
            Some(sketches) => sketches.distinct.estimate(),
        }
    }

    /// The most frequent texts, the first most so, with how often each was there at most.
    #[must_use]
    pub fn frequent(&self, most: usize) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = match &self.sketches {
            None => self.counts.iter().map(|(text, count)| (text.clone(), *count)).collect(),
            Some(sketches) => {
                let rows = sketches.frequent.frequent_items(ErrorType::NoFalseNegatives);
                rows.iter().map(|row| (row.item().clone(), row.estimate())).collect()
            }
        };
        all.sort_unstable_by(|(one, ones), (other, others)| others.cmp(ones).then(one.cmp(other)));
        all.truncate(most);
        all
    }

    /// Whether each text was counted.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.sketches.is_none()
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<(), Unreadable> {
        for (text, count) in &other.counts {
            self.add_many(text.clone(), *count);
        }
        if let Some(theirs) = &other.sketches {
            let ours = self.sketched();
            let weights = (ours.frequent.total_weight(), theirs.frequent.total_weight());
            let mut union = HllUnion::new(REGISTERS).map_err(|_| Unreadable)?;
            // The library would panic.
            weights.0.checked_add(weights.1).ok_or(Unreadable)?;
            ours.frequent.merge(&theirs.frequent);
            union.update(&ours.distinct);
            union.update(&theirs.distinct);
            ours.distinct = union.to_sketch(HllType::Hll8);
        }
        self.count = self.count.saturating_add(other.count);
        self.missing = self.missing.saturating_add(other.missing);
        Ok(())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.count);
        writer.u64(self.missing);
        match &self.sketches {
            None => {
                writer.u8(IN_FULL);
                let mut counts: Vec<_> = self.counts.iter().collect();
                counts.sort_unstable();
                writer.u64(counts.len() as u64);
                for (text, count) in counts {
                    writer.bytes(text.as_bytes());
                    writer.u64(*count);
                }
            }
            Some(sketches) => {
                writer.u8(SKETCHED);
                writer.bytes(&sketches.frequent.serialize());
                writer.bytes(&sketches.distinct.serialize());
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (count, missing) = (reader.u64()?, reader.u64()?);
        let mut column = Self { count, missing, ..Self::default() };
        match reader.u8()? {
            IN_FULL => {
                for _ in 0..reader.u64()?.min(EXACT as u64 + 1) {
                    let text = String::from_utf8(reader.bytes()?.to_vec());
                    column.counts.insert(text.map_err(|_| Unreadable)?, reader.u64()?);
                }
            }
            SKETCHED => {
                let frequent = FrequentItemsSketch::deserialize(reader.bytes()?);
                let distinct = HllSketch::deserialize(reader.bytes()?);
                let (Ok(frequent), Ok(distinct)) = (frequent, distinct) else {
                    return Err(Unreadable);
                };
                column.sketches = Some(Box::new(Sketches { frequent, distinct }));
            }
            _ => return Err(Unreadable),
        }
        Ok(column)
    }
}

/// A text as it is told apart: its beginning, where it is long.
fn shortened(text: &[u8]) -> Cow<'_, str> {
    match text.get(..LONGEST) {
        None => String::from_utf8_lossy(text),
        Some(begin) => {
            let whole = begin.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            format!("{whole}…").into()
        }
    }
}
