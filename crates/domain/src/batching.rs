//! How requests for a version share runs.

use std::{num::NonZeroU16, time::Duration};

use serde::{Serialize, Serializer};

use crate::{Problem, write_duration};

/// The longest that anybody is made to wait for company.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The most rows that may share a run.
pub const MOST_ROWS: u16 = 4096;

/// How requests for a version are put together. May be changed while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Batching {
    /// Rows that share a run at most; absent: as many as pay, by a short measurement at loading.
    pub max_batch: Option<NonZeroU16>,
    /// How long the first of a run waits for company; nothing: it is never made to wait.
    #[serde(serialize_with = "as_text")]
    pub wait: Duration,
}

impl Batching {
    /// Checks both.
    ///
    /// # Errors
    /// One is out of its range; by name.
    pub fn new(max_batch: Option<u64>, wait: Duration) -> Result<Self, Problem> {
        let rows = |rows: u64| {
            let fitting = u16::try_from(rows).ok().filter(|rows| *rows <= MOST_ROWS);
            fitting.and_then(NonZeroU16::new).ok_or_else(|| {
                let message = format!("{rows} rows: expected 1 to {MOST_ROWS}");
                Problem::invalid("batching.max_batch", message)
                    .hint("leave it out for as many rows as pay")
            })
        };
        if wait > LONGEST_WAIT {
            let message = format!("{wait:?}: expected 0ms to {LONGEST_WAIT:?}");
            return Err(Problem::invalid("batching.wait", message)
                .hint("a few milliseconds are much already; 0ms waits for nobody"));
        }
        Ok(Self { max_batch: max_batch.map(rows).transpose()?, wait })
    }
}

fn as_text<S: Serializer>(wait: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_duration(*wait))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_part_has_its_range() {
        let batching = Batching::new(Some(32), Duration::from_micros(1500)).unwrap();
        let written = serde_json::to_value(batching).unwrap();
        assert_eq!(written, json!({"max_batch": 32, "wait": "1500us"}));
        for (rows, wait, field) in [
            (Some(0), Duration::ZERO, "batching.max_batch"),
            (Some(4097), Duration::ZERO, "batching.max_batch"),
            (Some(u64::MAX), Duration::ZERO, "batching.max_batch"),
            (None, Duration::from_millis(1001), "batching.wait"),
        ] {
            assert_eq!(Batching::new(rows, wait).unwrap_err().field.as_deref(), Some(field));
        }
    }
}
