//! What objectives make of sums, and of the score where sums begin.

use crate::{Error, error::unknown};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Identity,
    /// A probability of each sum.
    Logistic,
    Exponential,
    /// 1 where the sum is positive.
    Hinge,
    /// Probabilities that belong together.
    Softmax,
    /// Which sum is the largest.
    LargestIs,
}

impl Link {
    pub(super) fn of(objective: &str) -> Result<Self, Error> {
        Ok(match objective {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "rank:pairwise"
            | "binary:logitraw"
            | "rank:ndcg"
            | "rank:map" => Self::Identity,
            "binary:logistic" | "reg:logistic" => Self::Logistic,
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                Self::Exponential
            }
            "binary:hinge" => Self::Hinge,
            "multi:softprob" => Self::Softmax,
            "multi:softmax" => Self::LargestIs,
            other => return Err(unknown("its objective", other)),
        })
    }

    /// The sum that a score is said of.
    pub(super) fn margin(self, score: f32) -> f32 {
        match self {
            Self::Logistic => -(1.0 / score - 1.0).ln(),
            Self::Exponential => score.ln(),
            Self::Identity | Self::Hinge | Self::Softmax | Self::LargestIs => score,
        }
    }

    /// What is said of sums, of which each row has so many.
    pub(super) fn apply(self, mut sums: Vec<f32>, groups: usize) -> Vec<f32> {
        match self {
            Self::Identity => {}
            Self::Logistic => sums.iter_mut().for_each(|x| *x = logistic(*x)),
            Self::Exponential => sums.iter_mut().for_each(|x| *x = x.exp()),
            Self::Hinge => sums.iter_mut().for_each(|x| *x = f32::from(u8::from(*x > 0.0))),
            Self::Softmax => sums.chunks_exact_mut(groups).for_each(softmax),
            Self::LargestIs => {
                return sums.chunks_exact(groups).map(|row| largest(row) as f32).collect();
            }
        }
        sums
    }
}

/// As XGBoost has it, to the bit: bounded where the power would be infinite.
fn logistic(x: f32) -> f32 {
    1.0 / ((-x).min(88.7).exp() + 1.0 + 1e-16)
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0_f64;
    for x in row.iter_mut() {
        *x = (*x - largest).exp();
        sum += f64::from(*x);
    }
    row.iter_mut().for_each(|x| *x /= sum as f32);
}

/// The place of the largest; of equal ones, of the first.
pub(super) fn largest(row: &[f32]) -> usize {
    let mut found = 0;
    for (at, x) in row.iter().enumerate() {
        if row.get(found).is_some_and(|most| x > most) {
            found = at;
        }
    }
    found
}
