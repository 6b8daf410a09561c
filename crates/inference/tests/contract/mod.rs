//! What every engine keeps to, whatever computes behind it. A kind of engine brings a few models of its
//! own ([`Kind`]), and is asked all of this.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{DataType, Dim, Problem, Tensor, TensorData};
use inference::{Engine, Error, Profile, Replica, ReplicaOptions, arrange};
use libtest_mimic::Trial;

use crate::model::{tensor, two_of};

/// Models that do the same in every kind of engine.
pub trait Kind: Send + Sync {
    /// Types that it has not.
    fn lacks(&self) -> &[DataType] {
        &[]
    }
    /// What goes in as `x` comes out as `y`, of this type and shape.
    fn echo(&self, datatype: DataType, shape: &[&str]) -> Box<dyn Engine>;
    /// INT64 row numbers `x` of shape `[n]` in, rows of a table of ten, FP32 `y` of shape `[n, 2]`, out: row
    /// 3 is 6, 7. A number of eleven or more fails.
    fn table(&self) -> Box<dyn Engine>;
    /// FP32 `b` of shape `[n, 2]` and INT64 `a` of shape `[n]` in; out come `second`, which is `a`, and
    /// `first`, which is `b`.
    fn swaps(&self) -> Box<dyn Engine>;
    /// FP32 `x` of shape `[1]` in, and never an answer.
    fn endless(&self) -> Box<dyn Engine>;
    /// INT64 `elements` of shape `[1]` in, as many FP32 `y` out; an answer may have so many bytes.
    fn expand(&self, output_bytes: usize) -> Box<dyn Engine>;
}

type Check = fn(&dyn Kind);

/// All of it, asked of one kind.
pub fn tests(name: &str, kind: fn() -> Box<dyn Kind>) -> Vec<Trial> {
    let test = |(check, run): &(&str, Check)| {
        let run = *run;
        Trial::test(format!("contract::{name}::{check}"), move || {
            run(kind().as_ref());
            Ok(())
        })
    };
    CHECKS.iter().map(test).collect()
}

/// All that is asked, by name.
const CHECKS: &[(&str, Check)] = &[
    ("every_datatype_comes_out_as_it_went_in", every_datatype),
    ("names_and_orders_are_the_signatures", names_and_orders),
    ("shapes_are_kept_scalars_and_no_rows_too", shapes),
    ("large_tensors_arrive_whole", large_tensors),
    ("a_failure_is_told_and_the_next_is_answered", failures),
    ("a_run_ends_at_its_deadline_and_the_next_one_runs", deadlines),
    ("an_answer_larger_than_the_limit_is_refused", limits),
    ("requests_share_runs_and_get_their_own_rows", batches),
];

fn infer(engine: &mut dyn Engine, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
    let inputs = arrange(engine.signature(), inputs)?;
    engine.infer(&inputs, Instant::now() + Duration::from_secs(60))
}

fn every_datatype(kind: &dyn Kind) {
    let has = |datatype: &&DataType| !kind.lacks().contains(datatype);
    for &datatype in DataType::ALL.iter().filter(has) {
        let mut engine = kind.echo(datatype, &["n", "2"]);
        let spec = &engine.signature().inputs[0];
        assert_eq!((spec.datatype, spec.shape.len()), (datatype, 2));
        assert!(spec.shape[0].is_dynamic() && spec.shape[1] == Dim::Fixed(2));
        let input = tensor("x", &[1, 2], two_of(datatype));
        let output = infer(engine.as_mut(), vec![input.clone()]).unwrap();
        assert_eq!(output, [Tensor { name: "y".to_owned(), ..input }], "{datatype}");
    }
}

fn names_and_orders(kind: &dyn Kind) {
    let mut engine = kind.swaps();
    let names = |specs: &[domain::TensorSpec]| -> Vec<String> {
        specs.iter().map(|spec| spec.name.clone()).collect()
    };
    assert_eq!(names(&engine.signature().inputs), ["b", "a"]);
    assert_eq!(names(&engine.signature().outputs), ["second", "first"]);
    let a = tensor("a", &[2], TensorData::I64(vec![7, -8]));
    let b = tensor("b", &[2, 2], TensorData::F32(vec![1.0, 2.0, 3.0, 4.0]));
    // In whichever order they come.
    for inputs in [vec![a.clone(), b.clone()], vec![b.clone(), a.clone()]] {
        let outputs = infer(engine.as_mut(), inputs).unwrap();
        let (second, first) = (&outputs[0], &outputs[1]);
        assert_eq!((second.name.as_str(), &second.data), ("second", &a.data));
        assert_eq!((first.name.as_str(), &first.data), ("first", &b.data));
    }
    let another = tensor("c", &[1], TensorData::U8(vec![1]));
    for (inputs, field) in [(vec![a.clone()], "b"), (vec![a, b, another], "c")] {
        let problem = Problem::from(infer(engine.as_mut(), inputs).unwrap_err());
        assert!(problem.message.contains(&format!("`{field}`")), "{problem}");
    }
}

fn shapes(kind: &dyn Kind) {
    let mut scalars = kind.echo(DataType::I64, &[]);
    let scalar = tensor("x", &[], TensorData::I64(vec![7]));
    assert_eq!(infer(scalars.as_mut(), vec![scalar]).unwrap()[0].shape, [0_usize; 0]);
    for datatype in [DataType::F32, DataType::Bool, DataType::Bytes] {
        let mut engine = kind.echo(datatype, &["n", "3"]);
        let mut empty = tensor("x", &[1, 2], two_of(datatype));
        domain::with_elements!(&mut empty.data, elements => elements.clear());
        empty.shape = vec![0, 3];
        assert_eq!(infer(engine.as_mut(), vec![empty]).unwrap()[0].shape, [0, 3], "{datatype}");
    }
}

fn large_tensors(kind: &dyn Kind) {
    let mut engine = kind.echo(DataType::F32, &["n"]);
    let numbers: Vec<f32> = (0..5_000_000_u32).map(|at| at as f32).collect();
    for _ in 0..2 {
        let input = tensor("x", &[numbers.len()], TensorData::F32(numbers.clone()));
        let output = infer(engine.as_mut(), vec![input]).unwrap();
        assert!(output[0].data == TensorData::F32(numbers.clone()));
        // A small one behind it.
        let small = tensor("x", &[1], TensorData::F32(vec![0.5]));
        assert_eq!(infer(engine.as_mut(), vec![small.clone()]).unwrap()[0].data, small.data);
    }
}

fn rows(numbers: &[i64]) -> Vec<Tensor> {
    vec![tensor("x", &[numbers.len()], TensorData::I64(numbers.to_vec()))]
}

fn failures(kind: &dyn Kind) {
    let mut engine = kind.table();
    for _ in 0..3 {
        let error = infer(engine.as_mut(), rows(&[99])).unwrap_err();
        assert!(matches!(error, Error::Run(_) | Error::Failed(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("out of") && !told.contains('/'), "{told}");
        let answer = infer(engine.as_mut(), rows(&[3])).unwrap();
        assert_eq!(answer[0].data, TensorData::F32(vec![6.0, 7.0]));
    }
}

fn deadlines(kind: &dyn Kind) {
    let mut engine = kind.endless();
    let input = [tensor("x", &[1], TensorData::F32(vec![1.0]))];
    for _ in 0..3 {
        let result = engine.infer(&input, Instant::now() + Duration::from_millis(100));
        // Whoever comes while an ended process is being replaced may be told so.
        assert!(matches!(result, Err(Error::Timeout | Error::Gone(_))), "{result:?}");
    }
    assert!(matches!(engine.infer(&input, Instant::now()), Err(Error::Timeout)));
}

fn limits(kind: &dyn Kind) {
    let mut engine = kind.expand(4000);
    let mut expand = |elements: i64| {
        infer(engine.as_mut(), vec![tensor("elements", &[1], TensorData::I64(vec![elements]))])
    };
    assert_eq!(expand(1000).unwrap()[0].shape, [1000]);
    let problem = Problem::from(expand(1001).unwrap_err());
    assert_eq!(problem.field.as_deref(), Some("y"));
    assert!(problem.message.contains("4000 bytes"), "{}", problem.message);
    assert_eq!(expand(2).unwrap()[0].shape, [2]);
}

fn batches(kind: &dyn Kind) {
    let none = Duration::ZERO;
    let profile = Profile { batchable: true, single: none, max_batch: 64, per_row: none };
    let engines = vec![kind.table(), kind.table()];
    let replica = Arc::new(Replica::start(engines, profile, &ReplicaOptions::default()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ask = |row: i64| {
        let replica = Arc::clone(&replica);
        runtime.spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60);
            (row, replica.infer(rows(&[row, 0]), deadline).await)
        })
    };
    let asked: Vec<_> = (0..600).map(|at| ask(if at % 50 == 49 { 77 } else { at % 10 })).collect();
    for asked in asked {
        let (row, answer) = runtime.block_on(asked).unwrap();
        match answer {
            Ok(answer) => {
                assert_ne!(row, 77);
                let first = row as f32 * 2.0;
                let expected = TensorData::F32(vec![first, first + 1.0, 0.0, 1.0]);
                assert_eq!(answer.outputs[0].data, expected);
            }
            // One bad row fails nobody but whoever sent it.
            Err(error) => assert!(row == 77, "{row}: {error}"),
        }
    }
    runtime.block_on(replica.drain());
}
