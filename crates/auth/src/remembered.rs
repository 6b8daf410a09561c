//! Passwords that were right a moment ago, so that a client that sends one with each request does
//! not pay for argon2 each time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::TimeDelta;
use domain::{Actor, SubjectId, Timestamp};

use crate::Identity;

/// How long.
const FOR: TimeDelta = TimeDelta::minutes(5);
/// How many.
const MOST: usize = 10_000;

/// Who had which password.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) actor: Actor,
    pub(crate) subject: SubjectId,
    /// Of that password: where another one was set since, this is worth nothing.
    pub(crate) mark: Vec<u8>,
}

impl Hit {
    pub(crate) fn identity(&self, must_change_password: bool) -> Identity {
        Identity { must_change_password, ..Identity::of(self.actor.clone(), Some(self.subject)) }
    }
}

/// By keyed hash of network, user and password.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<HashMap<[u8; 32], (Hit, Timestamp)>>);

impl Remembered {
    pub(crate) fn get(&self, key: &[u8; 32], now: Timestamp) -> Option<Hit> {
        let hits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hits.get(key).filter(|(_, at)| now - *at < FOR).map(|(hit, _)| hit.clone())
    }

    pub(crate) fn put(&self, key: [u8; 32], hit: Hit, now: Timestamp) {
        let mut hits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hits.len() >= MOST {
            hits.retain(|_, (_, at)| now - *at < FOR);
        }
        // So many within minutes: whoever comes now pays again next time.
        if hits.len() < MOST {
            hits.insert(key, (hit, now));
        }
    }
}
