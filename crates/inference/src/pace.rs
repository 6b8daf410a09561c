//! How long a run of so many rows takes: what the first look at the model found, corrected by how
//! long runs really take, which other work on the machine changes.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use crate::Profile;

/// The correction is kept in these parts.
const WHOLE: u32 = 256;
/// It moves by an eighth of what differs, within these bounds: a model may be slow for some requests that
/// was fast when it was looked at.
const LEAST: u32 = WHOLE / 8;
const MOST: u32 = WHOLE << 16;
/// One run that stood still does not make it larger than most are.
const AT_ONCE: u32 = 8;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Of each run, in seconds.
    fixed: f64,
    /// Of each row, in seconds.
    per_row: f64,
    correction: AtomicU32,
}

impl Pace {
    pub(crate) fn new(profile: &Profile) -> Self {
        let single = profile.single.as_secs_f64();
        let per_row = match profile.max_batch {
            // Rows are not known, or larger runs do not pay: each costs what one costs.
            0 | 1 => single,
            most => {
                let all = profile.per_row.as_secs_f64() * most as f64;
                ((all - single) / (most - 1) as f64).clamp(0.0, single)
            }
        };
        Self { fixed: single - per_row, per_row, correction: AtomicU32::new(WHOLE) }
    }

    fn seconds(&self, rows: usize) -> f64 {
        self.per_row.mul_add(rows as f64, self.fixed)
    }

    fn corrected(&self, seconds: f64) -> Duration {
        let correction = f64::from(self.correction.load(Relaxed)) / f64::from(WHOLE);
        Duration::try_from_secs_f64(seconds * correction).unwrap_or(Duration::MAX)
    }

    /// How long a run of so many rows will take.
    pub(crate) fn run(&self, rows: usize) -> Duration {
        self.corrected(self.seconds(rows))
    }

    /// How long so many rows keep these threads busy, in runs of at most `max_batch`.
    pub(crate) fn all(&self, rows: usize, max_batch: usize, threads: usize) -> Duration {
        let runs = rows as f64 / max_batch.max(1) as f64;
        self.corrected(self.seconds(max_batch) * runs / threads.max(1) as f64)
    }

    /// A run of so many rows took so long.
    pub(crate) fn ran(&self, rows: usize, took: Duration) {
        let guess = self.seconds(rows);
        if guess > 0.0 {
            let seen = (took.as_secs_f64() / guess * f64::from(WHOLE)) as u32;
            let before = self.correction.load(Relaxed);
            let seen = seen.min(before.saturating_mul(AT_ONCE)).clamp(LEAST, MOST);
            self.correction.store((before - before / 8 + seen / 8).clamp(LEAST, MOST), Relaxed);
        }
    }

    /// A request was given up by this guess. Were it wrong, it would never be seen to be: so it is
    /// believed a little less each time.
    pub(crate) fn gave_up(&self) {
        let before = self.correction.load(Relaxed);
        self.correction.store((before - before / 8).max(LEAST), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn near(one: Duration, other: Duration) -> bool {
        one.abs_diff(other) < other / 10
    }

    #[test]
    fn a_guess_is_what_was_measured_until_runs_take_longer() {
        let pace =
            Pace::new(&Profile { batchable: true, single: 10 * MS, max_batch: 8, per_row: 3 * MS });
        assert!(near(pace.run(1), 10 * MS) && near(pace.run(8), 24 * MS), "{pace:?}");
        assert!(near(pace.all(80, 8, 2), 120 * MS), "{:?}", pace.all(80, 8, 2));
        for _ in 0..50 {
            pace.ran(8, 240 * MS);
        }
        assert!(near(pace.run(1), 100 * MS), "{:?}", pace.run(1));
    }

    #[test]
    fn a_model_that_turns_slow_is_found_out_and_one_that_stood_still_is_not() {
        let profile = Profile { batchable: false, single: MS, max_batch: 1, per_row: MS };
        let pace = Pace::new(&profile);
        pace.ran(1, 10_000 * MS);
        assert!(pace.run(1) < 2 * MS, "{:?}", pace.run(1));
        for _ in 0..100 {
            pace.ran(1, 2_000 * MS);
        }
        assert!(near(pace.run(1), 2_000 * MS), "{:?}", pace.run(1));
    }

    #[test]
    fn a_guess_that_only_ever_gives_up_falls() {
        let pace = Pace::new(&Profile { batchable: false, single: MS, max_batch: 1, per_row: MS });
        for _ in 0..50 {
            pace.ran(1, 60 * MS);
        }
        let before = pace.run(1);
        for _ in 0..50 {
            pace.gave_up();
        }
        assert!(pace.run(1) < before / 20, "{before:?} {:?}", pace.run(1));
    }
}
