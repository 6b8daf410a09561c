//! Trials in real workers. This program is its own worker: it has no usual test harness, so that
//! it can be started as `EXE worker --trial`, as `EXE host` to be killed, and as `EXE drop` to drop
//! a trial.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail as it may")]

#[path = "model/mod.rs"]
mod model;

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use domain::{DataType, Tensor, TensorData};
use inference::{
    Error, ModelFolder,
    trial::{self, TrialJob, TrialLimits, TrialOutcome, TrialReport},
    worker,
};
use libtest_mimic::{Arguments, Trial};
use model::{Graph, node, tensor, value};

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || { $name(); Ok(()) })),*]
    };
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => return worker::main(),
        Some("host") => host(),
        Some("drop") => return drop_a_trial(),
        _ => {}
    }
    let tests = trials![
        a_good_model_is_ready_with_its_signature_and_answer,
        without_an_example_a_model_is_loaded_all_the_same,
        weights_are_read_in_a_folder_below_a_private_one,
        what_cannot_be_served_is_told_in_words_for_its_author,
        an_example_that_does_not_fit_is_named,
        a_model_that_fails_on_its_example_says_where,
        a_model_that_does_not_end_is_stopped,
        a_model_that_eats_memory_is_stopped,
        an_answer_that_is_too_large_is_refused,
        a_crash_is_told_by_its_signal,
        a_worker_that_cannot_start_is_our_fault,
        a_missing_library_is_our_fault,
        a_worker_has_no_environment,
        a_worker_is_confined,
        a_dropped_trial_leaves_no_worker,
        a_worker_dies_with_its_host,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn limits(time: Duration) -> TrialLimits {
    TrialLimits { time, memory_bytes: 512 << 20, output_bytes: 1 << 20 }
}

fn job(model: &ModelFolder, example: Option<Vec<Tensor>>) -> TrialJob {
    let (folder, file) = (model.path.clone(), model.file.clone());
    TrialJob { library: model::library(), folder, file, example }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn run(exe: &Path, job: TrialJob, limits: TrialLimits) -> Result<TrialOutcome, Error> {
    wait(trial::run(exe, job, limits))
}

fn outcome(model: &ModelFolder, example: Option<Vec<Tensor>>, limits: TrialLimits) -> TrialOutcome {
    run(&std::env::current_exe().unwrap(), job(model, example), limits).unwrap()
}

/// A folder that a worker may enter, as the node's cache makes it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn ready(outcome: TrialOutcome) -> TrialReport {
    match outcome {
        TrialOutcome::Ready(report) => *report,
        TrialOutcome::Rejected { reason } => panic!("rejected: {reason}"),
    }
}

fn reason(model: &ModelFolder, example: Option<Vec<Tensor>>) -> String {
    match outcome(model, example, limits(Duration::from_secs(30))) {
        TrialOutcome::Rejected { reason } => reason,
        TrialOutcome::Ready(report) => panic!("ready: {report:?}"),
    }
}

fn x(value: f32) -> Option<Vec<Tensor>> {
    Some(vec![tensor("x", &[1], TensorData::F32(vec![value]))])
}

fn elements(count: i64) -> Option<Vec<Tensor>> {
    Some(vec![tensor("elements", &[1], TensorData::I64(vec![count]))])
}

fn a_good_model_is_ready_with_its_signature_and_answer() {
    let example = model::tensors("color_size.example.json", "inputs");
    let model = model::real("color_size.onnx");
    let report = ready(outcome(&model, Some(example), limits(Duration::from_secs(30))));
    assert_eq!(report.signature.inputs[1].datatype, DataType::F32);
    assert_eq!(report.outputs[0], model::tensors("color_size.expected.json", "outputs")[0]);
    assert!(report.profile.batchable);
}

fn without_an_example_a_model_is_loaded_all_the_same() {
    let folder = folder();
    let model = model::centred().save(folder.path());
    let report = ready(outcome(&model, None, limits(Duration::from_secs(30))));
    assert_eq!((report.outputs, report.profile.batchable), (vec![], false));
}

fn weights_are_read_in_a_folder_below_a_private_one() {
    let private = tempfile::tempdir().unwrap();
    fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = private.path().join("model");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("w.bin"), [1, 0, 1, 0]).unwrap();
    let model = Graph {
        nodes: vec![node("Identity", &["w"], &["y"], &[])],
        inputs: vec![value("x", DataType::F32, &["1"])],
        outputs: vec![value("y", DataType::Bool, &["4"])],
        constants: vec![model::external("w", DataType::Bool, &[4], "w.bin")],
    }
    .save(&path);
    let exe = std::env::current_exe().unwrap();
    let outcome = run(&exe, job(&model, x(0.0)), limits(Duration::from_secs(30))).unwrap();
    let data = TensorData::Bool(vec![true, false, true, false]);
    assert_eq!(ready(outcome).outputs, [tensor("y", &[4], data)]);
}

fn what_cannot_be_served_is_told_in_words_for_its_author() {
    for (file, expected) in [
        ("unknown_operator.onnx", "uses the operator `NoSuchOp`"),
        ("not_onnx.onnx", "cannot be loaded"),
        ("truncated.onnx", "cannot be loaded"),
        ("zipmap.onnx", "`options={\"zipmap\": False}`"),
        ("complex.onnx", "tensor(complex64)"),
        ("external_parent.onnx", "External data path"),
        ("external_absolute.onnx", "External data path"),
    ] {
        let reason = reason(&model::real(file), None);
        assert!(reason.contains(expected), "{file}: {reason}");
        assert!(!reason.contains("/etc") && !reason.contains("/work"), "{file}: {reason}");
    }
}

fn an_example_that_does_not_fit_is_named() {
    assert_eq!(
        reason(&model::real("expand.onnx"), x(1.0)),
        "the input example does not fit: input `elements` is missing: expected `elements` INT64 [1]"
    );
}

fn a_model_that_fails_on_its_example_says_where() {
    let folder = folder();
    let outside = vec![tensor("x", &[1], TensorData::I64(vec![99]))];
    let reason = reason(&model::table().save(folder.path()), Some(outside));
    assert!(reason.contains("failed on its input example: Gather: indices"), "{reason}");
}

fn a_model_that_does_not_end_is_stopped() {
    let start = Instant::now();
    let endless = model::real("endless.onnx");
    let outcome = outcome(&endless, x(1.0), limits(Duration::from_millis(1500)));
    let reason = "the model did not finish within 1.5 s".to_owned();
    assert_eq!(outcome, TrialOutcome::Rejected { reason });
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn a_model_that_eats_memory_is_stopped() {
    for (file, example) in [
        ("huge.onnx", x(1.0)),
        ("greedy.onnx", x(1.0)),
        // Made-up values show it as well.
        ("huge.onnx", None),
        ("greedy.onnx", None),
        ("expand.onnx", elements(1 << 28)),
        ("expand.onnx", elements(1 << 60)),
    ] {
        let reason = reason(&model::real(file), example);
        assert_eq!(reason, "the model took more than 512 MiB of memory", "{file}");
    }
}

fn an_answer_that_is_too_large_is_refused() {
    assert_eq!(
        reason(&model::real("expand.onnx"), elements(1 << 20)),
        "the model's output `y` is larger than the limit of 1048576 bytes"
    );
}

/// A stand-in for a worker.
fn script(folder: &Path, lines: &str) -> PathBuf {
    let path = folder.join("worker.sh");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run_script(lines: &str) -> Result<TrialOutcome, Error> {
    let folder = folder();
    let exe = script(folder.path(), lines);
    run(&exe, job(&model::real("slow.onnx"), None), limits(Duration::from_secs(30)))
}

fn a_crash_is_told_by_its_signal() {
    let outcome = run_script("echo '\"confined\"'; kill -SEGV $$").unwrap();
    let reason = "the model crashed (SIGSEGV)".to_owned();
    assert_eq!(outcome, TrialOutcome::Rejected { reason });
}

fn a_worker_that_cannot_start_is_our_fault() {
    let job = job(&model::real("slow.onnx"), None);
    let nowhere = run(Path::new("/nowhere"), job, limits(Duration::from_secs(30)));
    assert!(matches!(nowhere, Err(Error::Worker(_))));
    assert!(matches!(run_script("exit 3"), Err(Error::Worker(_))));
}

fn a_missing_library_is_our_fault() {
    let job = TrialJob { library: "/nowhere".into(), ..job(&model::real("slow.onnx"), None) };
    let error = run(&std::env::current_exe().unwrap(), job, limits(Duration::from_secs(30)));
    let Err(Error::Worker(message)) = error else { panic!("{error:?}") };
    assert!(message.contains("BOTTEGA_ONNXRUNTIME"), "{message}");
}

fn a_worker_has_no_environment() {
    assert!(std::env::var_os("PATH").is_some(), "there is something to be kept from it");
    // A shell makes PWD, _ and SHLVL by itself.
    let known = "grep -vE '^(PWD|_|SHLVL|OLDPWD|LD_LIBRARY_PATH|MIMALLOC_ARENA_EAGER_COMMIT)='";
    let result = run_script(&format!("/usr/bin/env | /bin/{known} >&2; exit 3"));
    let Err(Error::Worker(message)) = result else { panic!("{result:?}") };
    assert_eq!(message, "it ended early (exit status: 3): ");
}

/// Workers that this process, or another, has started.
fn workers(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let read = |file: &str| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        status.contains(&format!("\nPPid:\t{parent}\n"))
            && String::from_utf8_lossy(&read("cmdline")).contains("\0worker\0--trial\0")
    })
    .collect()
}

/// Waits until the condition holds, and says what it gave.
fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts this program as the host of an endless trial.
fn start_host() -> std::process::Child {
    Command::new(std::env::current_exe().unwrap()).arg("host").spawn().unwrap()
}

fn host() -> ! {
    let exe = std::env::current_exe().unwrap();
    let outcome = run(&exe, endless(), limits(Duration::from_secs(60)));
    panic!("an endless trial ended: {outcome:?}");
}

fn endless() -> TrialJob {
    job(&model::real("endless.onnx"), x(1.0))
}

fn a_worker_is_confined() {
    let mut host = start_host();
    let status = |id: u32| fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let worker = eventually("a confined worker", || {
        workers(host.id()).into_iter().find(|&id| status(id).contains("NoNewPrivs:\t1"))
    });
    let (status, limits) =
        (status(worker), fs::read_to_string(format!("/proc/{worker}/limits")).unwrap());
    let own = fs::metadata("/proc/self").unwrap();
    let network = fs::read_link(format!("/proc/{worker}/ns/net"));
    let root = fs::read_dir(format!("/proc/{worker}/root"));
    let root = root.map(|root| root.flatten().map(|e| e.file_name()).collect::<HashSet<_>>());
    host.kill().unwrap();
    host.wait().unwrap();
    if own.uid() == 0 {
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
        assert_eq!(root.unwrap(), HashSet::from(["model".into(), "proc".into()]));
        assert_ne!(network.unwrap(), fs::read_link("/proc/self/ns/net").unwrap());
    }
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max processes"), "0");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max data size"), (512 << 20).to_string());
}

/// In a process of its own, so that no other test's worker is taken for its.
fn a_dropped_trial_leaves_no_worker() {
    let exe = std::env::current_exe().unwrap();
    assert!(Command::new(exe).arg("drop").status().unwrap().success());
}

fn drop_a_trial() -> ExitCode {
    let exe = std::env::current_exe().unwrap();
    let own = || workers(std::process::id());
    let started = async {
        while own().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait(async {
        tokio::select! {
            outcome = trial::run(&exe, endless(), limits(Duration::from_secs(60))) => {
                panic!("an endless trial ended: {outcome:?}")
            }
            () = started => {}
        }
    });
    eventually("the worker is gone", || own().is_empty().then_some(()));
    ExitCode::SUCCESS
}

fn a_worker_dies_with_its_host() {
    let mut host = start_host();
    let worker = eventually("a worker at work", || {
        workers(host.id()).into_iter().find(|id| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.contains("NoNewPrivs:\t1")
        })
    });
    // The death signal is set right after.
    thread::sleep(Duration::from_millis(100));
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("the worker is gone", || {
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}
