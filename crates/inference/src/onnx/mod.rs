//! ONNX models, by ONNX Runtime.
//!
//! Inputs are lent to the runtime without a copy; only strings are copied, because its strings
//! are C++'s. External weights lie beside the model's file and are mapped into memory by the
//! runtime, which refuses weights outside the model's folder.

mod message;
mod signature;
mod tensors;

use std::time::Instant;

use domain::{Signature, Tensor};
use ort::session::{Session, SessionInputValue, builder::GraphOptimizationLevel};

use crate::{Engine, Error, ModelFolder, Runtime, watchdog::Watch};

/// How an [`OnnxEngine`] runs.
#[derive(Debug, Clone)]
pub struct OnnxOptions {
    /// Threads that work on one run.
    pub threads: usize,
    /// The most bytes that one answer may have.
    pub max_output_bytes: usize,
}

impl Default for OnnxOptions {
    /// One thread, 256 MiB.
    fn default() -> Self {
        Self { threads: 1, max_output_bytes: 256 << 20 }
    }
}

/// One session of ONNX Runtime.
pub struct OnnxEngine {
    session: Session,
    signature: Signature,
    watch: Watch,
    folder: String,
    max_output_bytes: usize,
}

impl OnnxEngine {
    /// Loads a model.
    ///
    /// # Errors
    /// [`Error::Model`] naming what is wrong with the file: an unknown operator, an input or output
    /// that is no tensor, missing weights; [`Error::Memory`].
    pub fn load(
        runtime: &Runtime,
        model: &ModelFolder,
        options: &OnnxOptions,
    ) -> Result<Self, Error> {
        let folder = model.path.display().to_string();
        let session = session(runtime, model, options.threads)
            .map_err(|error| message::load_error(error.message(), &folder))?;
        let signature = signature::read(&session)?;
        let watch = runtime
            .watchdog
            .watch()
            .map_err(|error| message::load_error(error.message(), &folder))?;
        Ok(Self { session, signature, watch, folder, max_output_bytes: options.max_output_bytes })
    }
}

fn session(runtime: &Runtime, model: &ModelFolder, threads: usize) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        // Spinning threads would burn the cores that other models and HTTP need.
        .with_intra_op_spinning(false)?
        .commit_from_file(model.path.join(model.file.as_str()))
}

impl Engine for OnnxEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let values: Vec<SessionInputValue<'_>> =
            inputs.iter().map(tensors::lend).collect::<Result<_, _>>()?;
        if Instant::now() >= deadline {
            return Err(Error::Timeout);
        }
        self.watch.begin(deadline);
        let result = self.session.run_with_options(values.as_slice(), self.watch.options());
        let ended =
            self.watch.finish().map_err(|error| message::run_error(error.message(), &self.folder));
        let outputs = match (result, ended?) {
            (Ok(outputs), _) => outputs,
            (Err(_), true) => return Err(Error::Timeout),
            (Err(error), false) => return Err(message::run_error(error.message(), &self.folder)),
        };
        let mut left = self.max_output_bytes;
        let mut answer = Vec::with_capacity(outputs.len());
        for (name, value) in outputs {
            let tensor = tensors::take(name, value, &mut left).map_err(|error| match error {
                tensors::TakeError::TooLarge => {
                    Error::OutputTooLarge { name: name.to_owned(), limit: self.max_output_bytes }
                }
                tensors::TakeError::Broken(why) => message::run_error(&why, &self.folder),
            })?;
            answer.push(tensor);
        }
        Ok(answer)
    }
}
