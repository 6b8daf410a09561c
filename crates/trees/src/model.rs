//! A model, whichever library has grown it.

use crate::{Class, Error, lightgbm::Lightgbm, xgboost::Xgboost};

/// A model, ready to be asked.
#[derive(Debug)]
pub struct Model(Kind);

#[derive(Debug)]
enum Kind {
    Xgboost(Xgboost),
    Lightgbm(Lightgbm),
}

/// What a model says of rows, in the type that the library's object in Python has: row by row,
/// [`Model::width`] numbers for each.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// XGBoost's values.
    F32(Vec<f32>),
    /// LightGBM's values, and which of several labels hold.
    F64(Vec<f64>),
    /// The class, as XGBoost's `multi:softmax` says it.
    I32(Vec<i32>),
    /// The class.
    I64(Vec<i64>),
}

impl Model {
    /// Reads what XGBoost's `save_model` has written, as JSON or UBJSON, to answer as this class does.
    ///
    /// # Errors
    /// It is none, broken, or has something that is not known here.
    pub fn xgboost(file: &[u8], class: Class) -> Result<Self, Error> {
        Xgboost::read(file, class).map(|model| Self(Kind::Xgboost(model)))
    }

    /// Reads what the `save_model` of LightGBM's `Booster` has written.
    ///
    /// # Errors
    /// It is none, broken, or has something that is not known here.
    pub fn lightgbm(file: &[u8]) -> Result<Self, Error> {
        Lightgbm::read(file).map(|model| Self(Kind::Lightgbm(model)))
    }

    /// How many numbers a row has.
    #[must_use]
    pub const fn features(&self) -> usize {
        match &self.0 {
            Kind::Xgboost(model) => model.features(),
            Kind::Lightgbm(model) => model.features(),
        }
    }

    /// How many numbers are said of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        match &self.0 {
            Kind::Xgboost(model) => model.width(),
            Kind::Lightgbm(model) => model.width(),
        }
    }

    /// The memory that it takes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match &self.0 {
            Kind::Xgboost(model) => model.bytes(),
            Kind::Lightgbm(model) => model.bytes(),
        }
    }

    /// What is said of no rows yet.
    #[must_use]
    pub fn nothing(&self) -> Predictions {
        match &self.0 {
            Kind::Xgboost(model) => model.nothing(),
            Kind::Lightgbm(_) => Predictions::F64(Vec::new()),
        }
    }

    /// Says of these rows, which lie behind each other, behind what was said. What is missing is NaN.
    ///
    /// # Errors
    /// [`Error::Infinite`], where the library says so as well.
    pub fn predict(&self, rows: &[f64], said: &mut Predictions) -> Result<(), Error> {
        match &self.0 {
            Kind::Xgboost(model) => model.predict(rows, said),
            Kind::Lightgbm(model) => {
                model.predict(rows, said);
                Ok(())
            }
        }
    }

    /// The features and values at which its trees part, as many as asked for and spread over all of
    /// them: where its answers are most easily wrong.
    #[must_use]
    pub fn edges(&self, most: usize) -> Vec<(usize, f64)> {
        let spread = |count: usize| count.div_ceil(most.max(1)).max(1);
        match &self.0 {
            Kind::Xgboost(model) => model.edges().step_by(spread(model.edges().count())).collect(),
            Kind::Lightgbm(model) => model.edges().step_by(spread(model.edges().count())).collect(),
        }
    }
}
