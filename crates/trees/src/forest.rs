//! All trees of a model in one array, and how a row goes down them.
//!
//! Siblings lie beside each other, so that a node names its left child alone. Nodes are laid out from
//! the root down, each once: whatever the file said, a way down ends.

use std::{collections::VecDeque, ops::AddAssign};

use crate::{Error, error::broken};

/// A number as one of the libraries computes with it.
pub(crate) trait Scalar: Copy + Default + AddAssign + PartialOrd {
    /// Whether a value goes left of a threshold.
    fn is_left_of(self, threshold: Self) -> bool;
    /// Whether it is no number.
    fn is_nan(self) -> bool;
    /// Whether it is so near to zero that it counts as missing where zeros do.
    fn is_zero(self) -> bool;
    /// The category that it names.
    fn category(self) -> Option<u32>;
    /// Carries the place of a set in the field of a threshold.
    fn from_place(place: u32) -> Self;
    /// The place that it carries.
    fn place(self) -> u32;
}

/// XGBoost's.
impl Scalar for f32 {
    fn is_left_of(self, threshold: Self) -> bool {
        self < threshold
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn is_zero(self) -> bool {
        self == 0.0
    }

    fn category(self) -> Option<u32> {
        (0.0..16_777_216.0).contains(&self).then_some(self as u32)
    }

    fn from_place(place: u32) -> Self {
        Self::from_bits(place)
    }

    fn place(self) -> u32 {
        self.to_bits()
    }
}

/// LightGBM's.
impl Scalar for f64 {
    fn is_left_of(self, threshold: Self) -> bool {
        self <= threshold
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn is_zero(self) -> bool {
        // 1e-35 as a number of 32 bits.
        self.abs() <= Self::from(1e-35_f32)
    }

    fn category(self) -> Option<u32> {
        // What lies between -1 and 0 is cut to 0.
        (self > -1.0 && self < 2_147_483_648.0).then_some(self as u32)
    }

    fn from_place(place: u32) -> Self {
        Self::from_bits(u64::from(place))
    }

    fn place(self) -> u32 {
        self.to_bits() as u32
    }
}

/// What a missing value does at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is taken to be zero.
    IsZero,
    /// It goes that way.
    Goes {
        /// Left.
        left: bool,
        /// Zeros go with it.
        with_zeros: bool,
    },
}

/// A node as a file has it.
pub(crate) enum Source<T> {
    /// Where a way ends.
    Leaf(T),
    /// Where it parts.
    Split { feature: usize, test: Test<T>, missing: Missing, left: usize, right: usize },
}

/// What is asked of a value.
pub(crate) enum Test<T> {
    /// Whether it is left of this.
    Threshold(T),
    /// Whether it names a category of this set, as bits; those that do go left.
    Set(Vec<u32>),
}

/// A node of a way down.
#[derive(Debug, Clone, Copy)]
struct Node<T> {
    /// The threshold, the value of a leaf, or the place of a set.
    value: T,
    /// The feature, and what is special about it.
    feature: u32,
    /// The left child; the right one lies behind it. A leaf has none, and the first node is nobody's child.
    left: u32,
}

/// No model has more words of sets: what nodes share in a file, they have each of their own here.
const MOST_WORDS: usize = 1 << 24;
const NO_CHILD: u32 = 0;
const FEATURE: u32 = (1 << 24) - 1;
const SET: u32 = 1 << 24;
const MISSING_GOES: u32 = 1 << 25;
const MISSING_LEFT: u32 = 1 << 26;
const ZERO_IS_MISSING: u32 = 1 << 27;

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    group: u32,
}

/// Trees, each of which adds to one of a row's sums.
#[derive(Debug)]
pub(crate) struct Forest<T> {
    features: usize,
    groups: usize,
    roots: Vec<Root>,
    nodes: Vec<Node<T>>,
    /// Where each set's words begin and end.
    sets: Vec<(u32, u32)>,
    words: Vec<u32>,
}

impl<T: Scalar> Forest<T> {
    /// One without trees, for rows of so many features and sums.
    ///
    /// # Errors
    /// There are none, or too many.
    pub(crate) fn new(features: usize, groups: usize) -> Result<Self, Error> {
        if !(1..=FEATURE as usize).contains(&features) {
            return Err(broken(format!("it names {features} features")));
        }
        if groups == 0 {
            return Err(broken("it names no sums"));
        }
        let (roots, nodes, sets, words) = Default::default();
        Ok(Self { features, groups, roots, nodes, sets, words })
    }

    pub(crate) const fn features(&self) -> usize {
        self.features
    }

    pub(crate) const fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) const fn trees(&self) -> usize {
        self.roots.len()
    }

    /// The memory that it takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node<T>>()
            + self.words.len() * size_of::<u32>()
            + self.sets.len() * size_of::<(u32, u32)>()
    }

    /// Takes a tree of at most `count` nodes, the first of which is its root.
    ///
    /// # Errors
    /// A node that is reached twice, a feature or a child that is not there, or what `node` says.
    pub(crate) fn plant(
        &mut self,
        group: usize,
        count: usize,
        mut node: impl FnMut(usize) -> Result<Source<T>, Error>,
    ) -> Result<(), Error> {
        let tree = self.roots.len();
        if group >= self.groups {
            return Err(broken(format!("tree {tree} adds to sum {group} of {}", self.groups)));
        }
        let root = self.set_aside(1)?;
        let mut waiting = VecDeque::from([(0, root)]);
        let mut taken = 0;
        while let Some((from, to)) = waiting.pop_front() {
            taken += 1;
            if taken > count {
                return Err(broken(format!("tree {tree} reaches a node twice")));
            }
            let laid = match node(from)? {
                Source::Leaf(value) => Node { value, feature: 0, left: NO_CHILD },
                Source::Split { feature, test, missing, left, right } => {
                    let children = self.set_aside(2)?;
                    waiting.push_back((left, children));
                    waiting.push_back((right, children + 1));
                    self.split(tree, (feature, test, missing), children)?
                }
            };
            if let Some(place) = self.nodes.get_mut(to as usize) {
                *place = laid;
            }
        }
        self.roots.push(Root { node: root, group: group as u32 });
        Ok(())
    }

    fn set_aside(&mut self, count: usize) -> Result<u32, Error> {
        let first = u32::try_from(self.nodes.len()).ok().filter(|&first| first < u32::MAX - 2);
        let first = first.ok_or_else(|| Error::Unknown("a model of so many nodes".to_owned()))?;
        let empty = Node { value: T::default(), feature: 0, left: NO_CHILD };
        self.nodes.resize(self.nodes.len() + count, empty);
        Ok(first)
    }

    fn split(
        &mut self,
        tree: usize,
        (feature, test, missing): (usize, Test<T>, Missing),
        left: u32,
    ) -> Result<Node<T>, Error> {
        if feature >= self.features {
            let features = self.features;
            return Err(broken(format!("tree {tree} asks for feature {feature} of {features}")));
        }
        let mut flags = match missing {
            Missing::IsZero => 0,
            Missing::Goes { left, with_zeros } => {
                let flag = |is_set, flag| if is_set { flag } else { 0 };
                MISSING_GOES | flag(left, MISSING_LEFT) | flag(with_zeros, ZERO_IS_MISSING)
            }
        };
        let value = match test {
            Test::Threshold(threshold) if threshold.is_nan() => {
                return Err(broken(format!("tree {tree} has a threshold that is no number")));
            }
            Test::Threshold(threshold) => threshold,
            Test::Set(words) => {
                if self.words.len() + words.len() > MOST_WORDS {
                    return Err(Error::Unknown("a model of so many categories".to_owned()));
                }
                flags |= SET;
                let (begin, place) = (self.words.len() as u32, self.sets.len() as u32);
                self.words.extend(words);
                self.sets.push((begin, self.words.len() as u32));
                T::from_place(place)
            }
        };
        Ok(Node { value, feature: feature as u32 | flags, left })
    }

    /// Adds to each row's sums what the trees say of it, tree after tree.
    pub(crate) fn add(&self, rows: &[T], sums: &mut [T]) {
        for root in &self.roots {
            let rows = rows.chunks_exact(self.features);
            for (row, sums) in rows.zip(sums.chunks_exact_mut(self.groups)) {
                if let Some(sum) = sums.get_mut(root.group as usize) {
                    *sum += self.leaf(root.node, row);
                }
            }
        }
    }

    /// Each threshold with its feature, as far as there are so many.
    pub(crate) fn thresholds(&self) -> impl Iterator<Item = (usize, T)> {
        let asks = |node: &&Node<T>| node.left != NO_CHILD && node.feature & SET == 0;
        self.nodes.iter().filter(asks).map(|node| ((node.feature & FEATURE) as usize, node.value))
    }

    /// Each category that a set has, with the feature.
    pub(crate) fn categories(&self) -> impl Iterator<Item = (usize, u32)> {
        let asks = |node: &&Node<T>| node.left != NO_CHILD && node.feature & SET != 0;
        self.nodes.iter().filter(asks).flat_map(|node| {
            let words = self.set(node).iter().zip(0_u32..);
            let bits = words.flat_map(|(word, at)| {
                (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 32 + bit)
            });
            bits.map(move |category| ((node.feature & FEATURE) as usize, category))
        })
    }

    fn leaf(&self, root: u32, row: &[T]) -> T {
        let mut at = root;
        loop {
            let Some(node) = self.nodes.get(at as usize) else { return T::default() };
            if node.left == NO_CHILD {
                return node.value;
            }
            let Some(&x) = row.get((node.feature & FEATURE) as usize) else { return T::default() };
            let is_left = if x.is_nan() || node.feature & (SET | ZERO_IS_MISSING) != 0 {
                self.is_left(node, x)
            } else {
                x.is_left_of(node.value)
            };
            at = node.left + u32::from(!is_left);
        }
    }

    /// Which way a value goes where something about it, or about the node, is special.
    #[cold]
    fn is_left(&self, node: &Node<T>, x: T) -> bool {
        let has = |flag| node.feature & flag != 0;
        if has(MISSING_GOES) && (x.is_nan() || has(ZERO_IS_MISSING) && x.is_zero()) {
            return has(MISSING_LEFT);
        }
        let x = if x.is_nan() { T::default() } else { x };
        if !has(SET) {
            return x.is_left_of(node.value);
        }
        x.category().is_some_and(|category| {
            let word = self.set(node).get(category as usize / 32);
            word.is_some_and(|word| word >> (category % 32) & 1 == 1)
        })
    }

    fn set(&self, node: &Node<T>) -> &[u32] {
        let bounds = self.sets.get(node.value.place() as usize);
        bounds
            .and_then(|&(begin, end)| self.words.get(begin as usize..end as usize))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(test: Test<f64>, missing: Missing, left: usize, right: usize) -> Source<f64> {
        Source::Split { feature: 0, test, missing, left, right }
    }

    const LEFT: Missing = Missing::Goes { left: true, with_zeros: false };

    #[test]
    fn a_tree_that_comes_back_to_itself_is_refused() {
        let mut forest = Forest::<f64>::new(1, 1).unwrap();
        let twice = forest.plant(0, 3, |_| Ok(split(Test::Threshold(0.0), LEFT, 0, 1)));
        assert_eq!(twice, Err(broken("tree 0 reaches a node twice")));
        let shared = forest.plant(0, 3, |at| {
            Ok(match at {
                0 => split(Test::Threshold(0.0), LEFT, 1, 1),
                1 => split(Test::Threshold(1.0), LEFT, 2, 2),
                _ => Source::Leaf(1.0),
            })
        });
        assert_eq!(shared, Err(broken("tree 0 reaches a node twice")));
    }

    #[test]
    fn what_is_missing_goes_where_the_node_says() {
        let asked = |missing: Missing, x: f64| {
            let mut forest = Forest::<f64>::new(1, 1).unwrap();
            let tree = |at| {
                Ok(match at {
                    0 => split(Test::Threshold(-1.0), missing, 1, 2),
                    1 => Source::Leaf(1.0),
                    _ => Source::Leaf(2.0),
                })
            };
            forest.plant(0, 3, tree).unwrap();
            let mut sum = [0.0];
            forest.add(&[x], &mut sum);
            sum[0]
        };
        let zeros = Missing::Goes { left: true, with_zeros: true };
        for (missing, x, leaf) in [
            (LEFT, f64::NAN, 1.0),
            (Missing::Goes { left: false, with_zeros: false }, f64::NAN, 2.0),
            (Missing::IsZero, f64::NAN, 2.0),
            (LEFT, 0.0, 2.0),
            (zeros, 0.0, 1.0),
            (zeros, -1e-40, 1.0),
            (zeros, 3.0, 2.0),
            (LEFT, -1.0, 1.0),
            (LEFT, f64::INFINITY, 2.0),
        ] {
            assert_eq!(asked(missing, x), leaf, "{missing:?} {x}");
        }
    }

    #[test]
    fn sets_hold_categories_cut_as_the_libraries_cut_them() {
        let (in_set, other) = (1.0, 2.0);
        let asked = |x: f64| {
            let mut forest = Forest::<f64>::new(1, 1).unwrap();
            let tree = |at| {
                Ok(match at {
                    0 => split(
                        Test::Set(vec![0b1001, 0b10]),
                        Missing::Goes { left: false, with_zeros: false },
                        1,
                        2,
                    ),
                    1 => Source::Leaf(in_set),
                    _ => Source::Leaf(other),
                })
            };
            forest.plant(0, 3, tree).unwrap();
            assert_eq!(forest.categories().collect::<Vec<_>>(), [(0, 0), (0, 3), (0, 33)]);
            let mut sum = [0.0];
            forest.add(&[x], &mut sum);
            sum[0]
        };
        for x in [0.0, -0.5, 3.0, 3.9, 33.0] {
            assert_eq!(asked(x), in_set, "{x}");
        }
        for x in [1.0, -1.0, 4.0, 64.0, 1e300, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(asked(x), other, "{x}");
        }
        assert_eq!(
            (0.5_f32.category(), (-0.5_f32).category(), 2e7_f32.category()),
            (Some(0), None, None)
        );
    }
}
