//! LightGBM's models: its `Booster`.

mod text;

use std::borrow::Cow;

use self::text::{Lines, Tree};
use crate::{
    Error, Predictions,
    error::{broken, unknown},
    forest::{Forest, Scalar},
};

/// What objectives make of sums.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Link {
    Identity,
    /// The square, with the sum's sign.
    Square,
    /// A probability of each sum, by this steepness.
    Logistic(f64),
    Exponential,
    /// The logarithm of one more than the power.
    LogOnePlusPower,
    Softmax,
}

#[derive(Debug)]
pub(crate) struct Lightgbm {
    forest: Forest<f64>,
    /// What sums are divided by where trees are averaged.
    rounds: Option<f64>,
    link: Link,
}

impl Lightgbm {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| broken("it is no UTF-8"))?;
        let mut lines = Lines::new(text)?;
        let head = lines.head()?;
        match head.version {
            "v3" | "v4" => {}
            other => return Err(unknown("the format of LightGBM", other)),
        }
        let features = head.max_feature_idx.checked_add(1).ok_or_else(|| broken("its features"))?;
        let groups = head.num_tree_per_iteration;
        let mut forest = Forest::new(features, groups)?;
        while let Some(tree) = lines.tree()? {
            plant(&mut forest, &tree)?;
        }
        let trees = forest.trees();
        if trees == 0 || trees % groups != 0 {
            return Err(broken(format!("it has {trees} trees for rounds of {groups}")));
        }
        if let Some(categories) = lines.pandas_categories() {
            return Err(unknown("a data frame's column of categories", categories));
        }
        let rounds = head.is_averaged.then_some((trees / groups) as f64);
        Ok(Self { forest, rounds, link: Link::of(head.objective)? })
    }

    pub(crate) const fn features(&self) -> usize {
        self.forest.features()
    }

    pub(crate) const fn width(&self) -> usize {
        self.forest.groups()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.forest.bytes()
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, f64)> {
        let categories = self.forest.categories();
        self.forest.thresholds().chain(categories.map(|(feature, at)| (feature, f64::from(at))))
    }

    pub(crate) fn predict(&self, rows: &[f64], said: &mut Predictions) {
        let mut sums = vec![0.0; rows.len() / self.features() * self.width()];
        self.forest.add(&rounded(rows), &mut sums);
        if let Some(rounds) = self.rounds {
            sums.iter_mut().for_each(|x| *x /= rounds);
        }
        self.link.apply(&mut sums, self.width());
        if let Predictions::F64(said) = said {
            said.append(&mut sums);
        }
    }
}

/// What is nearly zero is zero, as the library takes it from a row.
fn rounded(rows: &[f64]) -> Cow<'_, [f64]> {
    let is_tiny = |x: &f64| x.is_zero() && *x != 0.0;
    if !rows.iter().any(is_tiny) {
        return Cow::Borrowed(rows);
    }
    rows.iter().map(|x| if is_tiny(x) { 0.0 } else { *x }).collect()
}

fn plant(forest: &mut Forest<f64>, tree: &Tree) -> Result<(), Error> {
    let (group, count) = (forest.trees() % forest.groups(), tree.nodes());
    forest.plant(group, count, |node| tree.node(node))
}

impl Link {
    /// By the file's words: the objective's name, then its settings.
    fn of(objective: Option<&str>) -> Result<Self, Error> {
        // One of its user's own, which answers sums.
        let Some(objective) = objective else { return Ok(Self::Identity) };
        let mut words = objective.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (mut sigmoid, mut is_square) = (1.0, false);
        for word in words {
            match word.split_once(':') {
                Some(("sigmoid", value)) => sigmoid = text::number("sigmoid", value)?,
                None if word == "sqrt" => is_square = true,
                Some(("num_class" | "alpha" | "c" | "fair_c" | "tweedie_variance_power", _)) => {}
                _ => return Err(unknown("in its objective", word)),
            }
        }
        Ok(match name {
            "regression" if is_square => Self::Square,
            _ if is_square => return Err(unknown("in its objective", "sqrt")),
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
            | "lambdarank" | "rank_xendcg" => Self::Identity,
            "poisson" | "gamma" | "tweedie" => Self::Exponential,
            "binary" | "multiclassova" => Self::Logistic(sigmoid),
            "cross_entropy" => Self::Logistic(1.0),
            "cross_entropy_lambda" => Self::LogOnePlusPower,
            "multiclass" => Self::Softmax,
            other => return Err(unknown("its objective", other)),
        })
    }

    fn apply(self, sums: &mut [f64], groups: usize) {
        match self {
            Self::Identity => {}
            Self::Square => sums.iter_mut().for_each(|x| *x = x.signum() * *x * *x),
            Self::Logistic(steepness) => {
                sums.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-steepness * *x).exp()));
            }
            Self::Exponential => sums.iter_mut().for_each(|x| *x = x.exp()),
            Self::LogOnePlusPower => sums.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Self::Softmax => sums.chunks_exact_mut(groups).for_each(|row| {
                let largest = row.iter().copied().fold(f64::MIN, f64::max);
                row.iter_mut().for_each(|x| *x = (*x - largest).exp());
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|x| *x /= sum);
            }),
        }
    }
}
