//! Files of kept rows: a table in memory, and the same as Parquet.
//!
//! A column for each input and output under its own name behind `input_` and `output_`; what has
//! several values a row is a list. Before them stands what the row was: `inference_id`, its place
//! `row` in the request, `at`, `release`, `caller`, `protocol`, `shadow`, `code` (`ok`, or why it failed),
//! `latency_us`, and `subject_hash` where the owner says whom rows are about.

mod file;
mod records;
mod table;

use domain::{EndpointId, Timestamp, VersionId};
use store::capture::segments::Segment;

pub(crate) use self::table::{Cells, Column, Table};
use crate::Hashes;

pub(crate) const ID: &str = "inference_id";
pub(crate) const ROW: &str = "row";
pub(crate) const AT: &str = "at";
pub(crate) const RELEASE: &str = "release";
pub(crate) const CALLER: &str = "caller";
pub(crate) const PROTOCOL: &str = "protocol";
pub(crate) const SHADOW: &str = "shadow";
pub(crate) const CODE: &str = "code";
pub(crate) const LATENCY: &str = "latency_us";
pub(crate) const SUBJECT: &str = "subject_hash";
pub(crate) const INPUT: &str = "input_";
pub(crate) const OUTPUT: &str = "output_";

/// What `code` says of what was answered.
pub(crate) const OK: &str = "ok";

impl Table {
    /// Whether each row is what a caller was answered, and not a failure or a shadow's. Files that say
    /// nothing of failures have none.
    pub(crate) fn answered(&self) -> Vec<bool> {
        let mut answered = vec![true; self.rows];
        let shadows = self.bools(SHADOW).unwrap_or_default().iter();
        for (answered, shadow) in answered.iter_mut().zip(shadows) {
            *answered &= !shadow;
        }
        for (answered, code) in answered.iter_mut().zip(self.texts(CODE).unwrap_or_default()) {
            *answered &= code == OK;
        }
        answered
    }

    /// What is known of the file of these rows besides its bytes.
    pub(crate) fn describe(
        &self,
        (endpoint, version): (EndpointId, VersionId),
        (digest, bytes): (domain::Digest, u64),
        hashes: &Hashes,
    ) -> Segment {
        let at = self.times(AT).unwrap_or_default();
        let instant = |micros: Option<&i64>| {
            micros.and_then(|micros| Timestamp::from_timestamp_micros(*micros)).unwrap_or_default()
        };
        let mut ids = self.texts(ID).unwrap_or_default();
        // The rows of a request stand together.
        ids.dedup();
        let mut ids: Vec<i64> = ids.into_iter().map(|id| hashes.inference(&id)).collect();
        let mut subjects = self.longs(SUBJECT).unwrap_or_default().to_vec();
        for hashes in [&mut ids, &mut subjects] {
            hashes.sort_unstable();
            hashes.dedup();
        }
        Segment {
            id: uuid::Uuid::now_v7(),
            endpoint,
            version,
            from: instant(at.iter().min()),
            to: instant(at.iter().max()),
            rows: i64::try_from(self.rows).unwrap_or(i64::MAX),
            bytes,
            digest,
            ids,
            subjects,
        }
    }
}
