//! Numbers and lengths of time that know their range.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{bytes, parse_duration};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Bounded<const MIN: i32, const MAX: i32>(i32);

impl<const MIN: i32, const MAX: i32> Bounded<MIN, MAX> {
    /// The largest.
    pub const MAX: Self = Self(MAX);

    /// It.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl<const MIN: i32, const MAX: i32> TryFrom<i64> for Bounded<MIN, MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let fits = i32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        fits.map(Self).ok_or_else(|| format!("{number} is out of range: expected {MIN} to {MAX}"))
    }
}

impl<const MIN: i32, const MAX: i32> From<Bounded<MIN, MAX>> for i64 {
    fn from(number: Bounded<MIN, MAX>) -> Self {
        number.0.into()
    }
}

/// A length of time from `MIN` to `MAX` milliseconds, written like `250ms`, `2s` or `1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Span<const MIN: u64, const MAX: u64>(u64);

/// So that a number is refused with what is expected instead.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a length of time with its unit, like `250ms` or `2s`")]
enum Text {
    Text(String),
}

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    /// It.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Span<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = parse_duration(text)?.as_millis();
        let fits = u64::try_from(millis).ok().filter(|millis| (MIN..=MAX).contains(millis));
        fits.map(Self).ok_or_else(|| {
            format!("`{text}` is out of range: expected {} to {}", Self(MIN), Self(MAX))
        })
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<Text> for Span<MIN, MAX> {
    type Error = String;

    fn try_from(Text::Text(text): Text) -> Result<Self, String> {
        text.parse()
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Span<MIN, MAX> {
    /// In the largest unit that it is a multiple of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let unit = units.into_iter().find(|(size, _)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (size, unit) = unit.unwrap_or((1, "ms"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl<const MIN: u64, const MAX: u64> From<Span<MIN, MAX>> for String {
    fn from(span: Span<MIN, MAX>) -> Self {
        span.to_string()
    }
}

/// A number of bytes from `MIN` to `MAX`, written like `64KiB` or `8MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Size", into = "String")]
pub struct Bytes<const MIN: u64, const MAX: u64>(u64);

/// So that a number is refused with what is expected instead.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes with its unit, like `64KiB` or `8MiB`")]
enum Size {
    Text(String),
}

impl<const MIN: u64, const MAX: u64> Bytes<MIN, MAX> {
    /// The least.
    pub const MIN: u64 = MIN;

    /// It.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Bytes<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(60).collect();
        let Some(value) = bytes::read(text, bytes::UNITS) else {
            let expected = "a whole number with its unit, like `64KiB` or `8MiB`";
            return Err(format!("`{shown}`: expected {expected}"));
        };
        let fits = u64::try_from(value).ok().filter(|value| (MIN..=MAX).contains(value));
        fits.map(Self).ok_or_else(|| {
            format!("`{shown}` is out of range: expected {} to {}", Self(MIN), Self(MAX))
        })
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<Size> for Bytes<MIN, MAX> {
    type Error = String;

    fn try_from(Size::Text(text): Size) -> Result<Self, String> {
        text.parse()
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Bytes<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bytes::show(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> From<Bytes<MIN, MAX>> for String {
    fn from(size: Bytes<MIN, MAX>) -> Self {
        size.to_string()
    }
}
