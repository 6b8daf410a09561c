//! The file: one document, as JSON or UBJSON.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, Visitor},
};

use super::ubjson;
use crate::{
    Error,
    error::{broken, unknown},
    forest::{Missing, Source, Test},
};

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) learner: Learner,
    pub(super) version: Vec<u32>,
}

#[derive(Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: Param,
    pub(super) objective: Objective,
}

#[derive(Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

/// Numbers, written as texts.
#[derive(Deserialize)]
pub(super) struct Param {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Booster {
    name: String,
    #[serde(default)]
    model: Option<Trees>,
    /// Dart holds a booster.
    #[serde(default)]
    gbtree: Option<Inner>,
    #[serde(default)]
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Inner {
    model: Trees,
}

/// Another booster than those of trees has none of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Trees {
    gbtree_model_param: TreesParam,
    iteration_indptr: Option<Vec<usize>>,
    pub(super) tree_info: Vec<usize>,
    pub(super) trees: Vec<Tree>,
    cats: Option<Categories>,
}

#[derive(Default, Deserialize)]
struct TreesParam {
    #[serde(default)]
    num_parallel_tree: Option<String>,
}

/// How the texts of a data frame were made numbers.
#[derive(Deserialize)]
struct Categories {
    #[serde(default)]
    enc: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Tree {
    /// -1 for a leaf.
    pub(super) left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u32>,
    /// The values of leaves stand here too.
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<Flag>,
    /// The nodes that ask for categories, in ascending order, and where theirs are in `categories`.
    #[serde(default)]
    categories_nodes: Vec<usize>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
    #[serde(default)]
    categories: Vec<u32>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

/// A truth value, which some versions write as a number.
#[derive(Clone, Copy)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a truth value or a number")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl File {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') {
            return Err(broken("it is no JSON or UBJSON: save it with XGBoost 2.1 or later"));
        }
        // Behind the brace, UBJSON has the type of a length, JSON a quote.
        if bytes.get(1).is_some_and(|byte| b"iUIlL".contains(byte)) {
            return ubjson::read(bytes);
        }
        serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))
    }
}

fn number<T: FromStr>(field: &str, text: &str) -> Result<T, Error> {
    let shown = || text.chars().take(40).flat_map(char::escape_default).collect::<String>();
    text.trim().parse().map_err(|_| broken(format!("its `{field}` is `{}`", shown())))
}

impl Param {
    pub(super) fn features(&self) -> Result<usize, Error> {
        number("num_feature", &self.num_feature)
    }

    pub(super) fn classes(&self) -> Result<usize, Error> {
        number("num_class", &self.num_class)
    }

    /// How many sums a row has.
    pub(super) fn groups(&self) -> Result<usize, Error> {
        let targets: usize = match &self.num_target {
            Some(targets) => number("num_target", targets)?,
            None => 1,
        };
        match (self.classes()?, targets) {
            (classes, 0 | 1) => Ok(classes.max(1)),
            (0 | 1, targets) => Ok(targets),
            _ => Err(unknown("a model of classes and targets", &self.num_class)),
        }
    }

    /// The score of each sum: a number, or several in brackets.
    pub(super) fn base(&self, groups: usize) -> Result<Vec<f32>, Error> {
        let listed = self.base_score.trim().trim_start_matches('[').trim_end_matches(']');
        let scores: Vec<f32> =
            listed.split(',').map(|score| number("base_score", score)).collect::<Result<_, _>>()?;
        match scores.as_slice() {
            [score] => Ok(vec![*score; groups]),
            _ if scores.len() == groups => Ok(scores),
            _ => Err(broken(format!("it has {} base scores for {groups} sums", scores.len()))),
        }
    }
}

impl Learner {
    /// The round after which training found nothing better, if it looked.
    pub(super) fn best_round(&self) -> Result<Option<usize>, Error> {
        let said = self.attributes.get("best_iteration");
        let best: Option<usize> = said.map(|text| number("best_iteration", text)).transpose()?;
        match best {
            Some(usize::MAX) => Err(broken("its `best_iteration` is no round")),
            best => Ok(best),
        }
    }
}

impl Booster {
    /// The trees, and what each counts where they do not count alike.
    pub(super) fn trees(self) -> Result<(Trees, Option<Vec<f32>>), Error> {
        let (trees, weights) = match (self.name.as_str(), self.model, self.gbtree) {
            ("gbtree", Some(trees), _) => (trees, None),
            ("dart", _, Some(inner)) => (inner.model, Some(self.weight_drop.unwrap_or_default())),
            ("gbtree" | "dart", _, _) => return Err(broken("it has no trees")),
            (other, _, _) => return Err(unknown("the booster", other)),
        };
        match trees.cats.as_ref().is_some_and(|cats| !cats.enc.is_empty()) {
            true => Err(unknown("a data frame's column of", "category")),
            false => Ok((trees, weights)),
        }
    }
}

impl Trees {
    /// How many trees the first rounds have.
    pub(super) fn rounds(&self, rounds: usize, groups: usize) -> Result<usize, Error> {
        let end = match &self.iteration_indptr {
            Some(ends) => ends.get(rounds).copied(),
            None => {
                let parallel = self.gbtree_model_param.num_parallel_tree.as_deref().unwrap_or("1");
                let parallel: usize = number("num_parallel_tree", parallel)?;
                parallel.max(1).checked_mul(groups).and_then(|each| each.checked_mul(rounds))
            }
        };
        end.filter(|&end| end <= self.trees.len())
            .ok_or_else(|| broken(format!("it has no {rounds} rounds")))
    }
}

impl Tree {
    /// Whether all that is said of nodes is said of as many.
    pub(super) fn check(&self) -> Result<(), Error> {
        let count = self.left_children.len();
        let lengths = [
            self.right_children.len(),
            self.split_indices.len(),
            self.split_conditions.len(),
            self.default_left.len(),
        ];
        if count == 0 || lengths.iter().any(|&length| length != count) {
            return Err(broken(format!("a tree of {count} nodes has lists of {lengths:?}")));
        }
        let nodes = self.categories_nodes.len();
        let lists = [self.categories_segments.len(), self.categories_sizes.len()];
        if lists.iter().any(|&length| length != nodes) {
            return Err(broken(format!("a tree of {nodes} sets has lists of {lists:?}")));
        }
        match self.tree_param.size_leaf_vector.as_deref().unwrap_or("0").trim() {
            "0" | "1" => Ok(()),
            more => Err(unknown("a tree whose leaves have so many values:", more)),
        }
    }

    /// A node, its leaves counted by a weight.
    pub(super) fn node(&self, at: usize, weight: Option<f32>) -> Result<Source<f32>, Error> {
        let lost =
            || broken(format!("a tree of {} nodes has no node {at}", self.left_children.len()));
        let (left, right) = (self.left_children.get(at), self.right_children.get(at));
        let (Some(&left), Some(&right)) = (left, right) else { return Err(lost()) };
        let value = *self.split_conditions.get(at).ok_or_else(lost)?;
        if left == -1 {
            return Ok(Source::Leaf(weight.map_or(value, |weight| weight * value)));
        }
        let child =
            |at: i32| usize::try_from(at).map_err(|_| broken("a tree has a child before its root"));
        let (left, right) = (child(left)?, child(right)?);
        let feature = *self.split_indices.get(at).ok_or_else(lost)? as usize;
        let default_left = self.default_left.get(at).ok_or_else(lost)?.0;
        let goes = |left| Missing::Goes { left, with_zeros: false };
        Ok(match self.split_type.get(at) {
            // Those in the set go right.
            Some(Flag(true)) => {
                let (test, missing) = (Test::Set(self.set(at)?), goes(!default_left));
                Source::Split { feature, test, missing, left: right, right: left }
            }
            Some(Flag(false)) | None => {
                let (test, missing) = (Test::Threshold(value), goes(default_left));
                Source::Split { feature, test, missing, left, right }
            }
        })
    }

    /// The categories of a node, as bits.
    fn set(&self, node: usize) -> Result<Vec<u32>, Error> {
        /// XGBoost's own bound is higher; no set so large is worth its memory.
        const MOST: u32 = 1 << 20;
        let lost = || broken(format!("node {node} has no categories"));
        let at = self.categories_nodes.binary_search(&node).map_err(|_| lost())?;
        let bounds = self.categories_segments.get(at).zip(self.categories_sizes.get(at));
        let (&begin, &size) = bounds.ok_or_else(lost)?;
        let end = begin.checked_add(size).ok_or_else(lost)?;
        let listed = self.categories.get(begin..end).ok_or_else(lost)?;
        let most = listed.iter().max().copied().unwrap_or(0);
        if most >= MOST {
            return Err(unknown("the category", &most.to_string()));
        }
        let mut words = vec![0; most as usize / 32 + 1];
        for category in listed {
            if let Some(word) = words.get_mut(*category as usize / 32) {
                *word |= 1 << (category % 32);
            }
        }
        Ok(words)
    }
}
