//! How much: a number with its unit, or no limit.

use std::{fmt, ops::RangeInclusive};

use super::{Key, Kind};
use crate::{Problem, bytes};

/// The most that a limit may be: what a row can keep.
const MOST: u64 = i64::MAX.unsigned_abs();

const COUNTS: &[(&str, u64)] = &[("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

/// What a weight may be.
const WEIGHTS: RangeInclusive<u64> = 1..=1_000;

/// As much of what somebody wrote as helps to find it.
fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_default).collect()
}

/// What a quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// That much.
    AtMost(u64),
    /// Any.
    Unlimited,
}

impl Amount {
    /// Reads `50`, `10k`, `10GiB` or `unlimited` as a limit of `key`. Bytes need a unit: `10` alone
    /// would mean less than whoever wrote it thinks.
    ///
    /// # Errors
    /// It is none; it is too large; the key cannot be limited yet.
    pub fn parse(key: Key, text: &str) -> Result<Self, Problem> {
        let field = format!("limits.{key}");
        if key.kind() == Kind::Absent {
            let message =
                format!("`{key}` cannot be limited yet: replicas have no size of their own");
            return Err(Problem::invalid(field, message).hint("limit `replicas`"));
        }
        let text = text.trim();
        if key.kind() == Kind::Share {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let weight = text.parse().ok().filter(|weight| is_plain && WEIGHTS.contains(weight));
            return weight.map(Self::AtMost).ok_or_else(|| {
                let (least, most) = (WEIGHTS.start(), WEIGHTS.end());
                let message =
                    format!("`{}`: expected a whole number from {least} to {most}", shown(text));
                Problem::invalid(field, message).hint("3 is three times the share of who has 1")
            });
        }
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let (units, expected) = if key.is_bytes() {
            (
                bytes::UNITS,
                "a whole number with its unit, like 10GiB (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB), or unlimited",
            )
        } else {
            (COUNTS, "a whole number, like 50, 10k or 2M, or unlimited")
        };
        let Some(value) = bytes::read(text, units) else {
            let message = format!("`{}`: expected {expected}", shown(text));
            return Err(Problem::invalid(field, message));
        };
        match u64::try_from(value).ok().filter(|value| *value <= MOST) {
            Some(value) => Ok(Self::AtMost(value)),
            None => {
                let message = format!(
                    "`{}` is too large: expected at most {MOST}",
                    &text[..text.len().min(60)]
                );
                Err(Problem::invalid(field, message).hint("write unlimited for no limit"))
            }
        }
    }

    /// As rows keep it: absent for no limit.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        match self {
            Self::AtMost(value) => Some(value),
            Self::Unlimited => None,
        }
    }

    /// What rows keep.
    #[must_use]
    pub const fn of(limit: Option<u64>) -> Self {
        match limit {
            Some(value) => Self::AtMost(value),
            None => Self::Unlimited,
        }
    }

    /// As people write it.
    #[must_use]
    pub const fn show(self, key: Key) -> Shown {
        Shown { amount: self, is_bytes: key.is_bytes() }
    }
}

/// An amount as people write it; see [`Amount::show`].
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    amount: Amount,
    is_bytes: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            Amount::Unlimited => f.write_str("unlimited"),
            Amount::AtMost(value) if !self.is_bytes => value.fmt(f),
            Amount::AtMost(value) => f.write_str(&bytes::show(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_carry_their_unit() {
        for (key, text, value) in [
            (Key::Models, "50", Some(50)),
            (Key::Models, "0", Some(0)),
            (Key::PredictionsPerMonth, "10k", Some(10_000)),
            (Key::PredictionsPerMonth, " 2M ", Some(2_000_000)),
            (Key::ArtifactBytes, "10GiB", Some(10 << 30)),
            (Key::ArtifactBytes, "10 GB", Some(10_000_000_000)),
            (Key::ArtifactBytes, "0B", Some(0)),
            (Key::ArtifactBytes, "unlimited", None),
            (Key::Burst, "unlimited", None),
            (Key::Weight, "3", Some(3)),
            (Key::Weight, " 1000 ", Some(1_000)),
        ] {
            assert_eq!(Amount::parse(key, text).unwrap(), Amount::of(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_by_the_name_of_its_quota() {
        for (key, text) in [
            (Key::Models, "-1"),
            (Key::Models, "+1"),
            (Key::Models, "1.5"),
            (Key::Models, "NaN"),
            (Key::Models, "inf"),
            (Key::Models, "1e3"),
            (Key::Models, ""),
            (Key::Models, "k"),
            (Key::Models, "10GiB"),
            (Key::Models, "Unlimited"),
            (Key::Models, "9223372036854775808"),
            (Key::Models, "99999999999999999999999999"),
            (Key::Models, "18446744073709551G"),
            (Key::Models, "١٢"),
            (Key::ArtifactBytes, "10"),
            (Key::ArtifactBytes, "0"),
            (Key::ArtifactBytes, "10k"),
            (Key::ArtifactBytes, "-1GiB"),
            (Key::ArtifactBytes, "8192PiB"),
            (Key::ArtifactBytes, "99999999999PiB"),
            (Key::Weight, "0"),
            (Key::Weight, "1001"),
            (Key::Weight, "unlimited"),
            (Key::Weight, "1k"),
            (Key::Weight, "-3"),
            (Key::Weight, "+3"),
            (Key::Cpu, "2"),
            (Key::MemoryBytes, "1GiB"),
            (Key::MemoryBytes, "unlimited"),
        ] {
            let problem = Amount::parse(key, text).expect_err(text);
            assert_eq!(problem.field, Some(format!("limits.{key}")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(value in 0..=MOST) {
            for key in [Key::Models, Key::ArtifactBytes] {
                let amount = Amount::AtMost(value);
                let shown = amount.show(key).to_string();
                prop_assert_eq!(Amount::parse(key, &shown).unwrap(), amount);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            for key in Key::ALL {
                let _ = Amount::parse(*key, &text);
            }
        }
    }
}
