//! Answers per second through a replica, without HTTP.
//!
//! `cargo run --release -p inference --example throughput [MODEL.onnx]`
//!
//! Prints, for 1, 16 and 64 callers, how many one-row requests are answered per second, how long
//! they took, how many shared a run, and how many ran where
//! their callers stood. Without a model it takes the tests' digits classifier.

#[path = "../tests/model/mod.rs"]
mod model;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::{Dim, Tensor, TensorData};
use inference::{Engine, ModelFolder, Replica, ReplicaOptions, onnx::OnnxEngine};

const TIME: Duration = Duration::from_secs(3);

#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool for developers")]
fn main() {
    let model = match std::env::args().nth(1) {
        Some(path) => {
            let path = PathBuf::from(path);
            ModelFolder {
                bytes: path.metadata().unwrap().len(),
                file: path.file_name().and_then(|name| name.to_str()).unwrap().parse().unwrap(),
                path: path.parent().map(Path::to_owned).unwrap(),
            }
        }
        None => model::real("digits.onnx"),
    };
    let runtime = model::runtime();
    let mut engine = OnnxEngine::load(&runtime, &model, &Default::default()).unwrap();
    let row = row(&engine);
    let (start, mut runs) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        engine.infer(&row, start + 2 * TIME).unwrap();
        runs += 1;
    }
    println!("engine alone, one thread: {:.0}/s", f64::from(runs) / TIME.as_secs_f64());

    let replica =
        Replica::load(&runtime, &model, &ReplicaOptions::default(), Some(row.clone())).unwrap();
    println!("{:?}", replica.profile());
    let replica = Arc::new(replica);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for callers in [1, 16, 64] {
        println!("{callers:>3} callers: {}", tokio.block_on(measure(&replica, &row, callers)));
    }
}

#[expect(clippy::unwrap_used, reason = "a measuring tool for developers")]
async fn measure(replica: &Arc<Replica>, row: &[Tensor], callers: usize) -> String {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (replica, row, stop) = (Arc::clone(replica), row.to_vec(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut took, mut together, mut direct) = (Vec::new(), 0, 0);
                while !stop.load(Relaxed) {
                    let start = Instant::now();
                    let answer =
                        replica.infer(row.clone(), start + Duration::from_secs(30)).await.unwrap();
                    took.push(start.elapsed());
                    together += answer.batch;
                    direct += usize::from(answer.queued.is_zero());
                    // As between two requests of a connection.
                    tokio::task::yield_now().await;
                }
                (took, together, direct)
            })
        })
        .collect();
    tokio::time::sleep(TIME).await;
    stop.store(true, Relaxed);
    let (mut took, mut together, mut direct) = (Vec::new(), 0, 0);
    for task in tasks {
        let (more, batches, own) = task.await.unwrap();
        took.extend(more);
        together += batches;
        direct += own;
    }
    took.sort();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    format!(
        "{:>7.0}/s  p50 {:>9.1?}  p99 {:>9.1?}  mean batch {:.1}  on callers' threads {} %",
        took.len() as f64 / TIME.as_secs_f64(),
        at(50),
        at(99),
        together as f64 / took.len() as f64,
        direct * 100 / took.len().max(1),
    )
}

/// One row of made-up values.
#[expect(clippy::unwrap_used, reason = "a measuring tool for developers")]
fn row(engine: &OnnxEngine) -> Vec<Tensor> {
    let make = |spec: &domain::TensorSpec| {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(size) => usize::try_from(*size).unwrap(),
            Dim::Symbolic(_) | Dim::Any => 1,
        };
        let shape: Vec<usize> = spec.shape.iter().map(size).collect();
        let count = shape.iter().product();
        model::tensor(&spec.name, &shape, TensorData::F32(vec![0.5; count]))
    };
    engine.signature().inputs.iter().map(make).collect()
}
