//! A column of numbers.

use datasketches::{
    common::SearchCriteria,
    kll::{KllFloat, KllSketch},
};

use super::{
    Unreadable,
    bytes::{Reader, Writer},
};

/// Ranks of quantiles err by 0.68 % at most, and not at all for some hundred values.
const K: u16 = 400;

type Kll = KllSketch<KllFloat<f64>>;

/// Counts, moments and range exactly; quantiles by a sketch. What is null, NaN or infinite is missing.
#[derive(Debug, Clone)]
pub struct Numeric {
    /// How many numbers.
    pub count: u64,
    /// How many were missing.
    pub missing: u64,
    mean: f64,
    /// The sum of squared distances from the mean, by Welford.
    squares: f64,
    least: f64,
    most: f64,
    quantiles: Kll,
}

impl Default for Numeric {
    fn default() -> Self {
        // The one way to make one without a size that could be wrong; `K` is none that is.
        let quantiles = Kll::new(K).unwrap_or_default();
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { count: 0, missing: 0, mean: 0.0, squares: 0.0, least, most, quantiles }
    }
}

impl Numeric {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let Some(finite) = KllFloat::<f64>::new(value).ok().filter(|it| it.is_finite()) else {
            self.missing += 1;
            return;
        };
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        self.quantiles.update(finite);
    }

    /// The mean; absent while there is no number.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The population's variance.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares / self.count as f64)
    }

    /// The least and the greatest.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        (self.count > 0).then_some((self.least, self.most))
    }

    /// The number that this share of numbers is not greater than.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let found = self.quantiles.quantile(share, SearchCriteria::Inclusive).ok()??;
        Some(found.into_inner())
    }

    #[cfg(test)]
    pub(super) fn quantiles_of(&self) -> u64 {
        self.quantiles.n()
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<(), Unreadable> {
        self.quantiles.merge(&other.quantiles).map_err(|_| Unreadable)?;
        self.missing = self.missing.saturating_add(other.missing);
        if other.count == 0 {
            return Ok(());
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        let all = ours + theirs;
        self.mean += distance * theirs / all;
        self.squares += other.squares + distance * distance * ours * theirs / all;
        self.count = self.count.saturating_add(other.count);
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        Ok(())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.count);
        writer.u64(self.missing);
        for number in [self.mean, self.squares, self.least, self.most] {
            writer.f64(number);
        }
        writer.bytes(&self.quantiles.serialize());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (count, missing) = (reader.u64()?, reader.u64()?);
        let (mean, squares, least, most) =
            (reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?);
        let quantiles = Kll::deserialize(reader.bytes()?).map_err(|_| Unreadable)?;
        if quantiles.n() != count || quantiles.k() != K {
            return Err(Unreadable);
        }
        Ok(Self { count, missing, mean, squares, least, most, quantiles })
    }
}
