//! A short look at a loaded model: may its requests share a run, and how fast is it?
//!
//! Requests are joined only if the model gives two different rows, run together, the answers that
//! it gives to each alone. A signature cannot tell that: a model may normalise over the batch, or
//! count something over all rows.

use std::time::{Duration, Instant};

use domain::{DataType, Dim, Tensor, TensorData, TensorSpec};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::{Engine, Error, batch};

/// No larger batches are tried.
const MAX_BATCH: usize = 64;
/// A batch that takes longer would make the first of its callers wait too long.
const MAX_BATCH_TIME: Duration = Duration::from_millis(50);
/// A model whose first run takes longer is not looked at further: it computes so much that
/// batches would not help, and the look would take many runs.
const SLOW: Duration = Duration::from_secs(1);
/// The look takes about this long at most, besides a handful of runs.
const BUDGET: Duration = Duration::from_millis(250);
/// What a model is taken to need that could not be run for want of an example.
const UNKNOWN: Duration = Duration::from_millis(5);
/// No larger inputs are made up.
const MAX_MADE_UP: usize = 1 << 24;

/// What the look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Whether requests may share a run.
    pub batchable: bool,
    /// How long one row takes alone.
    pub single: Duration,
    /// How many rows to run together at most.
    pub max_batch: usize,
    /// How long a row takes in a run of `max_batch` rows.
    pub per_row: Duration,
}

/// Looks at a model, by an example if there is one, else by values made up from its signature.
/// With the profile comes the answer to the example; there is none to made-up values.
///
/// # Errors
/// The model fails on the example. A failure on made-up values is no error: the model is then
/// taken to be slow and not batchable.
pub fn probe(
    engine: &mut dyn Engine,
    example: Option<&[Tensor]>,
    deadline: Instant,
) -> Result<(Profile, Vec<Tensor>), Error> {
    let start = Instant::now();
    if let Some(example) = example {
        let outputs = engine.infer(example, deadline)?;
        return Ok((look(engine, example, start.elapsed(), deadline)?, outputs));
    }
    let made_up: Option<Vec<Tensor>> = engine.signature().inputs.iter().map(make_up).collect();
    let profile = match made_up {
        Some(inputs) if engine.infer(&inputs, deadline).is_ok() => {
            look(engine, &inputs, start.elapsed(), deadline)?
        }
        _ => alone(UNKNOWN),
    };
    Ok((profile, Vec::new()))
}

/// The profile of a model whose requests run one by one.
fn alone(single: Duration) -> Profile {
    Profile { batchable: false, single, max_batch: 1, per_row: single }
}

/// The look itself, at a model that has answered these inputs once, in `first`, and so is warm.
fn look(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    first: Duration,
    deadline: Instant,
) -> Result<Profile, Error> {
    if first > SLOW {
        return Ok(alone(first));
    }
    let begin = Instant::now();
    let joined = batch::may_join(engine.signature())
        .then(|| two_rows(inputs))
        .flatten()
        .filter(|rows| keeps_rows_apart(engine, rows, deadline));
    let Some(rows) = joined else { return fastest(engine, inputs, begin, deadline).map(alone) };
    let single = fastest(engine, &rows[0], begin, deadline)?;
    let mut profile = Profile { batchable: true, ..alone(single) };
    let mut size = 2;
    while size <= MAX_BATCH && begin.elapsed() < BUDGET {
        let many: Vec<&[Tensor]> = rows.iter().cycle().take(size).map(Vec::as_slice).collect();
        let took = fastest(engine, &batch::join(&many), begin, deadline)?;
        if took > MAX_BATCH_TIME {
            break;
        }
        let per_row = took / u32::try_from(size).unwrap_or(u32::MAX);
        // Larger only where it pays: at least a tenth.
        if per_row * 10 <= profile.per_row * 9 {
            profile.max_batch = size;
            profile.per_row = per_row;
        }
        size *= 2;
    }
    Ok(profile)
}

/// The shortest of a few runs, fewer if the budget is spent.
fn fastest(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    begin: Instant,
    deadline: Instant,
) -> Result<Duration, Error> {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        engine.infer(inputs, deadline)?;
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > BUDGET {
            break;
        }
    }
    Ok(shortest)
}

/// Two requests of one row each that differ: the example's first two rows, else its only row and
/// a variation of it.
fn two_rows(inputs: &[Tensor]) -> Option<[Vec<Tensor>; 2]> {
    let count = batch::rows(inputs)?;
    let row = |at: usize| inputs.iter().map(|tensor| batch::slice(tensor, at, 1)).collect();
    let first: Vec<Tensor> = row(0);
    if let Some(other) = (1..count).map(row).find(|other: &Vec<Tensor>| *other != first) {
        return Some([first, other]);
    }
    let turned: Vec<Tensor> = first.iter().map(turn).collect();
    if turned != first {
        return Some([first, turned]);
    }
    let shifted: Vec<Tensor> = first.iter().map(shift).collect();
    (shifted != first).then_some([first, shifted])
}

/// The same elements, one place on: other values, but none that the model has not seen.
fn turn(tensor: &Tensor) -> Tensor {
    let mut turned = tensor.clone();
    domain::with_elements!(&mut turned.data, elements => {
        if !elements.is_empty() {
            elements.rotate_left(1);
        }
    });
    turned
}

/// Slightly other numbers; what cannot be shifted safely stays.
fn shift(tensor: &Tensor) -> Tensor {
    let mut shifted = tensor.clone();
    match &mut shifted.data {
        TensorData::Bool(elements) => elements.iter_mut().for_each(|e| *e = !*e),
        TensorData::U8(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::I32(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::I64(elements) => elements.iter_mut().for_each(|e| *e ^= 1),
        TensorData::F16(elements) => elements.iter_mut().for_each(|e| *e += f16::ONE),
        TensorData::BF16(elements) => elements.iter_mut().for_each(|e| *e += bf16::ONE),
        TensorData::F32(elements) => elements.iter_mut().for_each(|e| *e += 1.0),
        TensorData::F64(elements) => elements.iter_mut().for_each(|e| *e += 1.0),
        TensorData::U16(_)
        | TensorData::U32(_)
        | TensorData::U64(_)
        | TensorData::I8(_)
        | TensorData::I16(_)
        | TensorData::Bytes(_) => {}
    }
    shifted
}

/// Whether two rows run together give what each gives alone. A model that fails on one of them
/// proves nothing, so it counts as no.
fn keeps_rows_apart(engine: &mut dyn Engine, rows: &[Vec<Tensor>; 2], deadline: Instant) -> bool {
    let [first, second] = rows;
    let mut run = |inputs: &[Tensor]| engine.infer(inputs, deadline).ok();
    let Some(alone) = run(first).zip(run(second)) else { return false };
    let Some(together) = run(&batch::join(&[first, second])) else { return false };
    match batch::split(&together, &[1, 1]).as_deref() {
        Ok([one, two]) => alike(one, &alone.0) && alike(two, &alone.1),
        _ => false,
    }
}

fn alike(some: &[Tensor], others: &[Tensor]) -> bool {
    some.len() == others.len()
        && some
            .iter()
            .zip(others)
            .all(|(one, other)| one.shape == other.shape && data_alike(&one.data, &other.data))
}

/// Equal, but for what another order of the same sums does to floats.
fn data_alike(one: &TensorData, other: &TensorData) -> bool {
    let near = |one: f64, other: f64, tolerance: f64| {
        one == other
            || (one.is_nan() && other.is_nan())
            || (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1.0)
    };
    match (floats(one), floats(other)) {
        (Some((ones, tolerance)), Some((others, _))) => {
            ones.len() == others.len()
                && ones.iter().zip(&others).all(|(&one, &other)| near(one, other, tolerance))
        }
        _ => one == other,
    }
}

/// A float tensor's elements, and by how much they may differ.
fn floats(data: &TensorData) -> Option<(Vec<f64>, f64)> {
    if let TensorData::F16(elements) = data {
        return Some((elements.iter().map(|e| e.to_f64()).collect(), 1e-2));
    }
    if let TensorData::BF16(elements) = data {
        return Some((elements.iter().map(|e| e.to_f64()).collect(), 1e-2));
    }
    if let TensorData::F32(elements) = data {
        return Some((elements.iter().map(|&e| f64::from(e)).collect(), 1e-4));
    }
    if let TensorData::F64(elements) = data {
        return Some((elements.clone(), 1e-4));
    }
    None
}

/// A tensor that fits the spec: one row, small values.
fn make_up(spec: &TensorSpec) -> Option<Tensor> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => usize::try_from(*size).ok(),
        Dim::Symbolic(_) | Dim::Any => Some(1),
    };
    let shape: Vec<usize> = spec.shape.iter().map(size).collect::<Option<_>>()?;
    let count = Tensor::elements(&shape).filter(|&count| count <= MAX_MADE_UP)?;
    let bits = (0..count).map(|at| u8::from(at % 2 == 0));
    let data = match spec.datatype {
        DataType::Bool => TensorData::Bool(bits.map(|bit| bit == 1).collect()),
        DataType::U8 => TensorData::U8(bits.collect()),
        DataType::U16 => TensorData::U16(bits.map(u16::from).collect()),
        DataType::U32 => TensorData::U32(bits.map(u32::from).collect()),
        DataType::U64 => TensorData::U64(bits.map(u64::from).collect()),
        DataType::I8 => TensorData::I8(bits.map(|bit| i8::from(bit == 1)).collect()),
        DataType::I16 => TensorData::I16(bits.map(i16::from).collect()),
        DataType::I32 => TensorData::I32(bits.map(i32::from).collect()),
        DataType::I64 => TensorData::I64(bits.map(i64::from).collect()),
        DataType::F16 => TensorData::F16(bits.map(f16::from).collect()),
        DataType::BF16 => TensorData::BF16(bits.map(bf16::from).collect()),
        DataType::F32 => TensorData::F32(bits.map(f32::from).collect()),
        DataType::F64 => TensorData::F64(bits.map(f64::from).collect()),
        DataType::Bytes => TensorData::Bytes(bits.map(|bit| vec![b'a' + bit]).collect()),
    };
    Tensor::new(&spec.name, shape, data).ok()
}

#[cfg(test)]
mod tests {
    use domain::Signature;

    use super::*;

    /// An engine that is a function of its one input.
    struct Function<F>(Signature, F);

    impl<F: FnMut(&[f32]) -> Option<Vec<f32>> + Send> Engine for Function<F> {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn infer(&mut self, inputs: &[Tensor], _: Instant) -> Result<Vec<Tensor>, Error> {
            let TensorData::F32(values) = &inputs[0].data else { panic!() };
            let answer = (self.1)(values).ok_or_else(|| Error::Run("no".to_owned()))?;
            Ok(vec![Tensor::new("y", vec![answer.len()], TensorData::F32(answer)).unwrap()])
        }
    }

    fn engine(
        function: impl FnMut(&[f32]) -> Option<Vec<f32>> + Send,
    ) -> Function<impl FnMut(&[f32]) -> Option<Vec<f32>> + Send> {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: DataType::F32,
            shape: vec![Dim::Symbolic("n".to_owned())],
        };
        Function(Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }, function)
    }

    fn probed(
        function: impl FnMut(&[f32]) -> Option<Vec<f32>> + Send,
        example: Option<&[f32]>,
    ) -> Result<Profile, Error> {
        let example = example.map(|values| {
            let data = TensorData::F32(values.to_vec());
            vec![Tensor::new("x", vec![values.len()], data).unwrap()]
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        probe(&mut engine(function), example.as_deref(), deadline).map(|(profile, _)| profile)
    }

    #[test]
    fn a_model_that_keeps_its_rows_apart_is_batchable() {
        for example in [None, Some(&[2.0][..]), Some(&[2.0, 3.0]), Some(&[2.0, 2.0])] {
            let twice = |values: &[f32]| Some(values.iter().map(|value| value * 2.0).collect());
            assert!(probed(twice, example).unwrap().batchable);
        }
    }

    #[test]
    fn a_model_that_mixes_or_counts_rows_is_not() {
        let sum = |values: &[f32]| Some(vec![values.iter().sum()]);
        let swapped = |values: &[f32]| Some(values.iter().rev().copied().collect());
        let share = |values: &[f32]| {
            let sum: f32 = values.iter().sum();
            Some(values.iter().map(|value| value / sum).collect())
        };
        let single = |values: &[f32]| (values.len() == 1).then(|| values.to_vec());
        assert!(!probed(sum, Some(&[2.0, 3.0])).unwrap().batchable);
        assert!(!probed(swapped, Some(&[2.0])).unwrap().batchable);
        assert!(!probed(share, Some(&[2.0])).unwrap().batchable);
        assert!(!probed(single, Some(&[2.0])).unwrap().batchable);
    }

    #[test]
    fn only_a_failure_on_a_real_example_is_an_error() {
        assert!(matches!(probed(|_| None, Some(&[1.0])), Err(Error::Run(_))));
        let profile = probed(|_| None, None).unwrap();
        assert_eq!((profile.batchable, profile.max_batch), (false, 1));
    }

    #[test]
    fn rows_are_joined_only_as_far_as_it_pays() {
        let by_the_row = |values: &[f32]| {
            std::thread::sleep(Duration::from_millis(2) * values.len() as u32);
            Some(values.to_vec())
        };
        let by_the_run = |values: &[f32]| {
            std::thread::sleep(Duration::from_millis(2));
            Some(values.to_vec())
        };
        assert!(probed(by_the_row, None).unwrap().max_batch <= 2);
        assert!(probed(by_the_run, None).unwrap().max_batch >= 16);
    }

    #[test]
    fn a_very_slow_model_is_run_once() {
        let mut runs = 0;
        let slow = |values: &[f32]| {
            runs += 1;
            std::thread::sleep(SLOW + Duration::from_millis(10));
            Some(values.to_vec())
        };
        assert!(!probed(slow, Some(&[1.0])).unwrap().batchable);
        assert_eq!(runs, 1);
    }
}
