//! Trees of Python versions, run in the node itself: no process, no environment, no copy for each thread.
//!
//! A version runs so only if its trial found that it answers as Python does ([`compare`]); what is not
//! sure to be the same, here or in the crate `trees`, is refused with the reason, and Python runs it.

mod compare;
mod table;

use std::{path::Path, sync::Arc, time::Instant};

use domain::{
    DataType, Dim, Signature, Tensor, TensorData, TensorSpec,
    python::{Loader, PythonModel},
};
use trees::{Class, Model, Predictions};

pub(crate) use self::compare::compare;
use self::table::Table;
use crate::{Engine, Error, Replica, ReplicaOptions};

/// A longer file is left to Python: it is read as a whole.
const LONGEST_FILE: u64 = 256 << 20;
/// Rows that go down the trees together. Between such blocks the deadline is looked at.
const BLOCK: usize = 64;

/// A model of trees, asked as its signature says.
pub struct NativeTrees {
    model: Arc<Model>,
    table: Table,
    signature: Signature,
    output_bytes: usize,
    /// The rows of a block.
    block: Vec<f64>,
}

impl NativeTrees {
    /// Reads a version's trees. Blocks.
    ///
    /// # Errors
    /// Why they cannot be run here, in a sentence.
    pub fn load(
        model: &PythonModel,
        signature: &Signature,
        folder: &Path,
        output_bytes: usize,
    ) -> Result<Self, String> {
        let trees = read(model, folder)?;
        let is_lightgbm = matches!(model.loader, Loader::Lightgbm { .. });
        let table = Table::of(&model.input, signature, trees.features(), is_lightgbm)?;
        answers(signature, &trees)?;
        let (signature, model) = (signature.clone(), Arc::new(trees));
        Ok(Self { model, table, signature, output_bytes, block: Vec::new() })
    }

    /// The memory that it takes, however many run it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.model.bytes() as u64
    }

    /// Serves by as many of it as pay. They share one model. Blocks.
    ///
    /// # Errors
    /// As for [`Replica::of`].
    pub fn serve(
        &self,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<Replica, Error> {
        // Another one costs nothing.
        Replica::of(0, |_| Ok(Box::new(self.another())), options, example)
    }

    fn another(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            table: self.table.clone(),
            signature: self.signature.clone(),
            output_bytes: self.output_bytes,
            block: Vec::new(),
        }
    }

    /// The output, whose bytes are held against the limit before they are there.
    fn answer_of(&self, rows: usize) -> Result<&TensorSpec, Error> {
        let [spec] = self.signature.outputs.as_slice() else {
            return Err(Error::Model("its signature has several outputs".to_owned()));
        };
        let each = spec.datatype.size().unwrap_or(1) * self.model.width();
        if rows.checked_mul(each).is_none_or(|bytes| bytes > self.output_bytes) {
            let (name, limit) = (spec.name.clone(), self.output_bytes);
            return Err(Error::OutputTooLarge { name, limit });
        }
        Ok(spec)
    }
}

impl Engine for NativeTrees {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let rows = self.table.rows(&self.signature, inputs)?;
        self.answer_of(rows)?;
        let mut said = self.model.nothing();
        for from in (0..rows).step_by(BLOCK) {
            if from > 0 && Instant::now() >= deadline {
                return Err(Error::Timeout);
            }
            let count = BLOCK.min(rows - from);
            self.table.fill(inputs, from, count, &mut self.block);
            self.model
                .predict(&self.block, &mut said)
                .map_err(|error| Error::Run(error.to_string()))?;
        }
        let spec = self.answer_of(rows)?;
        let mut shape = vec![rows];
        if spec.shape.len() == 2 {
            shape.push(self.model.width());
        }
        let data = converted(said, spec.datatype);
        Ok(vec![Tensor { name: spec.name.clone(), shape, data }])
    }
}

fn read(model: &PythonModel, folder: &Path) -> Result<Model, String> {
    if model.code.is_some() {
        return Err("it brings modules of its own, which may change what it answers".to_owned());
    }
    let below = model.file().map_err(|problem| problem.message)?;
    let path = folder.join(below.as_str());
    let unread = |error: std::io::Error| format!("its file `{below}` cannot be read: {error}");
    let length = std::fs::metadata(&path).map_err(unread)?.len();
    if length > LONGEST_FILE {
        return Err(format!("its file is longer than {} MiB", LONGEST_FILE >> 20));
    }
    let bytes = || std::fs::read(&path).map_err(unread);
    let read = match &model.loader {
        Loader::Xgboost { class, .. } => {
            let known =
                Class::of(class).ok_or_else(|| format!("its class `{class}` is not known here"))?;
            Model::xgboost(&bytes()?, known)
        }
        Loader::Lightgbm { class, .. } if class == "lightgbm.basic.Booster" => {
            Model::lightgbm(&bytes()?)
        }
        Loader::Lightgbm { class, .. } => return Err(format!("its class `{class}` is a pickle")),
        Loader::Sklearn { .. } | Loader::Catboost { .. } | Loader::Pyfunc { .. } => {
            return Err("it is of neither XGBoost nor LightGBM".to_owned());
        }
    };
    read.map_err(|error| error.to_string())
}

/// Whether what the trees say is what the signature says, in a type that takes it as Python's would.
fn answers(signature: &Signature, model: &Model) -> Result<(), String> {
    let [spec] = signature.outputs.as_slice() else {
        return Err("its signature has several outputs".to_owned());
    };
    let TensorSpec { name, datatype, shape, .. } = spec;
    let is_float = matches!(datatype, DataType::F32 | DataType::F64);
    let is_whole = matches!(datatype, DataType::I32 | DataType::I64);
    let takes = match model.nothing() {
        Predictions::F32(_) | Predictions::F64(_) => is_float,
        Predictions::I32(_) | Predictions::I64(_) => is_float || is_whole,
    };
    if !takes {
        return Err(format!("its output `{name}` is {datatype}"));
    }
    let width = model.width() as u64;
    let fits = match shape.as_slice() {
        [rows] => rows.is_dynamic() && width == 1,
        [rows, columns] => {
            rows.is_dynamic() && (columns.is_dynamic() || *columns == Dim::Fixed(width))
        }
        _ => false,
    };
    if !fits {
        let shape = spec.shape_text();
        return Err(format!(
            "its output `{name}` is {shape}, and its trees say {width} numbers of a row"
        ));
    }
    Ok(())
}

fn converted(said: Predictions, datatype: DataType) -> TensorData {
    macro_rules! converted {
        ($said:ident) => {
            match datatype {
                DataType::F64 => TensorData::F64($said.into_iter().map(|x| x as f64).collect()),
                DataType::I32 => TensorData::I32($said.into_iter().map(|x| x as i32).collect()),
                DataType::I64 => TensorData::I64($said.into_iter().map(|x| x as i64).collect()),
                _ => TensorData::F32($said.into_iter().map(|x| x as f32).collect()),
            }
        };
    }
    match (said, datatype) {
        (Predictions::F32(said), DataType::F32) => TensorData::F32(said),
        (Predictions::F64(said), DataType::F64) => TensorData::F64(said),
        (Predictions::I64(said), DataType::I64) => TensorData::I64(said),
        (Predictions::F32(said), _) => converted!(said),
        (Predictions::F64(said), _) => converted!(said),
        (Predictions::I32(said), _) => converted!(said),
        (Predictions::I64(said), _) => converted!(said),
    }
}
