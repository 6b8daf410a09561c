//! The chain: seals over the events of the trail, each naming the one before.
//!
//! The digest of a seal is that of this canonical JSON, which anybody can make again:
//! `{"count","events","number","previous","sealed_at","total"}`, where `events` is the digest of
//! its events' digests, 32 bytes each, one behind the other.

use std::{collections::HashSet, fmt};

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Digest, Hasher, Problem, Timestamp, json::canonical};

/// How far a chain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The newest seal's number, from 1; 0 before the first.
    pub seal: i64,
    /// Events in it and in all before it.
    pub total: i64,
    /// Its digest.
    pub hash: Digest,
}

impl Link {
    /// Where every chain begins.
    pub const BEGINNING: Self = Self { seal: 0, total: 0, hash: Digest::from_bytes([0; 32]) };
}

/// One seal, with the digests of the events that it seals, in the order of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its number, from 1.
    pub number: i64,
    /// The digest of the seal before.
    pub previous: Digest,
    /// Its events' numbers and digests.
    pub events: Vec<(i64, Digest)>,
    /// Events in it and in all before it.
    pub total: i64,
    /// When.
    pub sealed_at: Timestamp,
    /// Its digest.
    pub hash: Digest,
}

impl Seal {
    /// The next seal of a chain. `events` is not empty.
    #[must_use]
    pub fn next(after: &Link, events: Vec<(i64, Digest)>, sealed_at: Timestamp) -> Self {
        let total = after.total.saturating_add(i64::try_from(events.len()).unwrap_or(i64::MAX));
        let (number, previous) = (after.seal.saturating_add(1), after.hash);
        let mut seal = Self { number, previous, events, total, sealed_at, hash: previous };
        seal.hash = seal.digest();
        seal
    }

    /// Where the chain stands with it.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { seal: self.number, total: self.total, hash: self.hash }
    }

    /// It without its events, as archives have it; the digest is made of all but `hash`.
    #[must_use]
    pub fn describe(&self) -> Value {
        let mut events = Hasher::default();
        for (_, digest) in &self.events {
            events.update(digest.as_bytes());
        }
        json!({
            "number": self.number,
            "previous": self.previous,
            "count": self.events.len(),
            "events": events.finish(),
            "total": self.total,
            "sealed_at": self.sealed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        })
    }

    fn digest(&self) -> Digest {
        let mut out = Vec::with_capacity(384);
        canonical::write(&mut out, &self.describe());
        Digest::of(&out)
    }

    /// Whether it goes on where the chain stood.
    fn follows(&self, after: &Link) -> Result<(), Damage> {
        if self.number != after.seal + 1 {
            return Err(Damage::SealMissing);
        }
        let count = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let fits = self.previous == after.hash
            && self.total == after.total.saturating_add(count)
            && self.hash == self.digest();
        if fits { Ok(()) } else { Err(Damage::SealChanged) }
    }
}

/// What is wrong with a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The event is not what was sealed.
    Changed,
    /// The event was sealed and is not there.
    Removed,
    /// The event is there among sealed ones and was not sealed.
    Inserted,
    /// The event was sealed at another place.
    Reordered,
    /// A seal is not there.
    SealMissing,
    /// A seal is not what it was, or not of this chain.
    SealChanged,
    /// A checkpoint knows another seal of this number: the chain was written anew.
    Rewritten,
    /// A checkpoint knows more seals: the chain was cut.
    Cut,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "the event is not what was sealed",
            Self::Removed => "the event was sealed and is not there",
            Self::Inserted => "the event stands among sealed ones and was not sealed",
            Self::Reordered => "the event was sealed at another place",
            Self::SealMissing => "the seal is not there",
            Self::SealChanged => "the seal is not what it was, or not of this chain",
            Self::Rewritten => {
                "a checkpoint knows another seal of this number: the chain was written anew"
            }
            Self::Cut => "a checkpoint knows this seal, and it is not there: the chain was cut",
        })
    }
}

/// The first thing that is wrong with a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In which seal.
    pub seal: i64,
    /// Which event, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<i64>,
    /// What.
    pub damage: Damage,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(event) => write!(f, "event {event} (seal {}): {}", self.seal, self.damage),
            None => write!(f, "seal {}: {}", self.seal, self.damage),
        }
    }
}

/// Checks the next seal of a chain against the events that stand where its events should: their
/// numbers and digests, in the order of the chain. An event that cannot be read has no digest.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(after: &Link, seal: &Seal, found: &[(i64, Option<Digest>)]) -> Result<Link, Fault> {
    let expected = after.seal + 1;
    seal.follows(after).map_err(|damage| Fault { seal: expected, event: None, damage })?;
    let wrong = |event, damage| Fault { seal: seal.number, event: Some(event), damage };
    for (at, &(id, digest)) in seal.events.iter().enumerate() {
        match found.get(at) {
            Some(&(there, hash)) if there == id => {
                if hash != Some(digest) {
                    return Err(wrong(id, Damage::Changed));
                }
            }
            Some(&(there, _)) => {
                let sealed: HashSet<_> = seal.events.iter().map(|(id, _)| *id).collect();
                let is_there = found.iter().any(|(there, _)| *there == id);
                return Err(if !sealed.contains(&there) {
                    wrong(there, Damage::Inserted)
                } else if is_there {
                    wrong(there, Damage::Reordered)
                } else {
                    wrong(id, Damage::Removed)
                });
            }
            None => return Err(wrong(id, Damage::Removed)),
        }
    }
    match found.get(seal.events.len()) {
        Some(&(there, _)) => Err(wrong(there, Damage::Inserted)),
        None => Ok(seal.link()),
    }
}

/// A signed note of how far a chain has come, to be kept where nobody who can change the database
/// can change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The newest seal's number.
    pub seal: i64,
    /// Events in it and in all before it.
    pub total: i64,
    /// Its digest.
    pub hash: Digest,
    /// When this was signed.
    pub at: Timestamp,
    /// The Ed25519 key that it was signed with, in hex.
    pub public_key: String,
    /// The signature of [`Checkpoint::signed`], in hex.
    pub signature: String,
}

impl Checkpoint {
    /// What is signed: these words and canonical JSON of all but key and signature.
    #[must_use]
    pub fn signed(link: &Link, at: Timestamp) -> Vec<u8> {
        let mut out = b"bottega audit checkpoint\n".to_vec();
        let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let said = json!({"seal": link.seal, "total": link.total, "hash": link.hash, "at": at});
        canonical::write(&mut out, &said);
        out
    }

    /// How far the chain had come.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { seal: self.seal, total: self.total, hash: self.hash }
    }

    /// Reads a file of them: one, or one a line.
    ///
    /// # Errors
    /// What is none, by its place.
    pub fn read_all(text: &str) -> Result<Vec<Self>, Problem> {
        let checkpoints = serde_json::Deserializer::from_str(text).into_iter::<Self>();
        let read = checkpoints.enumerate().map(|(at, checkpoint)| {
            checkpoint.map_err(|error| {
                let message = format!("this is no checkpoint: {error}");
                Problem::invalid(format!("checkpoints[{at}]"), message)
                    .hint("`bottega audit checkpoint > FILE` makes one")
            })
        });
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(id: i64) -> (i64, Digest) {
        (id, Digest::of(&id.to_be_bytes()))
    }

    fn now() -> Timestamp {
        "2026-11-17T14:00:00Z".parse().unwrap()
    }

    fn found(seal: &Seal) -> Vec<(i64, Option<Digest>)> {
        seal.events.iter().map(|&(id, digest)| (id, Some(digest))).collect()
    }

    #[test]
    fn a_seal_has_the_digest_that_anybody_can_make() {
        let seal = Seal::next(&Link::BEGINNING, vec![event(1), event(2)], now());
        let events =
            Digest::of(&[event(1).1.as_bytes().as_slice(), event(2).1.as_bytes()].concat());
        let previous = Digest::from_bytes([0; 32]);
        let written = format!(
            r#"{{"count":2,"events":"{events}","number":1,"previous":"{previous}","sealed_at":"2026-11-17T14:00:00.000000Z","total":2}}"#
        );
        assert_eq!(seal.hash, Digest::of(written.as_bytes()));
        assert_eq!(check(&Link::BEGINNING, &seal, &found(&seal)), Ok(seal.link()));
    }

    #[test]
    fn a_seal_that_is_changed_or_missing_is_named() {
        let first = Seal::next(&Link::BEGINNING, vec![event(1)], now());
        let second = Seal::next(&first.link(), vec![event(2), event(3)], now());
        let damage = |seal: &Seal| check(&first.link(), seal, &found(seal)).unwrap_err();
        for change in [
            |seal: &mut Seal| seal.previous = Digest::of(b"x"),
            |seal: &mut Seal| seal.total += 1,
            |seal: &mut Seal| seal.hash = Digest::of(b"x"),
            |seal: &mut Seal| seal.sealed_at += chrono::TimeDelta::seconds(1),
            |seal: &mut Seal| seal.events[1].1 = Digest::of(b"x"),
        ] {
            let mut seal = second.clone();
            change(&mut seal);
            let fault = damage(&seal);
            assert_eq!((fault.seal, fault.event, fault.damage), (2, None, Damage::SealChanged));
        }
        let missing = check(&Link::BEGINNING, &second, &found(&second)).unwrap_err();
        assert_eq!((missing.seal, missing.damage), (1, Damage::SealMissing));
    }

    #[test]
    fn checkpoints_are_read_one_a_line_and_what_is_none_is_named() {
        let one = Checkpoint {
            seal: 1,
            total: 2,
            hash: Digest::of(b"x"),
            at: now(),
            public_key: String::new(),
            signature: String::new(),
        };
        let text = serde_json::to_string(&one).unwrap();
        let read = Checkpoint::read_all(&format!("{text}\n{text}\n")).unwrap();
        assert_eq!(read, [one.clone(), one]);
        let wrong = Checkpoint::read_all(&format!("{text}\n{{\"seal\": 1}}")).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("checkpoints[1]"));
    }

    proptest! {
        #[test]
        fn the_first_event_that_is_not_as_it_was_is_named(
            count in 1_usize..40, kind in 0..4, place in 0_usize..40, other in 0_usize..40,
        ) {
            let seal = Seal::next(&Link::BEGINNING, (1..=count as i64).map(event).collect(), now());
            let (place, other) = (place % count, other % count);
            let mut rows = found(&seal);
            let (first, damage) = match kind {
                0 => {
                    rows[place].1 = if other == 0 { None } else { Some(Digest::of(b"x")) };
                    (rows[place].0, Damage::Changed)
                }
                1 => (rows.remove(place).0, Damage::Removed),
                2 => {
                    rows.insert(place, (1000, Some(Digest::of(b"x"))));
                    (1000, Damage::Inserted)
                }
                _ => {
                    prop_assume!(place != other);
                    rows.swap(place, other);
                    (rows[place.min(other)].0, Damage::Reordered)
                }
            };
            let fault = check(&Link::BEGINNING, &seal, &rows).unwrap_err();
            prop_assert_eq!(fault, Fault { seal: 1, event: Some(first), damage });
        }
    }
}
