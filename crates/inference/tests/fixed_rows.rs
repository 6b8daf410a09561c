//! Models that take a fixed number of rows: served for any number, if they keep their rows apart.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

mod model;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{DataType, Dim, Signature, Tensor, TensorData};
use inference::{
    Engine, Error, ModelFolder, Replica, ReplicaOptions,
    onnx::{OnnxEngine, OnnxOptions},
};
use model::{Graph, tensor};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A model of four rows of three numbers each: `x · w`, or `x` less its mean over all rows.
fn of_four(folder: &std::path::Path, is_mixed: bool) -> ModelFolder {
    let weights: Vec<f32> = (1..=9).map(|at| at as f32 / 7.0).collect();
    let nodes = if is_mixed {
        vec![
            model::node("ReduceMean", &["x"], &["m"], &[model::ints("axes", &[0])]),
            model::node("Sub", &["x", "m"], &["y"], &[]),
        ]
    } else {
        vec![model::node("MatMul", &["x", "w"], &["y"], &[])]
    };
    let graph = Graph {
        nodes,
        inputs: vec![model::value("x", DataType::F32, &["4", "3"])],
        outputs: vec![model::value("y", DataType::F32, &["4", "3"])],
        constants: vec![model::floats("w", &[3, 3], &weights)],
    };
    graph.save(folder)
}

fn rows(first: usize, count: usize) -> Vec<Tensor> {
    let values = (0..count * 3).map(|at| ((first * 3 + at) * 37 % 101) as f32).collect();
    vec![tensor("x", &[count, 3], TensorData::F32(values))]
}

fn load(model: &ModelFolder, threads: usize, example: Option<Vec<Tensor>>) -> Replica {
    let options = ReplicaOptions { threads: Some(threads), ..Default::default() };
    Replica::load(&model::runtime(), model, &options, example).unwrap()
}

fn first_dims(signature: &Signature) -> Vec<&Dim> {
    signature.inputs.iter().chain(&signature.outputs).map(|spec| &spec.shape[0]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fewer_and_more_rows_are_answered_as_each_alone() {
    let folder = tempfile::tempdir().unwrap();
    let model = of_four(folder.path(), false);
    let mut alone = OnnxEngine::load(&model::runtime(), &model, &OnnxOptions::default()).unwrap();
    // What the model itself says of a row: four copies of it, and the answer to the first.
    let mut one = |at: usize| {
        let TensorData::F32(values) = rows(at, 1).remove(0).data else { unreachable!() };
        let copies = vec![tensor("x", &[4, 3], TensorData::F32(values.repeat(4)))];
        let TensorData::F32(answer) = alone.infer(&copies, soon()).unwrap().remove(0).data else {
            unreachable!()
        };
        answer[..3].to_vec()
    };
    let wanted: Vec<Vec<f32>> = (0..60).map(&mut one).collect();
    for (threads, example) in [(1, None), (2, Some(rows(0, 4)))] {
        let replica = Arc::new(load(&model, threads, example));
        assert!(replica.profile().batchable && replica.profile().max_batch == 4);
        assert_eq!(first_dims(replica.signature()), [&Dim::Any; 2]);
        let given = alone_signature(&model);
        assert_eq!(first_dims(&given), [&Dim::Fixed(4); 2]);
        assert_eq!(first_dims(&replica.serves(given)), [&Dim::Any; 2]);
        let callers = (0..48).map(|caller| {
            let (replica, wanted) = (Arc::clone(&replica), wanted.clone());
            tokio::spawn(async move {
                let mut largest = 0;
                for turn in 0..20 {
                    let count = 1 + (caller + turn) % 7;
                    let answer = replica.infer(rows(caller, count), soon()).await.unwrap();
                    let wanted = wanted[caller..caller + count].concat();
                    assert_eq!(answer.outputs[0].shape, [count, 3]);
                    assert_eq!(answer.outputs[0].data, TensorData::F32(wanted));
                    largest = largest.max(answer.batch);
                    tokio::task::yield_now().await;
                }
                largest
            })
        });
        let largest = model::largest(callers.collect()).await;
        assert!(largest > 1, "no batch was formed, so this proves nothing");
    }
}

fn alone_signature(model: &ModelFolder) -> Signature {
    let engine = OnnxEngine::load(&model::runtime(), model, &OnnxOptions::default()).unwrap();
    engine.signature().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_mixes_its_rows_takes_as_many_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let model = of_four(folder.path(), true);
    for example in [None, Some(rows(0, 4))] {
        let replica = load(&model, 1, example);
        assert!(!replica.profile().batchable);
        assert_eq!(first_dims(replica.signature()), [&Dim::Fixed(4); 2]);
        assert!(replica.infer(rows(0, 4), soon()).await.is_ok());
        let refused = replica.infer(rows(0, 3), soon()).await.unwrap_err();
        assert!(matches!(refused, Error::Input(_)), "{refused}");
    }
}
