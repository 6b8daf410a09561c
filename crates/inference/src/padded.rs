//! Models that take a fixed number of rows and no other.
//!
//! If such a model keeps its rows apart, fewer rows are answered too: what is missing is filled up with
//! copies of the last row, and the answers to those are thrown away. So requests share its runs like
//! those of any other model. Whether it does is asked with all its places taken; a model that does not
//! is run as it is, with its own number of rows.

use std::time::Instant;

use domain::{Dim, Signature, Tensor};

use crate::{
    Engine, Error, batch,
    probe::{alike, two_rows},
};

/// Such a model, for any number of rows.
pub(crate) struct Padded {
    engine: Box<dyn Engine>,
    signature: Signature,
    rows: usize,
}

/// How many rows a model takes, if it takes that many and no other: more than one, the same in all
/// inputs and outputs.
pub(crate) fn fixed_rows(signature: &Signature) -> Option<usize> {
    let mut specs = signature.inputs.iter().chain(&signature.outputs);
    let first = signature.inputs.first()?.shape.first()?;
    let Dim::Fixed(rows @ 2..) = first else { return None };
    let same = specs.all(|spec| spec.shape.first() == Some(first));
    usize::try_from(*rows).ok().filter(|_| same)
}

/// The same with any number of rows.
pub(crate) fn with_any_rows(mut signature: Signature) -> Signature {
    for spec in signature.inputs.iter_mut().chain(&mut signature.outputs) {
        if let Some(first) = spec.shape.first_mut() {
            *first = Dim::Any;
        }
    }
    signature
}

impl Padded {
    pub(crate) fn new(engine: Box<dyn Engine>, rows: usize) -> Self {
        let signature = with_any_rows(engine.signature().clone());
        Self { engine, signature, rows }
    }

    /// The model as it is.
    pub(crate) fn into_inner(self) -> Box<dyn Engine> {
        self.engine
    }

    /// Whether the model gives to each row, whatever the others are and wherever it stands, what it gives
    /// to it among copies of itself. One that fails on this proves nothing, so it counts as no.
    pub(crate) fn keeps_rows_apart(&mut self, inputs: &[Tensor], deadline: Instant) -> bool {
        let Some(rows) = two_rows(inputs) else { return false };
        let [first, second] = rows.each_ref().map(|row| self.infer(row, deadline).ok());
        let Some(alone) = first.zip(second) else { return false };
        let mixed: Vec<&[Tensor]> =
            rows.iter().map(Vec::as_slice).cycle().take(self.rows).collect();
        let Ok(together) = self.infer(&batch::join(&mixed), deadline) else { return false };
        batch::check(&together, self.rows).is_ok()
            && (0..self.rows).all(|at| {
                let alone = if at % 2 == 0 { &alone.0 } else { &alone.1 };
                alike(&part(&together, at, 1), alone)
            })
    }

    /// The answers to these rows, no more than the model takes.
    fn run(
        &mut self,
        inputs: &[Tensor],
        rows: usize,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Error> {
        if rows == self.rows {
            return self.engine.infer(inputs, deadline);
        }
        let last = part(inputs, rows.saturating_sub(1), 1);
        let filler = std::iter::repeat_n(last.as_slice(), self.rows.saturating_sub(rows));
        let all: Vec<&[Tensor]> = std::iter::once(inputs).chain(filler).collect();
        let outputs = self.engine.infer(&batch::join(&all), deadline)?;
        batch::check(&outputs, self.rows)?;
        Ok(part(&outputs, 0, rows))
    }
}

/// Some rows of all tensors.
fn part(tensors: &[Tensor], from: usize, count: usize) -> Vec<Tensor> {
    tensors.iter().map(|tensor| batch::slice(tensor, from, count)).collect()
}

impl Engine for Padded {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn ends_runs_early(&self) -> bool {
        self.engine.ends_runs_early()
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let Some(rows) = batch::rows(inputs) else {
            let message = "inputs differ in their number of rows, or have none";
            return Err(domain::Problem::new(domain::ErrorCode::Invalid, message).into());
        };
        if rows <= self.rows {
            return self.run(inputs, rows, deadline);
        }
        let mut answers = Vec::new();
        for from in (0..rows).step_by(self.rows) {
            let count = self.rows.min(rows - from);
            answers.push(self.run(&part(inputs, from, count), count, deadline)?);
        }
        let answers: Vec<&[Tensor]> = answers.iter().map(Vec::as_slice).collect();
        Ok(batch::join(&answers))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{DataType, TensorData, TensorSpec};

    use super::*;

    type Rows = fn(&[f32]) -> Vec<f32>;

    /// A model of four rows of two numbers, which is a function of all of them.
    struct Four<F>(Signature, F);

    impl<F: FnMut(&[f32]) -> Vec<f32> + Send> Engine for Four<F> {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn infer(&mut self, inputs: &[Tensor], _: Instant) -> Result<Vec<Tensor>, Error> {
            assert_eq!(inputs[0].shape, [4, 2]);
            let TensorData::F32(values) = &inputs[0].data else { panic!() };
            let answer = TensorData::F32((self.1)(values));
            Ok(vec![Tensor::new("y", vec![4, 2], answer).unwrap()])
        }
    }

    fn four(function: impl FnMut(&[f32]) -> Vec<f32> + Send + 'static) -> Padded {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: DataType::F32,
            shape: vec![Dim::Fixed(4), Dim::Fixed(2)],
            optional: false,
        };
        let signature = Signature::new(vec![spec("x")], vec![spec("y")]);
        let rows = fixed_rows(&signature).unwrap();
        Padded::new(Box::new(Four(signature, function)), rows)
    }

    fn rows(count: usize) -> Vec<Tensor> {
        let values = (0..count * 2).map(|at| at as f32).collect();
        vec![Tensor::new("x", vec![count, 2], TensorData::F32(values)).unwrap()]
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn any_number_of_rows_is_answered_by_runs_of_four() {
        let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&runs);
        let mut padded = four(move |values| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            values.iter().map(|value| value * 2.0).collect()
        });
        assert!(padded.signature().check(&rows(1)).is_ok());
        for (count, taken) in [(1, 1), (3, 1), (4, 1), (5, 2), (11, 3)] {
            runs.store(0, std::sync::atomic::Ordering::Relaxed);
            let answer = padded.infer(&rows(count), soon()).unwrap();
            let wanted = (0..count * 2).map(|at| at as f32 * 2.0).collect();
            assert_eq!(answer[0].shape, [count, 2]);
            assert_eq!(answer[0].data, TensorData::F32(wanted), "{count}");
            assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), taken, "{count}");
        }
        let none = vec![Tensor::new("x", vec![0, 2], TensorData::F32(Vec::new())).unwrap()];
        assert!(padded.infer(&none, soon()).is_err());
    }

    #[test]
    fn only_rows_that_are_kept_apart_are_filled_up() {
        let apart =
            |function: fn(&[f32]) -> Vec<f32>| four(function).keeps_rows_apart(&rows(4), soon());
        assert!(apart(|values| values.iter().map(|value| value + 1.0).collect()));
        let wrong: [Rows; 5] = [
            // The sum of all, the rows the other way round, the place, the first row, the last place.
            |values| vec![values.iter().sum(); 8],
            |values| values.chunks(2).rev().flatten().copied().collect(),
            |values| values.iter().enumerate().map(|(at, value)| value + at as f32).collect(),
            |values| values.iter().map(|value| value - values[0]).collect(),
            |values| {
                let mut values = values.to_vec();
                values[7] += 1.0;
                values
            },
        ];
        for function in wrong {
            assert!(!apart(function));
        }
    }

    #[test]
    fn only_a_number_of_rows_that_all_have_is_fixed() {
        let signature = |input: Dim, output: Dim| {
            let spec = |name: &str, dim| TensorSpec {
                name: name.to_owned(),
                datatype: DataType::F32,
                shape: vec![dim, Dim::Fixed(3)],
                optional: false,
            };
            Signature::new(vec![spec("x", input)], vec![spec("y", output)])
        };
        assert_eq!(fixed_rows(&signature(Dim::Fixed(8), Dim::Fixed(8))), Some(8));
        for (input, output) in [
            (Dim::Fixed(8), Dim::Fixed(4)),
            (Dim::Fixed(8), Dim::Any),
            (Dim::Any, Dim::Fixed(8)),
            (Dim::Fixed(1), Dim::Fixed(1)),
        ] {
            assert_eq!(fixed_rows(&signature(input, output)), None);
        }
    }
}
