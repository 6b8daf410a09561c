//! Trees that XGBoost and LightGBM have grown, read from their own files and asked without Python.
//!
//! [`Model::xgboost`] reads what `save_model` of XGBoost writes (JSON and UBJSON), [`Model::lightgbm`]
//! LightGBM's text. [`Model::predict`] answers what the library's object in Python answers, by the
//! library's own arithmetic: XGBoost's in 32 bits, LightGBM's in 64, trees summed in their order.
//!
//! Files come from strangers: sizes are held against what is there, every node is reached once, every
//! feature is within the row. What is not known here (linear boosters, linear trees, objectives of
//! users, other versions of the formats) is refused by name, so that Python runs it.
//!
//! Not here: tensors, signatures, and whether the answers of a version agree with Python's (`inference`).

mod error;
mod forest;
mod lightgbm;
mod model;
mod xgboost;

pub use self::{
    error::Error,
    model::{Model, Predictions},
    xgboost::Class,
};
