//! What kinds of versions that always run in processes of their own have in common.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Dim, Signature, Tensor, TensorSpec, python::Native};

use super::{Bounds, Host, ProcessEngine, Program};
use crate::{
    Engine, Environment, Error, Replica, ReplicaOptions, arrange, batch, probe,
    trial::{TrialLimits, TrialOutcome, TrialReport, too_large, too_slow},
};

/// A version on this node that processes of its own answer for, by code of its author's.
pub trait Apart {
    /// What goes in and what comes out.
    fn signature(&self) -> &Signature;

    /// Memory that one process takes, as far as the size of its files tells.
    fn bytes(&self) -> u64;

    /// What is run, with so many threads for each run.
    fn program(&self, threads: usize, bounds: &Bounds) -> Program;

    /// What has to stay on the disk for as long as something runs.
    fn environment(&self) -> Option<Arc<Environment>>;

    /// Starts as many processes as pay, and serves by them. Blocks.
    ///
    /// # Errors
    /// As for [`Replica::of`].
    fn serve(
        &self,
        host: &Host,
        bounds: &Bounds,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<Replica, Error> {
        let load = |threads| -> Result<Box<dyn Engine>, Error> {
            Ok(Box::new(self.start(host, threads, bounds.clone())?))
        };
        Replica::of(self.bytes(), load, options, example)
    }

    /// Starts a process, with so many threads for each run, and waits until it has loaded the model.
    ///
    /// # Errors
    /// As for [`ProcessEngine::start`].
    fn start(&self, host: &Host, threads: usize, bounds: Bounds) -> Result<ApartEngine, Error> {
        let bounds = bounds.on_processors(threads);
        let signature = Some(self.signature().clone());
        let process =
            ProcessEngine::start(host, self.program(threads, &bounds), bounds, signature)?;
        Ok(ApartEngine { process, _environment: self.environment() })
    }

    /// Whether a node answers as this process does without it; absent where there is no other way. It is asked
    /// once the example was answered.
    fn native(
        &self,
        _process: &mut dyn Engine,
        _example: Option<&[Tensor]>,
        _deadline: Instant,
    ) -> Option<Native> {
        None
    }

    /// Loads the version and lets it answer its example, if it has one. Blocks.
    ///
    /// # Errors
    /// [`Error::Worker`]: the process could not be started or confined.
    fn try_out(
        &self,
        host: &Host,
        example: Option<Vec<Tensor>>,
        limits: &TrialLimits,
    ) -> Result<TrialOutcome, Error> {
        let start = Instant::now();
        let bounds = Bounds {
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
            loading: limits.time,
            ..Bounds::default()
        };
        let tried = self.start(host, 1, bounds).and_then(|mut engine| {
            let loading = start.elapsed();
            let example = example.map(|example| arrange(self.signature(), example)).transpose()?;
            let deadline = start + limits.time.max(loading + Duration::from_secs(1));
            let (profile, outputs) = probe(&mut engine, example.as_deref(), deadline)?;
            let (signature, native) =
                (self.signature().clone(), self.native(&mut engine, example.as_deref(), deadline));
            Ok(TrialReport { signature, profile, outputs, loading, native })
        });
        let reason = match tried {
            Ok(report) => return Ok(TrialOutcome::Ready(Box::new(report))),
            Err(error @ (Error::Worker(_) | Error::Thread(_))) => return Err(error),
            Err(Error::Input(problem)) => format!("the input example does not fit: {problem}"),
            Err(Error::Run(why) | Error::Failed(why)) => {
                format!("the model failed on its input example: {why}")
            }
            Err(Error::Memory) => too_large(limits),
            Err(Error::Timeout) => too_slow(limits),
            Err(error) => error.to_string(),
        };
        Ok(TrialOutcome::Rejected { reason })
    }
}

/// One process of such a version. All that it answers is held against the signature: a stranger's code
/// says it.
pub struct ApartEngine {
    process: ProcessEngine,
    _environment: Option<Arc<Environment>>,
}

impl Engine for ApartEngine {
    fn signature(&self) -> &Signature {
        self.process.signature()
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let outputs = self.process.infer(inputs, deadline)?;
        fits(self.process.signature(), inputs, &outputs).map_err(Error::Failed)?;
        Ok(outputs)
    }

    fn ends_runs_early(&self) -> bool {
        self.process.ends_runs_early()
    }
}

/// Whether an answer is what the signature says: its names, types and sizes, and a row for each row of
/// the request where both sides have any number of them.
fn fits(signature: &Signature, inputs: &[Tensor], outputs: &[Tensor]) -> Result<(), String> {
    if outputs.len() != signature.outputs.len() {
        let (got, expected) = (outputs.len(), signature.outputs.len());
        return Err(format!("it answered {got} outputs, but its signature names {expected}"));
    }
    let has_rows = |spec: &TensorSpec| spec.shape.first().is_some_and(Dim::is_dynamic);
    // Params stand behind the inputs, and have no rows.
    let params = inputs.iter().position(|tensor| signature.is_param(tensor));
    let inputs = params.and_then(|at| inputs.get(..at)).unwrap_or(inputs);
    let rows = signature.inputs.iter().all(has_rows).then(|| batch::rows(inputs)).flatten();
    for (spec, output) in signature.outputs.iter().zip(outputs) {
        let TensorSpec { name, datatype, shape, .. } = spec;
        if output.name != *name || output.datatype() != *datatype {
            let (got, kind) = (&output.name, output.datatype());
            return Err(format!(
                "it answered `{got}` {kind} where its signature says `{name}` {datatype}"
            ));
        }
        let is_of_size = |(dim, &size): (&Dim, &usize)| match dim {
            Dim::Fixed(expected) => *expected == size as u64,
            Dim::Symbolic(_) | Dim::Any => true,
        };
        let found = &output.shape;
        if found.len() != shape.len() || !shape.iter().zip(found).all(is_of_size) {
            let expected = spec.shape_text();
            return Err(format!(
                "its output `{name}` has the shape {found:?}, but its signature says {expected}"
            ));
        }
        if let (Some(rows), true, Some(&got)) = (rows, has_rows(spec), found.first())
            && got != rows
        {
            return Err(format!(
                "its output `{name}` has {got} rows for the {rows} of the request"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::TensorData;
    use serde_json::json;

    use super::*;

    fn signature() -> Signature {
        serde_json::from_value(json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}, {"name": "p", "datatype": "FP32", "shape": [-1, 3]}],
        }))
        .unwrap()
    }

    fn floats(name: &str, shape: [usize; 2]) -> Tensor {
        let elements = shape.iter().product();
        Tensor::new(name, shape.to_vec(), TensorData::F32(vec![0.0; elements])).unwrap()
    }

    fn whole(name: &str, rows: usize) -> Tensor {
        Tensor::new(name, vec![rows], TensorData::I64(vec![0; rows])).unwrap()
    }

    #[test]
    fn an_answer_has_what_the_signature_says_and_a_row_for_each_row() {
        let asked = [floats("x", [2, 2])];
        let found = |outputs: &[Tensor]| fits(&signature(), &asked, outputs);
        assert_eq!(found(&[whole("y", 2), floats("p", [2, 3])]), Ok(()));
        for (outputs, why) in [
            (vec![whole("y", 2)], "it answered 1 outputs, but its signature names 2"),
            (
                vec![whole("z", 2), floats("p", [2, 3])],
                "it answered `z` INT64 where its signature says `y` INT64",
            ),
            (
                vec![floats("y", [2, 1]), floats("p", [2, 3])],
                "it answered `y` FP32 where its signature says `y` INT64",
            ),
            (
                vec![whole("y", 3), floats("p", [2, 3])],
                "its output `y` has 3 rows for the 2 of the request",
            ),
            (
                vec![whole("y", 2), floats("p", [2, 4])],
                "its output `p` has the shape [2, 4], but its signature says [?, 3]",
            ),
        ] {
            assert_eq!(found(&outputs), Err(why.to_owned()));
        }
    }
}
