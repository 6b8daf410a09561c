//! Models that are built to harm whoever runs them.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bottega_tests::{Caller, model, model_json, wait_until};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::json;

use crate::Subject;

/// The workers that this process has started.
fn workers(parent: Pid) -> Vec<Pid> {
    let children = format!("/proc/{parent}/task");
    let threads = std::fs::read_dir(children).unwrap().filter_map(Result::ok);
    let children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> = children
        .flat_map(|line| {
            line.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    let is_worker = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("\0worker\0"))
    };
    pids.into_iter().filter(is_worker).map(Pid::from_raw).collect()
}

/// The most memory that a process ever had, in bytes.
fn peak(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_model_that_never_ends_or_eats_memory_is_rejected_while_others_are_served() {
    let limits = ["--trial-timeout", "15s", "--trial-memory-bytes", "1073741824"];
    let subject = Subject::start(&limits);
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    let example = model_json("breast_cancer.example.json");
    let wanted = {
        let answer = subject.api.json("POST", "/v2/models/cancer/infer", &example);
        answer.expect(200)["outputs"].clone()
    };
    let (stop, answered, seen) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let caller = Caller::of(&subject.server);
            while !stop.load(Ordering::Relaxed) {
                let answer = caller.json("POST", "/v2/models/cancer/infer", &example);
                assert_eq!(answer.expect(200)["outputs"], wanted);
                answered.fetch_add(1, Ordering::Relaxed);
                seen.fetch_max(workers(subject.server.pid()).len(), Ordering::Relaxed);
            }
        });
        // Whatever fails here, the other thread must end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (name, why) in [
                ("endless", "did not finish within 15 s"),
                ("huge", "more than 1024 MiB of memory"),
                ("greedy", "more than 1024 MiB of memory"),
            ] {
                let before = answered.load(Ordering::Relaxed);
                let file = model(&format!("{name}.onnx"));
                let pushed = subject.server.cli(["push", file.to_str().unwrap(), "--name", name]);
                assert_eq!(pushed.code, 1, "{name}: {}{}", pushed.stdout, pushed.stderr);
                let version = subject.api.ask("GET", &format!("/api/v1/models/{name}/versions/1"));
                let version = version.expect(200);
                assert_eq!(version["status"], "rejected", "{version}");
                let reason = version["reason"].as_str().unwrap();
                assert!(reason.contains(why), "{name}: {reason}");
                assert!(answered.load(Ordering::Relaxed) > before + 2, "others waited for {name}");
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(seen.load(Ordering::Relaxed) > 0, "no worker was ever seen");
    wait_until("the workers are gone", Duration::from_secs(2), || {
        workers(subject.server.pid()).is_empty()
    });
    assert!(kill(subject.server.pid(), None).is_ok());
    assert!(peak(subject.server.pid()) < 1 << 30, "the server itself took the memory");
    subject.api.ask("GET", "/health/ready").expect(200);
}

#[test]
fn a_caller_who_ends_a_model_by_what_they_ask_ends_nobody_elses() {
    let subject = Subject::start(&[]);
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    subject.server.serve("divide", &model("divide.onnx"));
    let divide = |a: i64, b: i64| {
        let input = |name: &str, value: i64| json!({"name": name, "datatype": "INT32", "shape": [1], "data": [value]});
        let body = json!({"inputs": [input("a", a), input("b", b)]});
        subject.api.json("POST", "/v2/models/divide/infer", &body)
    };
    let node = subject.server.pid();
    for _ in 0..3 {
        // The process that it ends comes again within the patience of the next request.
        assert_eq!(divide(7, 2).expect(200)["outputs"][0]["data"], json!([3]));
        let ended = divide(i64::from(i32::MIN), -1);
        assert!(ended.v2_refusal(502).contains("SIGFPE"));
        let example = model_json("breast_cancer.example.json");
        subject.api.json("POST", "/v2/models/cancer/infer", &example).expect(200);
    }
    assert_eq!(subject.server.pid(), node);
    let status = subject.server.cli(["status"]).json();
    assert!(status.to_string().contains("divides whole numbers"), "{status}");
}
