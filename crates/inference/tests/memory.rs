//! Draining frees a model. In a program of its own, so that nothing else takes or frees memory.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

mod model;

use std::fs;

use domain::DataType;
use inference::{Replica, ReplicaOptions};
use model::Graph;

/// This process's own memory, in bytes; files mapped into it are not counted.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_gives_the_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let size = 4000 * 6000 * 4;
    fs::write(folder.path().join("w.bin"), 0.5_f32.to_le_bytes().repeat(size / 4)).unwrap();
    // The runtime packs the weights anew for its multiplication, into memory of its own.
    let model = Graph {
        nodes: vec![model::node("MatMul", &["x", "w"], &["y"], &[])],
        inputs: vec![model::value("x", DataType::F32, &["n", "4000"])],
        outputs: vec![model::value("y", DataType::F32, &["n", "6000"])],
        constants: vec![model::external("w", DataType::F32, &[4000, 6000], "w.bin")],
    }
    .save(folder.path());
    let runtime = model::runtime();
    let before = memory();
    let replica = Replica::load(&runtime, &model, &ReplicaOptions::default(), None).unwrap();
    let loaded = memory();
    replica.drain().await;
    let drained = memory();
    assert!(loaded - before > size, "{before} → {loaded}: there is nothing to give back");
    assert!(drained < before + size / 10, "{before} → {loaded} → {drained}");
}
