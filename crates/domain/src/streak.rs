//! Failures in a row of something that is tried again and again.

use std::time::Duration;

/// Counts failures in a row: the waits between tries grow, and only the first failure is news.
#[derive(Debug, Default)]
pub struct Streak(u32);

impl Streak {
    const SHORTEST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);

    /// One more failure. Answers how long to wait before the next try.
    pub fn failed(&mut self) -> Duration {
        self.0 = self.0.saturating_add(1);
        let factor = 2_u32.saturating_pow(self.0.saturating_sub(1).min(16));
        Self::SHORTEST.saturating_mul(factor).min(Self::LONGEST)
    }

    /// Whether the failure just counted is the first in its row, and so worth a line in the log.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        self.0 == 1
    }

    /// A success. Answers whether it ends a row of failures.
    pub fn ended(&mut self) -> bool {
        std::mem::take(&mut self.0) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew_after_a_success() {
        let mut streak = Streak::default();
        let waits: Vec<_> = (0..40).map(|_| streak.failed().as_millis()).collect();
        assert_eq!(waits[..6], [250, 500, 1000, 2000, 4000, 5000]);
        assert_eq!(waits[39], 5000);
        assert!(streak.ended());
        assert_eq!(streak.failed().as_millis(), 250);
    }

    #[test]
    fn only_the_first_failure_in_a_row_is_news() {
        let mut streak = Streak::default();
        assert!(!streak.ended());
        streak.failed();
        assert!(streak.is_news());
        streak.failed();
        assert!(!streak.is_news());
    }
}
