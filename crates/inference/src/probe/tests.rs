use domain::{DataType, Dim, Signature, TensorData, TensorSpec};

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
        optional: false,
    };
    Function(Signature::new(vec![spec("x")], vec![spec("y")]), function)
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
fn a_batch_that_fails_ends_the_search_and_nothing_else() {
    let narrow = |values: &[f32]| (values.len() <= 4).then(|| values.to_vec());
    let profile = probed(narrow, Some(&[2.0])).unwrap();
    assert!(profile.batchable && profile.max_batch <= 4);
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
