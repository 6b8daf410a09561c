//! New versions are tried, each by one deployer at a time, and nothing of ours is held against them.
//!
//! This program is its own worker: it has no usual test harness, so that it can be started as
//! `EXE worker --trial`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod seed;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use domain::{
    Servable, VersionStatus,
    pickle::{Findings, Verdict},
};
use libtest_mimic::{Arguments, Trial};
use seed::{World, model};
use store::{testing::ChaosProxy, trials, versions::Version};
use tokio_util::sync::CancellationToken;

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || { wait($name()); Ok(()) })),*]
    };
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return inference::worker::main();
    }
    let tests = tests![
        a_good_version_becomes_servable,
        an_unknown_operator_rejects_the_version_by_name,
        a_pickle_beside_the_model_is_scanned_before_anything_serves_it,
        a_pickle_is_found_under_any_name_and_its_file_is_told,
        a_file_that_holds_its_scan_up_is_a_finding_and_the_model_is_tried_all_the_same,
        an_example_that_does_not_fit_rejects_the_version,
        a_version_that_ends_its_deployer_three_times_is_rejected,
        a_fault_of_ours_rejects_nothing_and_is_tried_again_later,
        a_deployer_that_stops_gives_its_claim_back_at_once,
        who_lost_its_lease_to_another_cannot_renew_it,
        many_deployers_at_once_try_each_version_once,
        what_a_trial_found_outlives_the_databases_absence,
        followers_that_waited_for_the_trial_get_their_release,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Runs a deployer until the condition holds.
async fn run_until(world: &World, holds: impl AsyncFn() -> bool) {
    let stop = CancellationToken::new();
    let running = tokio::spawn(deployer::run(world.state.clone(), stop.clone()));
    until(holds).await;
    stop.cancel();
    running.await.unwrap();
}

async fn until(holds: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "it did not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a deployer until the version's trial is over.
async fn tried(world: &World, version: &Version) -> Version {
    run_until(world, async || world.see(version.id).await.status != VersionStatus::Pending).await;
    world.see(version.id).await
}

async fn a_good_version_becomes_servable() {
    let world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), false).await;
    let tried = tried(&world, &version).await;
    assert_eq!((tried.status, tried.servable), (VersionStatus::Ready, Servable::Yes));
    assert!(tried.batchable && tried.reason.is_none());
    let recorded = world.recorded("version.tried").await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(
        (recorded[0].actor.as_str(), recorded[0].resource.as_str()),
        ("system:trial", "fraud")
    );
    assert_eq!(recorded[0].detail["status"], "ready");
    assert!(recorded[0].before.is_some() && recorded[0].before != recorded[0].after);
}

async fn a_pickle_beside_the_model_is_scanned_before_anything_serves_it() {
    let world = World::new().await;
    let onnx = model("breast_cancer.onnx");
    let files = [("model.onnx", onnx.as_slice()), ("scaler.pkl", b"cos\nsystem\n(S'id'\ntR.")];
    let version = world.version_of(&files, false).await;
    let tried = tried(&world, &version).await;
    assert_eq!((tried.status, tried.servable), (VersionStatus::Ready, Servable::Yes));
    let findings = tried.findings.clone().unwrap();
    assert_eq!(findings.verdict, Verdict::Dangerous);
    assert_eq!(findings.files[0].path, "scaler.pkl");
    let obstacle = tried.obstacle().unwrap();
    assert!(obstacle.contains("os.system"), "{obstacle}");
    let recorded = world.recorded("version.tried").await;
    assert_eq!(recorded[0].detail["pickles"], "dangerous");
}

async fn a_pickle_is_found_under_any_name_and_its_file_is_told() {
    let world = World::new().await;
    let onnx = model("breast_cancer.onnx");
    let files = [("model.onnx", onnx.as_slice()), ("README.md", b"cos\nsystem\n(S'id'\ntR.")];
    let version = world.version_of(&files, false).await;
    let findings = tried(&world, &version).await.findings.unwrap();
    assert_eq!(findings.files[0].path, "README.md");
    let files = [("model.onnx", onnx.as_slice()), ("README.md", b"# A model\n")];
    let version = world.version_of(&files, false).await;
    let tried = tried(&world, &version).await;
    assert_eq!(tried.obstacle(), None);
    assert_eq!(tried.findings, Some(Findings::of(Vec::new())));
}

async fn a_file_that_holds_its_scan_up_is_a_finding_and_the_model_is_tried_all_the_same() {
    let mut world = World::new().await;
    // Each pair of brackets is a list of its own, in an archive as skops writes them.
    let schema = [b"[".as_slice(), &b"[0],".repeat((4 << 20) - 8), b"[0]]"].concat();
    let mut bomb = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    bomb.start_file("schema.json", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut bomb, &schema).unwrap();
    let bomb = bomb.finish().unwrap().into_inner();
    let onnx = model("breast_cancer.onnx");
    let files = [
        ("model.onnx", onnx.as_slice()),
        ("a.pkl", b"cos\nsystem\n(S'id'\ntR."),
        ("bomb.skops", bomb.as_slice()),
    ];
    world.state.trials.limits.memory_bytes = 512 << 20;
    let version = world.version_of(&files, false).await;
    let tried = tried(&world, &version).await;
    assert_eq!((tried.status, tried.servable), (VersionStatus::Ready, Servable::Yes));
    let findings = tried.findings.clone().unwrap();
    assert_eq!(findings.files[0].path, "a.pkl", "what was found before stays: {findings:?}");
    let why = findings.unfinished.unwrap();
    assert!(why.starts_with("`bomb.skops` is too large to be scanned"), "{why}");
    assert!(tried.obstacle().unwrap().contains("too large to be scanned"));
}

async fn an_unknown_operator_rejects_the_version_by_name() {
    let world = World::new().await;
    let version = world.version(&model("unknown_operator.onnx"), false).await;
    let tried = tried(&world, &version).await;
    assert_eq!((tried.status, tried.servable), (VersionStatus::Rejected, Servable::No));
    assert!(tried.reason.unwrap().contains("NoSuchOp"));
}

async fn an_example_that_does_not_fit_rejects_the_version() {
    let world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), true).await;
    let reason = tried(&world, &version).await.reason.unwrap();
    assert_eq!(reason, "its input example does not fit it: input `y` is unknown");
}

async fn a_version_that_ends_its_deployer_three_times_is_rejected() {
    let world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), false).await;
    for attempt in 1..=3 {
        let claimed = trials::claim(&world.state.database, TimeDelta::seconds(10)).await.unwrap();
        assert_eq!(claimed.unwrap().attempts, attempt);
        world.clock.advance(TimeDelta::seconds(10));
    }
    let reason = tried(&world, &version).await.reason.unwrap();
    assert_eq!(reason, "its trial ended the deployer 3 times");
}

async fn a_fault_of_ours_rejects_nothing_and_is_tried_again_later() {
    let mut world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), false).await;
    let exe = std::mem::replace(&mut world.state.trials.exe, "/nonexistent".into());
    let database = world.state.database.clone();
    for _ in 0..5 {
        let left = async || {
            let is_claimed = trials::claim(&database, TimeDelta::zero()).await.unwrap().is_some();
            !is_claimed
        };
        // Claimed by the deployer, then given back for half a minute.
        run_for_a_moment(&world).await;
        assert!(left().await, "it waits");
        world.clock.advance(TimeDelta::seconds(30));
    }
    assert_eq!(world.see(version.id).await.status, VersionStatus::Pending);
    world.state.trials.exe = exe;
    assert_eq!(tried(&world, &version).await.status, VersionStatus::Ready);
}

async fn a_deployer_that_stops_gives_its_claim_back_at_once() {
    let mut world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), false).await;
    world.state.trials.exe = script(&world, "sleep 60");
    run_for_a_moment(&world).await;
    let claimed = trials::claim(&world.state.database, TimeDelta::seconds(10)).await.unwrap();
    let claimed = claimed.expect("it was given back");
    assert_eq!((claimed.version, claimed.attempts), (version.id, 1));
}

async fn who_lost_its_lease_to_another_cannot_renew_it() {
    let world = World::new().await;
    let lease = TimeDelta::seconds(10);
    let database = &world.state.database;
    world.version(&model("breast_cancer.onnx"), false).await;
    let one = trials::claim(database, lease).await.unwrap().unwrap();
    assert!(trials::claim(database, lease).await.unwrap().is_none());
    assert!(trials::renew(database, &one, lease).await.unwrap());
    world.clock.advance(lease);
    let other = trials::claim(database, lease).await.unwrap().unwrap();
    assert!(!trials::renew(database, &one, lease).await.unwrap());
    trials::give_back(database, &one, world.state.database.now()).await.unwrap();
    assert!(trials::claim(database, lease).await.unwrap().is_none(), "it is not one's to give");
    assert!(trials::renew(database, &other, lease).await.unwrap());
}

async fn many_deployers_at_once_try_each_version_once() {
    let mut world = World::new().await;
    let mut versions = Vec::new();
    for name in [b"1", b"2", b"3", b"4", b"5", b"6"] {
        versions.push(world.version(name, false).await);
    }
    let seen = world.folder.path().join("seen");
    fs::create_dir(&seen).unwrap();
    let seen_path = seen.display();
    world.state.trials.at_once = 2;
    world.state.trials.exe = script(
        &world,
        &format!(
            r#"name=$(sed 's/.*"folder":"[^"]*\/\([^"\/]*\)".*/\1/')
            mkdir {seen_path}/$name.now || echo $name >> {seen_path}/twice
            sleep 0.2
            rmdir {seen_path}/$name.now
            echo $name >> {seen_path}/tried
            echo '"confined"'
            echo '{{"rejected":"no"}}'"#
        ),
    );
    let stop = CancellationToken::new();
    let mut deployers = Vec::new();
    for _ in 0..4 {
        deployers.push(tokio::spawn(deployer::run(world.another().await, stop.clone())));
    }
    for version in &versions {
        while world.see(version.id).await.status == VersionStatus::Pending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(world.see(version.id).await.reason.as_deref(), Some("no"));
    }
    stop.cancel();
    for deployer in deployers {
        deployer.await.unwrap();
    }
    assert!(!seen.join("twice").exists());
    let tried = fs::read_to_string(seen.join("tried")).unwrap();
    let mut names: Vec<_> = tried.lines().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), tried.lines().count()), (6, 6));
}

async fn what_a_trial_found_outlives_the_databases_absence() {
    let mut world = World::new().await;
    let version = world.version(b"1", false).await;
    let (begun, over) = (world.folder.path().join("begun"), world.folder.path().join("over"));
    world.state.trials.exe = script(
        &world,
        &format!(
            r#"echo once >> {}
            sleep 0.5
            echo '"confined"'
            echo '{{"rejected":"no"}}'
            touch {}"#,
            begun.display(),
            over.display()
        ),
    );
    let (proxy, url) = ChaosProxy::to(world.database.url()).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(deployer::run(world.another_at(&url).await, stop.clone()));
    until(async || begun.exists()).await;
    proxy.cut();
    until(async || over.exists()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.see(version.id).await.status, VersionStatus::Pending);
    proxy.restore();
    until(async || world.see(version.id).await.reason.as_deref() == Some("no")).await;
    assert_eq!(fs::read_to_string(begun).unwrap(), "once\n");
    stop.cancel();
    running.await.unwrap();
}

async fn followers_that_waited_for_the_trial_get_their_release() {
    let world = World::new().await;
    let version = world.version(&model("breast_cancer.onnx"), false).await;
    world.promote(&version).await;
    world.blocked_follower("fraud", &version).await;
    assert_eq!(world.endpoint("fraud").await.target_release, None);
    tried(&world, &version).await;
    let endpoint = world.endpoint("fraud").await;
    assert_eq!((endpoint.target_release, endpoint.blocked), (Some(1), None));
    assert_eq!(world.release("fraud", 1).await.shares[0].number, version.number);
}

/// A program that does this as a worker.
fn script(world: &World, does: &str) -> std::path::PathBuf {
    let path = world.folder.path().join("worker.sh");
    fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Long enough to claim and to begin.
async fn run_for_a_moment(world: &World) {
    let begin = Instant::now();
    run_until(world, async || begin.elapsed() > Duration::from_millis(700)).await;
}
