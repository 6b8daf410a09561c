//! XGBoost's models, and what its objects in Python say.

mod file;
mod link;
mod ubjson;

use self::{
    file::{File, Trees},
    link::Link,
};
use crate::{
    Error, Predictions,
    error::{broken, unknown},
    forest::Forest,
};

/// The class of the object in Python that a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `xgboost.core.Booster`
    Booster,
    /// `XGBRegressor`, `XGBRanker`, `XGBRFRegressor`
    Values,
    /// `XGBClassifier`, `XGBRFClassifier`
    Classifier,
}

impl Class {
    /// By its full name, as MLflow writes it: `xgboost.sklearn.XGBClassifier`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "xgboost.core.Booster" => Self::Booster,
            "xgboost.sklearn.XGBRegressor"
            | "xgboost.sklearn.XGBRFRegressor"
            | "xgboost.sklearn.XGBRanker" => Self::Values,
            "xgboost.sklearn.XGBClassifier" | "xgboost.sklearn.XGBRFClassifier" => Self::Classifier,
            _ => return None,
        })
    }
}

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing.
    Values,
    /// The largest of several.
    Largest,
    /// Whether each is over a half, as a class or as one label of several.
    OverHalf { labels: bool },
    /// They are classes.
    Classes,
}

#[derive(Debug)]
pub(crate) struct Xgboost {
    forest: Forest<f32>,
    /// Where the sums begin.
    base: Vec<f32>,
    link: Link,
    answer: Answer,
    takes_infinite: bool,
}

impl Xgboost {
    pub(crate) fn read(bytes: &[u8], class: Class) -> Result<Self, Error> {
        let file = File::read(bytes)?;
        if !matches!(file.version.first(), Some(1..=3)) {
            return Err(unknown("the format of XGBoost", &format!("{:?}", file.version)));
        }
        let learner = file.learner;
        let groups = learner.learner_model_param.groups()?;
        let features = learner.learner_model_param.features()?;
        let mut forest = Forest::new(features, groups)?;
        let best = match class {
            // It answers by all its rounds, whatever was best.
            Class::Booster => None,
            Class::Values | Class::Classifier => learner.best_round()?,
        };
        let (trees, weights) = learner.gradient_booster.trees()?;
        plant(&mut forest, trees, weights.as_deref(), best)?;
        if groups > forest.trees() {
            return Err(broken(format!("it has {} trees for {groups} sums", forest.trees())));
        }
        let link = Link::of(&learner.objective.name)?;
        let base = learner.learner_model_param.base(groups)?;
        let base = base.into_iter().map(|score| link.margin(score)).collect();
        let answer = match class {
            Class::Booster | Class::Values => Answer::Values,
            Class::Classifier => {
                let classes = learner.learner_model_param.classes()?.max(2);
                if link == Link::LargestIs {
                    Answer::Classes
                } else if groups > 1 && classes != 2 {
                    Answer::Largest
                } else {
                    Answer::OverHalf { labels: groups > 1 }
                }
            }
        };
        let takes_infinite = class != Class::Booster;
        Ok(Self { forest, base, link, answer, takes_infinite })
    }

    pub(crate) const fn features(&self) -> usize {
        self.forest.features()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.forest.bytes()
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, f64)> {
        let thresholds = self.forest.thresholds().map(|(feature, at)| (feature, f64::from(at)));
        thresholds.chain(self.forest.categories().map(|(feature, at)| (feature, f64::from(at))))
    }

    pub(crate) fn width(&self) -> usize {
        let is_one = self.link == Link::LargestIs || self.answer == Answer::Largest;
        if is_one { 1 } else { self.forest.groups() }
    }

    pub(crate) const fn nothing(&self) -> Predictions {
        match self.answer {
            Answer::Values => Predictions::F32(Vec::new()),
            Answer::Classes => Predictions::I32(Vec::new()),
            Answer::Largest | Answer::OverHalf { labels: false } => Predictions::I64(Vec::new()),
            Answer::OverHalf { labels: true } => Predictions::F64(Vec::new()),
        }
    }

    pub(crate) fn predict(&self, rows: &[f64], said: &mut Predictions) -> Result<(), Error> {
        let rows: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
        if !self.takes_infinite
            && let Some(at) = rows.iter().position(|x| x.is_infinite())
        {
            return Err(Error::Infinite { row: at / self.features() });
        }
        let count = rows.len() / self.features();
        let mut sums = self.base.repeat(count);
        self.forest.add(&rows, &mut sums);
        let values = self.link.apply(sums, self.forest.groups());
        match (self.answer, said) {
            (Answer::Values, Predictions::F32(said)) => said.extend(values),
            (Answer::Classes, Predictions::I32(said)) => {
                said.extend(values.iter().map(|&value| value as i32));
            }
            (Answer::Largest, Predictions::I64(said)) => {
                let rows = values.chunks_exact(self.forest.groups());
                said.extend(rows.map(|row| link::largest(row) as i64));
            }
            (Answer::OverHalf { .. }, Predictions::I64(said)) => {
                said.extend(values.iter().map(|&value| i64::from(value > 0.5)));
            }
            (Answer::OverHalf { .. }, Predictions::F64(said)) => {
                said.extend(values.iter().map(|&value| f64::from(u8::from(value > 0.5))));
            }
            // Not what `nothing` has begun.
            (_, _) => {}
        }
        Ok(())
    }
}

/// The trees of the first rounds, up to the best one, if that counts; those of dart by their weights.
fn plant(
    forest: &mut Forest<f32>,
    trees: Trees,
    weights: Option<&[f32]>,
    best: Option<usize>,
) -> Result<(), Error> {
    if trees.tree_info.len() != trees.trees.len() {
        let (groups, trees) = (trees.tree_info.len(), trees.trees.len());
        return Err(broken(format!("it names the sums of {groups} trees, but has {trees}")));
    }
    if let Some(weights) = weights
        && weights.len() != trees.trees.len()
    {
        let trees = trees.trees.len();
        return Err(broken(format!("it has {} weights for {trees} trees", weights.len())));
    }
    let counting = match best {
        Some(best) => trees.rounds(best + 1, forest.groups())?,
        None => trees.trees.len(),
    };
    for (at, (tree, group)) in trees.trees.iter().zip(&trees.tree_info).take(counting).enumerate() {
        let weight = weights.and_then(|weights| weights.get(at)).copied();
        tree.check()?;
        forest.plant(*group, tree.left_children.len(), |node| tree.node(node, weight))?;
    }
    Ok(())
}
