//! Replicas: batching, queueing, deadlines and draining, with real models and with an engine that
//! the test holds in its hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail as it may")]

mod model;

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::ThreadId,
    time::{Duration, Instant},
};

use domain::{DataType, Dim, Signature, Tensor, TensorData, TensorSpec};
use inference::{
    Engine, Error, ModelFolder, Profile, Replica, ReplicaOptions,
    onnx::{OnnxEngine, OnnxOptions},
};
use model::tensor;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn row(values: &[f32]) -> Vec<Tensor> {
    vec![tensor("x", &[1, values.len()], TensorData::F32(values.to_vec()))]
}

fn load(model: &ModelFolder, options: &ReplicaOptions) -> Replica {
    Replica::load(&model::runtime(), model, options, None).unwrap()
}

fn options(threads: usize, max_batch: usize) -> ReplicaOptions {
    ReplicaOptions { threads: Some(threads), max_batch: Some(max_batch), ..Default::default() }
}

/// Adds up each row, but waits before each run until the gate is open.
#[derive(Clone)]
struct Summing {
    signature: Signature,
    gate: Arc<(Mutex<bool>, Condvar)>,
    begun: Arc<AtomicUsize>,
    runs: Arc<AtomicUsize>,
    ran_on: Arc<Mutex<Option<ThreadId>>>,
}

impl Summing {
    fn new() -> Self {
        let spec = |name: &str, shape: Vec<Dim>| TensorSpec {
            name: name.to_owned(),
            datatype: DataType::F32,
            shape,
            optional: false,
        };
        let signature = Signature::new(
            vec![spec("x", vec![Dim::Any, Dim::Any])],
            vec![spec("y", vec![Dim::Any])],
        );
        Self {
            signature,
            gate: Arc::default(),
            begun: Arc::default(),
            runs: Arc::default(),
            ran_on: Arc::default(),
        }
    }

    fn open(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }

    /// A replica of this engine whose callers all queue.
    fn replica(&self, options: &ReplicaOptions) -> Replica {
        self.replica_of_speed(Duration::from_millis(9), options)
    }

    fn replica_of_speed(&self, single: Duration, options: &ReplicaOptions) -> Replica {
        let profile = Profile { batchable: true, single, max_batch: 8, per_row: single };
        Replica::start(vec![Box::new(self.clone())], profile, options).unwrap()
    }
}

impl Engine for Summing {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn infer(&mut self, inputs: &[Tensor], _deadline: Instant) -> Result<Vec<Tensor>, Error> {
        self.begun.fetch_add(1, SeqCst);
        let (gate, opened) = &*self.gate;
        drop(opened.wait_while(gate.lock().unwrap(), |open| !*open).unwrap());
        self.runs.fetch_add(1, SeqCst);
        *self.ran_on.lock().unwrap() = Some(std::thread::current().id());
        let TensorData::F32(values) = &inputs[0].data else { panic!("not FP32") };
        assert!(values.iter().all(|value| *value >= 0.0), "a negative number");
        let sums: Vec<f32> =
            values.chunks(inputs[0].shape[1]).map(|row| row.iter().sum()).collect();
        Ok(vec![tensor("y", &[sums.len()], TensorData::F32(sums))])
    }
}

fn sum(answer: &inference::Answer) -> f32 {
    let TensorData::F32(sums) = &answer.outputs[0].data else { panic!("not FP32") };
    sums.iter().sum()
}

type Task = tokio::task::JoinHandle<Result<inference::Answer, Error>>;

/// Starts a request, and comes back once the condition holds.
async fn start(
    replica: &Arc<Replica>,
    inputs: Vec<Tensor>,
    until: impl Fn(&Replica) -> bool,
) -> Task {
    let task = tokio::spawn({
        let replica = Arc::clone(replica);
        async move { replica.infer(inputs, soon()).await }
    });
    let begin = Instant::now();
    while !until(replica) {
        assert!(begin.elapsed() < Duration::from_secs(20), "the request did not get that far");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task
}

/// Starts a request that has to wait.
async fn queue(replica: &Arc<Replica>, inputs: Vec<Tensor>) -> Task {
    let waiting = replica.queued();
    start(replica, inputs, |replica| replica.queued() > waiting).await
}

/// A replica whose only thread is held by a first request, so that what follows waits.
async fn held(engine: &Summing, options: &ReplicaOptions) -> (Arc<Replica>, Task) {
    let replica = Arc::new(engine.replica(options));
    let first = start(&replica, row(&[1.0]), |_| engine.begun.load(SeqCst) > 0).await;
    (replica, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_never_mix() {
    let model = model::real("digits.onnx");
    let mut alone = OnnxEngine::load(&model::runtime(), &model, &OnnxOptions::default()).unwrap();
    let payload = |caller: usize, turn: usize| {
        let rows = 1 + caller % 3;
        let pixels = (0..rows * 64).map(|at| ((caller * 31 + turn * 7 + at * at) % 17) as f32);
        vec![tensor("pixels", &[rows, 64], TensorData::F32(pixels.collect()))]
    };
    let mut expected = Vec::new();
    for caller in 0..64 {
        let turns = (0..40).map(|turn| alone.infer(&payload(caller, turn), soon()).unwrap());
        expected.push(turns.collect::<Vec<_>>());
    }
    for threads in [1, 3] {
        let replica = Arc::new(load(&model, &options(threads, 8)));
        assert!(replica.profile().batchable);
        let callers = expected.iter().cloned().enumerate().map(|(caller, expected)| {
            let replica = Arc::clone(&replica);
            tokio::spawn(async move {
                let mut largest = 0;
                for (turn, expected) in expected.iter().enumerate() {
                    let answer = replica.infer(payload(caller, turn), soon()).await.unwrap();
                    largest = largest.max(answer.batch);
                    for (got, wanted) in answer.outputs.iter().zip(expected) {
                        assert_eq!(got.shape, wanted.shape);
                        match (&got.data, &wanted.data) {
                            (TensorData::F32(got), TensorData::F32(wanted)) => {
                                let apart =
                                    |(got, wanted): (&f32, &f32)| (got - wanted).abs() > 1e-5;
                                assert!(!got.iter().zip(wanted).any(apart));
                            }
                            (got, wanted) => assert_eq!(got, wanted),
                        }
                    }
                    tokio::task::yield_now().await;
                }
                largest
            })
        });
        let largest = model::largest(callers.collect()).await;
        assert!(largest > 1, "no batch was formed, so this proves nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_shares_one_run_and_each_gets_its_own_rows() {
    let engine = Summing::new();
    let (replica, first) = held(&engine, &ReplicaOptions::default()).await;
    let mut waiting = Vec::new();
    for number in [10.0, 20.0, 30.0] {
        waiting.push(queue(&replica, row(&[number])).await);
    }
    engine.open();
    let first = first.await.unwrap().unwrap();
    assert_eq!((first.batch, first.run.rows, first.leads), (1, 1, true));
    let mut leading = 0;
    for (number, task) in [10.0, 20.0, 30.0].into_iter().zip(waiting) {
        let answer = task.await.unwrap().unwrap();
        assert_eq!((answer.batch, answer.run.rows, sum(&answer)), (3, 3, number));
        assert!(answer.queued > Duration::ZERO);
        leading += usize::from(answer.leads);
    }
    assert_eq!(leading, 1, "one answer stands for the run");
    assert_eq!(engine.runs.load(SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_widths_are_not_joined() {
    let engine = Summing::new();
    let (replica, _first) = held(&engine, &ReplicaOptions::default()).await;
    let narrow = queue(&replica, row(&[1.0])).await;
    let wide = queue(&replica, row(&[1.0, 2.0])).await;
    engine.open();
    assert_eq!(narrow.await.unwrap().unwrap().batch, 1);
    let wide = wide.await.unwrap().unwrap();
    assert_eq!((wide.batch, sum(&wide)), (1, 3.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_fails_alone_even_if_the_engine_panics() {
    let engine = Summing::new();
    let (replica, _first) = held(&engine, &ReplicaOptions::default()).await;
    let mut waiting = Vec::new();
    for number in [10.0, -1.0, 30.0] {
        waiting.push(queue(&replica, row(&[number])).await);
    }
    engine.open();
    let mut results = Vec::new();
    for task in waiting {
        results.push(task.await.unwrap());
    }
    assert_eq!(sum(results[0].as_ref().unwrap()), 10.0);
    assert!(matches!(results[1], Err(Error::Run(_))));
    assert_eq!(sum(results[2].as_ref().unwrap()), 30.0);
    assert_eq!(sum(&replica.infer(row(&[5.0]), soon()).await.unwrap()), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let engine = Summing::new();
    let options = ReplicaOptions { queue: 2, ..Default::default() };
    let (replica, _first) = held(&engine, &options).await;
    let one = queue(&replica, row(&[1.0])).await;
    let two = queue(&replica, row(&[2.0])).await;
    let start = Instant::now();
    assert!(matches!(replica.infer(row(&[3.0]), soon()).await, Err(Error::Overloaded)));
    assert!(start.elapsed() < Duration::from_secs(1));
    engine.open();
    assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_told_so_in_time_and_not_computed() {
    let engine = Summing::new();
    let (replica, first) = held(&engine, &ReplicaOptions::default()).await;
    let start = Instant::now();
    let late = replica.infer(row(&[1.0]), start + Duration::from_millis(50)).await;
    assert!(matches!(late, Err(Error::Timeout)));
    assert!(start.elapsed() < Duration::from_secs(5));
    engine.open();
    first.await.unwrap().unwrap();
    replica.drain().await;
    assert_eq!(engine.runs.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_is_not_computed() {
    let engine = Summing::new();
    let (replica, first) = held(&engine, &ReplicaOptions::default()).await;
    let left = queue(&replica, row(&[1.0])).await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    engine.open();
    first.await.unwrap().unwrap();
    replica.drain().await;
    assert_eq!(engine.runs.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_queued_and_takes_nothing_more() {
    let engine = Summing::new();
    let (replica, first) = held(&engine, &ReplicaOptions::default()).await;
    let waiting = queue(&replica, row(&[2.0])).await;
    let draining = tokio::spawn({
        let replica = Arc::clone(&replica);
        async move { replica.drain().await }
    });
    let at_once = || Instant::now() + Duration::from_millis(5);
    while !matches!(replica.infer(row(&[3.0]), at_once()).await, Err(Error::Draining)) {}
    assert!(!draining.is_finished());
    engine.open();
    assert!(first.await.unwrap().is_ok() && waiting.await.unwrap().is_ok());
    draining.await.unwrap();
    assert_eq!(Arc::strong_count(&engine.runs), 1, "the engine is freed");
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_refused_by_the_tensors_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = model::identity(DataType::F32, &["n", "4"]).save(folder.path());
    let replica = load(&model, &ReplicaOptions::default());
    let wrong = tensor("z", &[1, 4], TensorData::F32(vec![0.0; 4]));
    let Err(Error::Input(problem)) = replica.infer(vec![wrong], soon()).await else { panic!() };
    assert_eq!(problem.message, "input `x` is missing: expected `x` FP32 [n, 4]");
}

#[tokio::test]
async fn a_caller_that_is_alone_runs_a_fast_model_on_its_own_thread() {
    for (single, own) in [(Duration::from_micros(9), true), (Duration::from_millis(9), false)] {
        let engine = Summing::new();
        engine.open();
        let replica = engine.replica_of_speed(single, &ReplicaOptions::default());
        replica.infer(row(&[1.0]), soon()).await.unwrap();
        let ran_on = *engine.ran_on.lock().unwrap();
        assert_eq!(ran_on == Some(std::thread::current().id()), own);
        replica.drain().await;
        assert!(matches!(replica.infer(row(&[1.0]), soon()).await, Err(Error::Draining)));
    }
}

/// Takes as long as it may on the thread of whoever asks, and no time on another.
struct Dawdling {
    signature: Signature,
    callers: ThreadId,
    cut: Arc<AtomicUsize>,
}

impl Engine for Dawdling {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        if std::thread::current().id() == self.callers {
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            self.cut.fetch_add(1, SeqCst);
            return Err(Error::Timeout);
        }
        Ok(inputs.to_vec())
    }
}

#[tokio::test]
async fn a_fast_model_that_turns_slow_holds_its_callers_thread_up_once() {
    let (cut, callers) = (Arc::<AtomicUsize>::default(), std::thread::current().id());
    let signature = Summing::new().signature;
    let engine = Dawdling { signature, callers, cut: Arc::clone(&cut) };
    let fast = Duration::from_micros(9);
    let profile = Profile { batchable: true, single: fast, max_batch: 8, per_row: fast };
    let options = ReplicaOptions::default();
    let replica = Replica::start(vec![Box::new(engine)], profile, &options).unwrap();
    for _ in 0..100 {
        assert!(replica.infer(row(&[1.0]), soon()).await.is_ok());
    }
    assert_eq!(cut.load(SeqCst), 1);
}

/// A fast replica of an open gate.
fn fast(engine: &Summing, max_batch: usize) -> Replica {
    engine.open();
    engine.replica_of_speed(Duration::from_micros(9), &options(1, max_batch))
}

#[tokio::test]
async fn those_who_come_at_once_on_one_thread_run_together_there() {
    let engine = Summing::new();
    let replica = fast(&engine, 64);
    let callers = (0..20).map(|number| replica.infer(row(&[number as f32, 1.0]), soon()));
    let answers = futures_util::future::try_join_all(callers).await.unwrap();
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!((answer.batch, sum(answer)), (20, number as f32 + 1.0));
        assert_eq!(answer.inputs, row(&[number as f32, 1.0]));
    }
    let leading = answers.iter().filter(|answer| answer.leads).count();
    assert_eq!((leading, engine.runs.load(SeqCst)), (1, 1));
    assert_eq!(*engine.ran_on.lock().unwrap(), Some(std::thread::current().id()));
}

#[tokio::test]
async fn what_does_not_fit_into_a_run_has_the_next_one() {
    let engine = Summing::new();
    let replica = fast(&engine, 4);
    let callers = (0..10).map(|number| {
        let width = if number == 5 { 3 } else { 2 };
        replica.infer(row(&vec![number as f32; width]), soon())
    });
    let answers = futures_util::future::try_join_all(callers).await.unwrap();
    let batches: Vec<_> = answers.iter().map(|answer| answer.batch).collect();
    assert_eq!(batches, [4, 4, 4, 4, 1, 1, 4, 4, 4, 4]);
    assert_eq!(sum(&answers[5]), 15.0);
}

#[tokio::test]
async fn whoever_goes_away_leaves_the_others_their_answers() {
    let engine = Summing::new();
    let replica = fast(&engine, 64);
    let mut callers: Vec<_> =
        (0..10).map(|number| Box::pin(replica.infer(row(&[number as f32]), soon()))).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for caller in &mut callers {
        assert!(caller.as_mut().poll(&mut context).is_pending());
    }
    // The first was to run for all of them.
    drop(callers.remove(0));
    drop(callers.remove(4));
    let answers = futures_util::future::try_join_all(callers).await.unwrap();
    let sums: Vec<_> = answers.iter().map(sum).collect();
    assert_eq!(sums, [1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 9.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_a_thread_queue_while_another_has_the_engine() {
    let engine = Summing::new();
    let replica = Arc::new(engine.replica_of_speed(Duration::from_micros(9), &Default::default()));
    let first = start(&replica, row(&[1.0]), |_| engine.begun.load(SeqCst) > 0).await;
    let waiting = queue(&replica, row(&[2.0])).await;
    engine.open();
    for (task, expected) in [(first, 1.0), (waiting, 2.0)] {
        assert_eq!(sum(&task.await.unwrap().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_bad_row_among_those_of_a_thread_fails_alone() {
    let engine = Summing::new();
    let replica = fast(&engine, 64);
    let values = (0..10).map(|number| if number == 3 { -1.0 } else { number as f32 });
    let callers = values.map(|value| replica.infer(row(&[value]), soon()));
    let answers = futures_util::future::join_all(callers).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match (number, answer) {
            (3, answer) => assert!(matches!(answer, Err(Error::Run(_)))),
            (_, answer) => assert_eq!(sum(&answer.unwrap()), number as f32),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_mixes_rows_is_never_batched() {
    let folder = tempfile::tempdir().unwrap();
    let model = model::centred().save(folder.path());
    let replica = Arc::new(load(&model, &ReplicaOptions::default()));
    assert!(!replica.profile().batchable);
    let callers = (0..200).map(|caller| {
        let replica = Arc::clone(&replica);
        tokio::spawn(async move {
            let answer = replica.infer(row(&[caller as f32, 1.0, 2.0]), soon()).await.unwrap();
            assert_eq!(answer.outputs[0].data, TensorData::F32(vec![0.0; 3]));
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_out_of_range_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let replica = Arc::new(load(&model::table().save(folder.path()), &options(1, 64)));
    assert!(replica.profile().batchable);
    let callers = (0..400_i64).map(|caller| {
        let replica = Arc::clone(&replica);
        tokio::spawn(async move {
            let index = caller % 12;
            let input = tensor("x", &[1], TensorData::I64(vec![index]));
            match replica.infer(vec![input], soon()).await {
                Ok(answer) => {
                    let first = 2.0 * index as f32;
                    assert_eq!(answer.outputs[0].data, TensorData::F32(vec![first, first + 1.0]));
                }
                Err(error) => assert!(index > 9 && matches!(error, Error::Run(_)), "{error}"),
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_model_times_out_and_frees_its_thread() {
    // Loading it as a replica is loaded would find out: it may also become endless later.
    let model = model::real("endless.onnx");
    let engine = OnnxEngine::load(&model::runtime(), &model, &OnnxOptions::default()).unwrap();
    let slow = Duration::from_millis(9);
    let profile = Profile { batchable: false, single: slow, max_batch: 1, per_row: slow };
    let options = ReplicaOptions::default();
    let replica = Replica::start(vec![Box::new(engine)], profile, &options).unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        let input = vec![tensor("x", &[1], TensorData::F32(vec![1.0]))];
        let result = replica.infer(input, start + Duration::from_millis(100)).await;
        assert!(matches!(result, Err(Error::Timeout)));
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
