//! The file: lines of `key=value`, a head and then a paragraph for each tree.

use std::{iter::Peekable, str::FromStr};

use crate::{
    Error,
    error::{broken, unknown},
    forest::{Missing, Source, Test},
};

/// What is said of the whole model.
pub(super) struct Head<'a> {
    pub(super) version: &'a str,
    pub(super) num_tree_per_iteration: usize,
    pub(super) max_feature_idx: usize,
    pub(super) objective: Option<&'a str>,
    pub(super) is_averaged: bool,
}

/// The file, read from its begin.
pub(super) struct Lines<'a> {
    lines: Peekable<std::str::Lines<'a>>,
}

/// A tree of one leaf more than it has splits.
#[derive(Default)]
pub(super) struct Tree {
    split_feature: Vec<usize>,
    threshold: Vec<f64>,
    decision_type: Vec<u8>,
    /// A split, or a leaf as -1 less its place.
    left_child: Vec<i32>,
    right_child: Vec<i32>,
    leaf_value: Vec<f64>,
    /// Where each set's words begin in `cat_threshold`, and where the last ends.
    cat_boundaries: Vec<usize>,
    cat_threshold: Vec<u32>,
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

pub(super) fn number<T: FromStr>(field: &str, text: &str) -> Result<T, Error> {
    text.trim().parse().map_err(|_| broken(format!("its `{field}` has `{}`", shown(text))))
}

fn numbers<T: FromStr>(field: &str, text: &str) -> Result<Vec<T>, Error> {
    text.split_ascii_whitespace().map(|word| number(field, word)).collect()
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, Error> {
        let mut lines = text.lines().peekable();
        match lines.next().map(str::trim_end) {
            Some("tree") => Ok(Self { lines }),
            _ => Err(broken("it does not begin as LightGBM's text does")),
        }
    }

    /// All before the first tree.
    pub(super) fn head(&mut self) -> Result<Head<'a>, Error> {
        let (mut version, mut per_round, mut features) = (None, None, None);
        let (mut objective, mut is_averaged) = (None, false);
        while let Some(line) =
            self.lines.next_if(|line| !line.starts_with("Tree=") && !is_end(line))
        {
            let line = line.trim_end();
            match line.split_once('=') {
                Some(("version", value)) => version = Some(value),
                Some(("num_tree_per_iteration", value)) => {
                    per_round = Some(number("num_tree_per_iteration", value)?);
                }
                Some(("max_feature_idx", value)) => {
                    features = Some(number("max_feature_idx", value)?);
                }
                Some(("objective", value)) => objective = Some(value),
                None if line == "average_output" => is_averaged = true,
                _ => {}
            }
        }
        let missing = |field: &str| broken(format!("it has no `{field}`"));
        Ok(Head {
            version: version.ok_or_else(|| missing("version"))?,
            num_tree_per_iteration: per_round.ok_or_else(|| missing("num_tree_per_iteration"))?,
            max_feature_idx: features.ok_or_else(|| missing("max_feature_idx"))?,
            objective,
            is_averaged,
        })
    }

    /// The next tree, until they end.
    pub(super) fn tree(&mut self) -> Result<Option<Tree>, Error> {
        let begin = self.lines.next().ok_or_else(|| broken("it ends early"))?;
        if is_end(begin) {
            return Ok(None);
        }
        let mut tree = Tree::default();
        while let Some(line) =
            self.lines.next_if(|line| !line.starts_with("Tree=") && !is_end(line))
        {
            if let Some((key, value)) = line.trim_end().split_once('=') {
                tree.take(key, value)?;
            }
        }
        tree.check()?;
        Ok(Some(tree))
    }

    /// The categories that a data frame had in training, if it had any.
    pub(super) fn pandas_categories(self) -> Option<&'a str> {
        let mut said = self.lines.filter_map(|line| line.strip_prefix("pandas_categorical:"));
        said.next_back().map(str::trim).filter(|said| !matches!(*said, "null" | "[]" | ""))
    }
}

fn is_end(line: &str) -> bool {
    line.starts_with("end of trees")
}

impl Tree {
    fn take(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "split_feature" => self.split_feature = numbers(key, value)?,
            "threshold" => self.threshold = numbers(key, value)?,
            "decision_type" => self.decision_type = numbers(key, value)?,
            "left_child" => self.left_child = numbers(key, value)?,
            "right_child" => self.right_child = numbers(key, value)?,
            "leaf_value" => self.leaf_value = numbers(key, value)?,
            "cat_boundaries" => self.cat_boundaries = numbers(key, value)?,
            "cat_threshold" => self.cat_threshold = numbers(key, value)?,
            "is_linear" if value.trim() != "0" => return Err(unknown("a tree of", "linear_tree")),
            _ => {}
        }
        Ok(())
    }

    /// Splits and leaves together.
    pub(super) const fn nodes(&self) -> usize {
        self.split_feature.len() + self.leaf_value.len()
    }

    fn check(&self) -> Result<(), Error> {
        let (splits, leaves) = (self.split_feature.len(), self.leaf_value.len());
        let lengths = [
            self.threshold.len(),
            self.decision_type.len(),
            self.left_child.len(),
            self.right_child.len(),
        ];
        if leaves != splits + 1 || lengths.iter().any(|&length| length != splits) {
            return Err(broken(format!(
                "a tree of {splits} splits and {leaves} leaves has lists of {lengths:?}"
            )));
        }
        Ok(())
    }

    /// A split, or behind all of them a leaf.
    pub(super) fn node(&self, at: usize) -> Result<Source<f64>, Error> {
        let splits = self.split_feature.len();
        let lost = || broken(format!("a tree of {splits} splits has no node {at}"));
        if at >= splits {
            return self
                .leaf_value
                .get(at - splits)
                .map(|&value| Source::Leaf(value))
                .ok_or_else(lost);
        }
        let child = |children: &[i32]| -> Result<usize, Error> {
            let child = *children.get(at).ok_or_else(lost)?;
            // A split's own number, or the complement of a leaf's.
            Ok(usize::try_from(child).unwrap_or_else(|_| splits + !child as usize))
        };
        let (left, right) = (child(&self.left_child)?, child(&self.right_child)?);
        let feature = *self.split_feature.get(at).ok_or_else(lost)?;
        let decision = *self.decision_type.get(at).ok_or_else(lost)?;
        let threshold = *self.threshold.get(at).ok_or_else(lost)?;
        if decision & 1 == 1 {
            let (test, missing) =
                (Test::Set(self.set(threshold)?), Missing::Goes { left: false, with_zeros: false });
            return Ok(Source::Split { feature, test, missing, left, right });
        }
        let goes = |with_zeros| Missing::Goes { left: decision & 2 != 0, with_zeros };
        let missing = match decision >> 2 & 3 {
            0 => Missing::IsZero,
            1 => goes(true),
            2 => goes(false),
            _ => return Err(unknown("the kind of split", &decision.to_string())),
        };
        Ok(Source::Split { feature, test: Test::Threshold(threshold), missing, left, right })
    }

    /// The categories of a split, as bits; its threshold is their place.
    fn set(&self, threshold: f64) -> Result<Vec<u32>, Error> {
        let lost = || broken("a split has no categories");
        let at = threshold as usize;
        let bounds = self.cat_boundaries.get(at).zip(self.cat_boundaries.get(at.saturating_add(1)));
        let (&begin, &end) = bounds.ok_or_else(lost)?;
        self.cat_threshold.get(begin..end).map(<[u32]>::to_vec).ok_or_else(lost)
    }
}
