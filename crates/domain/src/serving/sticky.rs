//! The same key gets the same version.
//!
//! Weighted rendezvous: each version draws a number from the key, and the largest in proportion to
//! its weight wins. What a version draws depends on nothing but the endpoint, the key and itself: where
//! weights change, keys move only to versions that grow more, in proportion, than those they leave, and
//! every node and every release decides alike. No state, and nothing to be kept in step.

use std::fmt;

use crate::Hasher;

/// Between the parts of what is hashed: no name of an endpoint has it.
const END: u8 = 0;

/// Takes a key, in parts, and says whose it is.
pub struct Chooser(Hasher);

impl Chooser {
    /// For keys of this endpoint.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        let mut hash = Hasher::default();
        hash.update(endpoint.as_bytes());
        hash.update(&[END]);
        Self(hash)
    }

    /// A part of the key: its end is no mark, so that `ab` is `a` and `b`.
    pub fn feed(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The position of the key's version among versions of these numbers and weights; absent where
    /// none has a weight.
    #[must_use]
    pub fn choose(self, shares: impl IntoIterator<Item = (i32, i32)>) -> Option<usize> {
        let digest = self.0.finish();
        let (first, _) = digest.as_bytes().split_first_chunk::<8>()?;
        let key = u64::from_be_bytes(*first);
        let mut best: Option<(f64, usize)> = None;
        for (at, (number, weight)) in shares.into_iter().enumerate() {
            if weight <= 0 {
                continue;
            }
            // An exponential clock of the rate of its weight: the first to ring is drawn in
            // proportion to it.
            let rings = -drawn(key, number).ln() / f64::from(weight);
            if best.is_none_or(|(first, _)| rings < first) {
                best = Some((rings, at));
            }
        }
        best.map(|(_, at)| at)
    }
}

impl fmt::Write for Chooser {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.feed(part.as_bytes());
        Ok(())
    }
}

/// What a version draws from a key, above 0 and up to 1.
fn drawn(key: u64, number: i32) -> f64 {
    // The step and the finish of SplitMix64.
    let step = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(number.unsigned_abs()));
    let mut mixed = key.wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    const BITS: u32 = 53; // as many as an f64 tells apart
    ((mixed >> (64 - BITS)) + 1) as f64 / (1_u64 << BITS) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(endpoint: &str, key: &str, shares: &[(i32, i32)]) -> i32 {
        let mut chooser = Chooser::new(endpoint);
        chooser.feed(key.as_bytes());
        let at = chooser.choose(shares.iter().copied()).unwrap();
        shares[at].0
    }

    /// Weights that sum to 100, some of them 0.
    fn weights() -> impl Strategy<Value = Vec<i32>> {
        prop::collection::vec(0..100_i32, 2..6).prop_filter_map("no weight", |raw| {
            let sum: i32 = raw.iter().sum();
            let mut weights: Vec<i32> = raw.iter().map(|it| it * 100 / sum.max(1)).collect();
            let left = 100 - weights.iter().sum::<i32>();
            *weights.iter_mut().max()? += left;
            (sum > 0).then_some(weights)
        })
    }

    fn numbered(weights: &[i32]) -> Vec<(i32, i32)> {
        (1..).zip(weights.iter().copied()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn weights_are_kept_over_keys(weights in weights(), endpoint in "[a-z]{1,8}") {
            let shares = numbered(&weights);
            let keys = 10_000;
            let mut counts = vec![0_i32; shares.len()];
            for key in 0..keys {
                counts[chosen(&endpoint, &key.to_string(), &shares) as usize - 1] += 1;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                // Six times the standard deviation of a fair draw, and nothing for a weight of 0.
                let p = f64::from(weight) / 100.0;
                let bound = 6.0 * (f64::from(keys) * p * (1.0 - p)).sqrt();
                let off = f64::from(count) - f64::from(keys) * p;
                prop_assert!(off.abs() <= bound, "{count} of {keys} at {weight} %");
            }
        }

        #[test]
        fn keys_move_only_from_what_shrinks_to_what_grows(
            (before, after) in (2..6_usize).prop_flat_map(|count| {
                let some = prop::collection::vec(1..100_i32, count);
                (some.clone(), some)
            }),
        ) {
            let (before, after) = (numbered(&before), numbered(&after));
            let share = |of: &[(i32, i32)], number: i32| {
                let sum: i32 = of.iter().map(|(_, weight)| weight).sum();
                f64::from(of[number as usize - 1].1) / f64::from(sum)
            };
            // Proportions of weights decide, not weights: as where all sum to 100.
            let grown = |number| share(&after, number) / share(&before, number);
            for key in 0..300 {
                let key = key.to_string();
                let (was, is) = (chosen("e", &key, &before), chosen("e", &key, &after));
                prop_assert!(was == is || grown(is) > grown(was), "{was} to {is}");
            }
        }

        #[test]
        fn the_order_of_versions_means_nothing(weights in weights(), key in ".{0,20}") {
            let mut shares = numbered(&weights);
            let chosen_first = chosen("e", &key, &shares);
            shares.reverse();
            prop_assert_eq!(chosen_first, chosen("e", &key, &shares));
        }
    }

    #[test]
    fn a_key_stays_where_it_is_for_good() {
        // Whoever changes this moves every key of every endpoint.
        let shares = [(1, 50), (2, 50)];
        let told: Vec<i32> =
            (0..16).map(|key| chosen("fraud", &key.to_string(), &shares)).collect();
        assert_eq!(told, [1, 2, 1, 2, 2, 1, 2, 2, 1, 1, 2, 1, 1, 1, 2, 1]);
    }

    #[test]
    fn endpoints_split_independently() {
        let shares = [(1, 50), (2, 50)];
        let both = (0..10_000)
            .map(|key| key.to_string())
            .filter(|key| chosen("one", key, &shares) == chosen("other", key, &shares))
            .count();
        assert!((4_500..5_500).contains(&both), "{both}");
    }

    #[test]
    fn parts_are_one_key_and_no_weight_is_no_version() {
        let mut parts = Chooser::new("fraud");
        parts.feed(b"a");
        parts.feed(b"b");
        let shares = [(1, 50), (2, 50)];
        let at = parts.choose(shares).unwrap();
        assert_eq!(shares[at].0, chosen("fraud", "ab", &shares));
        assert_eq!(Chooser::new("fraud").choose([(1, 0)]), None);
    }
}
