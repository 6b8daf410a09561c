//! Whether trees answer here as they do in Python.
//!
//! Both are asked the example's rows, and rows made of them: values on both sides of the trees' own
//! thresholds and on them, missing ones, zeros, very large ones. Classes must be equal, numbers to
//! [`BOUND`] of their size.

use std::{path::Path, time::Instant};

use domain::{
    DataType, Signature, Tensor, TensorData,
    python::{Loader, Native, PythonModel},
};

use super::NativeTrees;
use crate::{Engine, Error};

/// How far two answers may be apart, as a part of the larger one.
const BOUND: f64 = 1e-6;
/// Rows that are made.
const ROWS: usize = 256;
/// Rows of the example that are looked at.
const OF_EXAMPLE: usize = 32;
/// Wider tables are left to Python: so many rows of them would be too much to ask at once.
const MOST_COLUMNS: usize = 20_000;
/// Answers of the trial are no larger.
const OUTPUT_BYTES: usize = 64 << 20;

/// Asks both; nothing where the model has no trees that could be run here.
pub(crate) fn compare(
    python: &mut dyn Engine,
    (model, signature, folder): (&PythonModel, &Signature, &Path),
    example: Option<&[Tensor]>,
    deadline: Instant,
) -> Option<Native> {
    if !matches!(model.loader, Loader::Xgboost { .. } | Loader::Lightgbm { .. }) {
        return None;
    }
    let here = NativeTrees::load(model, signature, folder, OUTPUT_BYTES);
    let compared = here.and_then(|mut here| ask_both(python, &mut here, example, deadline));
    Some(match compared {
        Ok(rows) => Native::Native { rows: rows as u64 },
        Err(reason) => Native::Python { reason },
    })
}

fn ask_both(
    python: &mut dyn Engine,
    here: &mut NativeTrees,
    example: Option<&[Tensor]>,
    deadline: Instant,
) -> Result<usize, String> {
    let columns = here.model.features();
    if columns > MOST_COLUMNS {
        return Err(format!(
            "it has {columns} columns, and no more than {MOST_COLUMNS} are compared"
        ));
    }
    let rows = made_up(here, example);
    let infinite = vec![vec![f64::INFINITY; columns]];
    for rows in [&rows, &infinite] {
        let unmade = || "no rows could be made for it".to_owned();
        let asked = here.table.request(&here.signature, rows).ok_or_else(unmade)?;
        let there = python.infer(&asked, deadline);
        match (there, here.infer(&asked, deadline)) {
            (Ok(there), Ok(here)) => alike(&there, &here)?,
            // What both refuse is the same.
            (Err(Error::Run(_) | Error::Failed(_)), Err(Error::Run(_))) => {}
            (Err(error), _) => {
                return Err(format!("Python did not answer rows like its example's: {error}"));
            }
            (Ok(_), Err(error)) => {
                return Err(format!("Python answers what is refused here: {error}"));
            }
        }
    }
    Ok(rows.len())
}

/// Rows to ask: those of the example, and what is made of them.
fn made_up(here: &NativeTrees, example: Option<&[Tensor]>) -> Vec<Vec<f64>> {
    let features = here.model.features();
    let mut rows = Vec::new();
    if let Some(example) = example
        && let Ok(count) = here.table.rows(&here.signature, example)
    {
        let mut block = Vec::new();
        here.table.fill(example, 0, count.min(OF_EXAMPLE), &mut block);
        rows.extend(block.chunks_exact(features).map(<[f64]>::to_vec));
    }
    if rows.is_empty() {
        rows.push(vec![0.0; features]);
    }
    let known = rows.len();
    rows.extend([f64::NAN, 0.0, 1.0, -1.0, 1e30, -1e30].map(|x| vec![x; features]));
    let edges = here.model.edges(ROWS / 2);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // A threshold at a time, on it and beside it.
    for (at, &(feature, edge)) in edges.iter().enumerate() {
        let mut row = rows.get(at % known).cloned().unwrap_or_default();
        if let Some(place) = row.get_mut(feature) {
            *place = beside(edge, dice.below(5));
        }
        rows.push(row);
    }
    // And many at once.
    while rows.len() < ROWS {
        let mut row = rows.get(rows.len() % known).cloned().unwrap_or_default();
        for _ in 0..features.min(edges.len()) {
            let Some(&(feature, edge)) = edges.get(dice.below(edges.len())) else { break };
            if let Some(place) = row.get_mut(feature) {
                *place = if dice.below(8) == 0 { f64::NAN } else { beside(edge, dice.below(5)) };
            }
        }
        rows.push(row);
    }
    rows
}

/// A value on the edge, next to it in 32 bits or in 64, or somewhere near.
fn beside(edge: f64, which: usize) -> f64 {
    let narrow = edge as f32;
    match which {
        0 => edge,
        1 => f64::from(narrow.next_down()),
        2 => f64::from(narrow.next_up()),
        3 => edge.next_up(),
        _ => edge * 1.1 + 1.0,
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Whether two answers are the same, else where they are not.
fn alike(there: &[Tensor], here: &[Tensor]) -> Result<(), String> {
    let ([there], [here]) = (there, here) else {
        return Err("Python answers other outputs".to_owned());
    };
    if (&there.name, &there.shape, there.datatype()) != (&here.name, &here.shape, here.datatype()) {
        let (theirs, ours) = (&there.shape, &here.shape);
        return Err(format!(
            "Python answers {} {theirs:?}, and its trees here {} {ours:?}",
            there.datatype(),
            here.datatype()
        ));
    }
    // Classes may be large numbers: near is not the same.
    let are_parts = matches!(here.datatype(), DataType::F32 | DataType::F64);
    let bound = if are_parts { BOUND } else { 0.0 };
    let width: usize = here.shape.iter().skip(1).product();
    let (Some(theirs), Some(ours)) = (numbers(&there.data), numbers(&here.data)) else {
        return Err(format!("its answers are {}", here.datatype()));
    };
    for (at, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        let is_near = theirs == ours
            || theirs.is_nan() && ours.is_nan()
            || (theirs - ours).abs() <= bound * theirs.abs().max(ours.abs());
        if !is_near {
            let row = at / width.max(1);
            return Err(format!(
                "of row {row} that was asked Python says {theirs}, and its trees here {ours}"
            ));
        }
    }
    Ok(())
}

/// Whole numbers stay whole up to 2^53, which no class is beyond.
#[expect(clippy::wildcard_enum_match_arm, reason = "no answer of trees is of another type")]
fn numbers(data: &TensorData) -> Option<Vec<f64>> {
    Some(match data {
        TensorData::F32(elements) => elements.iter().map(|&x| f64::from(x)).collect(),
        TensorData::F64(elements) => elements.clone(),
        TensorData::I32(elements) => elements.iter().map(|&x| f64::from(x)).collect(),
        TensorData::I64(elements) => elements.iter().map(|&x| x as f64).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../trees/tests/models")
    }

    fn model(loader: &serde_json::Value) -> (PythonModel, Signature) {
        let model = json!({
            "folder": "", "loader": loader, "input": "array", "python": "3.11", "requirements": [],
        });
        let signature = json!({
            "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 6]}],
            "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
        });
        (serde_json::from_value(model).unwrap(), serde_json::from_value(signature).unwrap())
    }

    fn booster() -> (PythonModel, Signature) {
        model(
            &json!({"flavour": "lightgbm", "file": "lgb_binary.txt", "class": "lightgbm.basic.Booster", "format": "skops"}),
        )
    }

    /// Python, as far as is asked of it: the same trees, and what is done to what they say.
    struct Other(NativeTrees, fn(&[Tensor], &mut [f64]) -> Result<(), Error>);

    impl Engine for Other {
        fn signature(&self) -> &Signature {
            self.0.signature()
        }

        fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
            let mut outputs = self.0.infer(inputs, deadline)?;
            if let TensorData::F64(said) = &mut outputs[0].data {
                self.1(inputs, said)?;
            }
            Ok(outputs)
        }
    }

    fn compared(change: fn(&[Tensor], &mut [f64]) -> Result<(), Error>) -> Native {
        let (model, signature) = booster();
        let here = NativeTrees::load(&model, &signature, &folder(), 1 << 20).unwrap();
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let folder = folder();
        let asked = (&model, &signature, folder.as_path());
        let example = Tensor::new("x", vec![1, 6], TensorData::F64(vec![0.5; 6])).unwrap();
        compare(&mut Other(here, change), asked, Some(&[example]), deadline).unwrap()
    }

    #[test]
    fn trees_that_answer_alike_are_run_here() {
        assert_eq!(compared(|_, _| Ok(())), Native::Native { rows: 256 });
        let nearly = compared(|_, said| {
            said.iter_mut().for_each(|x| *x *= 1.0 + 1e-7);
            Ok(())
        });
        assert_eq!(nearly, Native::Native { rows: 256 });
    }

    #[test]
    fn one_answer_that_differs_leaves_them_to_python() {
        let other = compared(|_, said| {
            said[200] *= 1.0 + 1e-5;
            Ok(())
        });
        let Native::Python { reason } = other else { unreachable!("{other:?}") };
        assert!(reason.starts_with("of row 200 that was asked Python says 0."), "{reason}");
        let failing = compared(|_, _| Err(Error::Run("no".to_owned())));
        let Native::Python { reason } = failing else { unreachable!("{failing:?}") };
        assert!(reason.starts_with("Python did not answer rows like its example's"), "{reason}");
        // Missing values are asked as well, and what lies beside thresholds.
        let without = compared(|inputs, said| {
            if let TensorData::F64(x) = &inputs[0].data {
                for (row, said) in x.chunks(6).zip(said) {
                    *said += f64::from(u8::from(row.iter().filter(|x| x.is_nan()).count() == 1));
                }
            }
            Ok(())
        });
        assert_eq!(without.engine(), "python");
    }

    #[test]
    fn classes_are_the_same_or_not_however_large_they_are() {
        let said = |data| [Tensor::new("y", vec![2], data).unwrap()];
        let classes = |last| said(TensorData::I64(vec![3, last]));
        assert_eq!(alike(&classes(5_000_000), &classes(5_000_000)), Ok(()));
        let why = alike(&classes(5_000_000), &classes(5_000_001)).unwrap_err();
        assert!(why.starts_with("of row 1 that was asked"), "{why}");
        let numbers = |last| said(TensorData::F64(vec![3.0, last]));
        assert_eq!(alike(&numbers(5_000_000.0), &numbers(5_000_001.0)), Ok(()));
    }

    #[test]
    fn what_cannot_be_run_here_says_why() {
        let refused = |loader: serde_json::Value| {
            let (model, signature) = model(&loader);
            NativeTrees::load(&model, &signature, &folder(), 1).err().unwrap_or_default()
        };
        let class = refused(
            json!({"flavour": "xgboost", "file": "xgb_binary.ubj", "class": "xgboost.dask.X"}),
        );
        assert_eq!(class, "its class `xgboost.dask.X` is not known here");
        let pickle = json!({"flavour": "lightgbm", "file": "lgb_binary.txt", "class": "lightgbm.sklearn.LGBMClassifier", "format": "skops"});
        assert_eq!(refused(pickle), "its class `lightgbm.sklearn.LGBMClassifier` is a pickle");
        let linear = json!({"flavour": "xgboost", "file": "refused_xgb_linear.ubj", "class": "xgboost.core.Booster"});
        assert_eq!(refused(linear), "the booster `gblinear` is not known here");
        let gone =
            json!({"flavour": "xgboost", "file": "none.ubj", "class": "xgboost.core.Booster"});
        assert!(refused(gone).starts_with("its file `none.ubj` cannot be read"));
        let wide = json!({"flavour": "xgboost", "file": "xgb_softprob.ubj", "class": "xgboost.core.Booster"});
        assert_eq!(refused(wide), "its output `y` is [?], and its trees say 3 numbers of a row");
    }
}
