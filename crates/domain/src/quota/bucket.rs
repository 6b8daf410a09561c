//! The arithmetic of rates: a token bucket that all gateways share, and what one of them has
//! leased of it.

use std::time::Duration;

/// A token bucket: `rate` tokens a second flow in until `burst` are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Tokens a second.
    pub rate: u64,
    /// The most that it holds; at least one, where the rate is not nought.
    pub burst: u64,
}

impl Bucket {
    /// A gateway keeps a lease for that long.
    pub const LEASE: Duration = Duration::from_millis(250);

    /// A bucket of that rate. Without a burst of its own it holds what flows in in a second.
    #[must_use]
    pub fn new(rate: u64, burst: Option<u64>) -> Self {
        let burst = if rate == 0 { 0 } else { burst.unwrap_or(rate).max(1) };
        Self { rate, burst }
    }

    /// How many tokens a gateway asks for at a time, if no more requests wait: those of
    /// [`Bucket::LEASE`].
    #[must_use]
    pub fn lease(self) -> u64 {
        let share = u128::from(self.rate) * Bucket::LEASE.as_millis() / 1_000;
        u64::try_from(share).unwrap_or(u64::MAX).max(1)
    }

    /// What is in the bucket after some time, of what was in it. Time that runs backwards adds
    /// nothing.
    #[must_use]
    pub fn level(self, before: f64, elapsed: Duration) -> f64 {
        let more = elapsed.as_secs_f64() * self.rate as f64;
        (before + more).clamp(0.0, self.burst as f64)
    }

    /// How long it takes until there is a whole token, of what is in the bucket; for ever, where
    /// nothing flows in.
    #[must_use]
    pub fn until_next(self, level: f64) -> Duration {
        if self.rate == 0 {
            return Duration::MAX;
        }
        let missing = (1.0 - level).max(0.0);
        Duration::try_from_secs_f64(missing / self.rate as f64).unwrap_or(Duration::MAX)
    }
}

/// What a gateway goes by while nobody can be asked: its own bucket, at the rate of its last leases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lease {
    /// Tokens a second.
    pub rate: f64,
    /// What is there.
    pub tokens: f64,
}

impl Lease {
    /// Lets time pass: no more gathers than flows in in a second, or one token.
    #[must_use]
    pub fn after(self, elapsed: Duration) -> Self {
        let most = self.rate.max(1.0);
        let tokens = (self.tokens + elapsed.as_secs_f64() * self.rate).clamp(0.0, most);
        Self { tokens, ..self }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self) -> bool {
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_holds_a_second_unless_told_otherwise() {
        assert_eq!(Bucket::new(50, None).burst, 50);
        assert_eq!(Bucket::new(50, Some(200)).burst, 200);
        assert_eq!(Bucket::new(50, Some(0)).burst, 1);
        assert_eq!(Bucket::new(0, Some(9)).burst, 0);
        assert_eq!(
            [0, 1, 100, 10_000].map(|rate| Bucket::new(rate, None).lease()),
            [1, 1, 25, 2_500]
        );
        assert_eq!(Bucket::new(0, None).until_next(0.0), Duration::MAX);
    }

    proptest! {
        /// Gateways lease of one bucket, use what they have while it is fresh, and give back what
        /// is left: never more than flows in, and the burst, and the leases that were out.
        #[test]
        fn no_more_gets_through_than_rate_burst_and_leases(
            rate in 1_u64..5_000,
            burst in 1_u64..5_000,
            steps in prop::collection::vec((0_usize..3, 0_u64..400, 1_u64..300), 1..200),
        ) {
            let bucket = Bucket::new(rate, Some(burst));
            let (mut level, mut elapsed) = (bucket.burst as f64, Duration::ZERO);
            let mut held = [0_u64; 3];
            let mut through = 0_u64;
            for (gateway, wait, requests) in steps {
                let wait = Duration::from_millis(wait);
                elapsed += wait;
                level = bucket.level(level, wait);
                for _ in 0..requests {
                    if held[gateway] == 0 {
                        let granted = (level.floor() as u64).min(bucket.lease());
                        level -= granted as f64;
                        held[gateway] = granted;
                    }
                    if held[gateway] == 0 {
                        break;
                    }
                    held[gateway] -= 1;
                    through += 1;
                }
                if wait > Bucket::LEASE {
                    level = (level + held[gateway] as f64).min(bucket.burst as f64);
                    held[gateway] = 0;
                }
                let most = elapsed.as_secs_f64() * rate as f64 + bucket.burst as f64;
                prop_assert!(through as f64 <= most + 1e-6, "{through} of {most}");
            }
        }

        #[test]
        fn levels_stay_within_the_bucket(rate in any::<u64>(), burst in any::<u64>(), before in -1e30..1e30_f64, millis in any::<u64>()) {
            let bucket = Bucket::new(rate, Some(burst));
            let level = bucket.level(before, Duration::from_millis(millis));
            prop_assert!((0.0..=bucket.burst as f64).contains(&level));
            prop_assert!(bucket.lease() >= 1);
            let _ = bucket.until_next(level);
        }

        #[test]
        fn alone_a_gateway_lets_through_no_more_than_its_rate_and_a_second(
            rate in 0.0..1_000.0_f64,
            waits in prop::collection::vec(0_u64..500, 1..300),
        ) {
            let (mut lease, mut elapsed, mut through) = (Lease { rate, tokens: 0.0 }, 0.0, 0);
            for wait in waits {
                lease = lease.after(Duration::from_millis(wait));
                elapsed += wait as f64 / 1_000.0;
                while lease.take() {
                    through += 1;
                }
                prop_assert!(f64::from(through) <= elapsed * rate + 1e-6);
            }
        }
    }
}
