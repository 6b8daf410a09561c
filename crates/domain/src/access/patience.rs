//! How long whoever fails to log in must wait.

use chrono::TimeDelta;

/// What failures cost: some nothing, the next one second, each further one twice as much, up to the
/// longest wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How many failures cost nothing.
    pub free: i32,
    /// The longest wait.
    pub longest: TimeDelta,
}

impl Patience {
    /// With one account, from one address.
    pub const ACCOUNT: Self = Self { free: 5, longest: TimeDelta::minutes(15) };
    /// With whatever accounts, from one address. Many people may be behind one.
    pub const ADDRESS: Self = Self { free: 50, longest: TimeDelta::minutes(5) };
    /// After how long without a failure all is forgotten.
    pub const FORGET: TimeDelta = TimeDelta::hours(1);

    /// How long to wait after this many failures.
    #[must_use]
    pub fn wait(self, failures: i32) -> TimeDelta {
        match failures.saturating_sub(self.free) {
            ..=0 => TimeDelta::zero(),
            beyond => TimeDelta::seconds(1 << (beyond - 1).min(20)).min(self.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_twofold_up_to_the_longest() {
        let seconds = |failures| Patience::ACCOUNT.wait(failures).num_seconds();
        assert_eq!([0, 1, 5].map(seconds), [0, 0, 0]);
        assert_eq!([6, 7, 8, 9].map(seconds), [1, 2, 4, 8]);
        assert_eq!([15, 16, 100, i32::MAX].map(seconds), [512, 900, 900, 900]);
    }
}
