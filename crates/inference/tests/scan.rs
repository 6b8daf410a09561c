//! Scans in real workers, of files that are made to hold one up. This program is its own worker: it
//! has no usual test harness, so that it can be started as `EXE worker --trial`.

#![expect(clippy::unwrap_used, reason = "these are tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod pack;

use std::{fs, os::unix::fs::PermissionsExt as _, process::ExitCode, time::Duration};

use domain::pickle::{Findings, Policy, Verdict};
use inference::{
    scan::{self, ScanJob},
    trial::TrialLimits,
    worker,
};
use libtest_mimic::{Arguments, Trial};
use pack::{Entry, idle, zip};

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || { $name(); Ok(()) })),*]
    };
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker::main();
    }
    let tests = tests![
        files_are_looked_into_one_by_one,
        a_file_that_takes_too_long_ends_the_scan_and_what_was_found_stays,
        a_file_that_takes_too_much_memory_ends_the_scan,
        what_claims_to_be_large_costs_nothing,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

const SYSTEM: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

/// What a worker with these limits finds.
fn scanned(files: &[(&str, &[u8])], time: Duration, memory_bytes: u64) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let files = files.iter().map(|(name, _)| name.parse().unwrap()).collect();
    let job = ScanJob { folder: folder.path().to_owned(), files };
    let limits = TrialLimits { time, memory_bytes, output_bytes: 1 << 20 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(scan::run(&std::env::current_exe().unwrap(), job, limits)).unwrap()
}

const LONG: Duration = Duration::from_secs(60);
const MUCH: u64 = 1 << 30;

fn files_are_looked_into_one_by_one() {
    let files = [("a.pkl", SYSTEM), ("notes.txt", b"nothing"), ("z.pkl", b"N.")];
    let found = scanned(&files, LONG, MUCH);
    let paths: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.verdict)).collect();
    assert_eq!(paths, [("a.pkl", Verdict::Dangerous), ("z.pkl", Verdict::Safe)]);
    assert_eq!(found.unfinished, None);
    assert_eq!(scanned(&[("notes.txt", b"nothing")], LONG, MUCH), Findings::of(Vec::new()));
}

/// Nobody deploys it, unless everything may be.
fn is_refused(found: &Findings) {
    assert!(found.verdict > Verdict::Safe);
    for policy in [Policy::SafeOnly, Policy::Deny] {
        let obstacle = found.obstacle(policy).unwrap();
        assert!(obstacle.contains("`bomb.pkl`"), "{obstacle}");
        assert!(obstacle.contains("too large to be scanned"), "{obstacle}");
    }
}

fn a_file_that_takes_too_long_ends_the_scan_and_what_was_found_stays() {
    // Ten gigabytes in ten megabytes.
    let gzip = [b"\x1f\x8b\x08".as_slice(), &[0; 7], &idle(10_000)].concat();
    let packed =
        Entry { method: 8, content: idle(10_000), ..Entry::stored("archive/data.pkl", b"") };
    let zipped = [packed];
    for bomb in [gzip, zip(&zipped)] {
        let files = [("a.pkl", SYSTEM), ("bomb.pkl", bomb.as_slice())];
        let found = scanned(&files, Duration::from_secs(3), MUCH);
        assert_eq!(found.files[0].path, "a.pkl", "{found:?}");
        assert_eq!(found.verdict, Verdict::Dangerous);
        is_refused(&Findings { files: found.files[1..].to_vec(), ..found });
    }
}

fn a_file_that_takes_too_much_memory_ends_the_scan() {
    // Each pair of brackets is a list of its own.
    let schema = [b"[".as_slice(), &b"[0],".repeat((4 << 20) - 8), b"[0]]"].concat();
    let bomb = zip(&[Entry::stored("schema.json", &schema)]);
    let found = scanned(&[("bomb.pkl", &bomb)], LONG, 256 << 20);
    is_refused(&found);
    assert!(found.unfinished.unwrap().contains("256 MiB"));
}

fn what_claims_to_be_large_costs_nothing() {
    for bomb in [
        // Frames, bytes and texts of up to 2^63 bytes; a place in the memo far away.
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f".as_slice(),
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x04B\0\0\0\x80",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x02Nr\xf0\xff\xff\xff.",
        b"\x80\x02Np99999999999999999999999\n.",
        // A million marks, and a million tuples of the one before.
        &[b"\x80\x02".as_slice(), &b"(".repeat(1 << 20)].concat(),
        &[b"\x80\x02N".as_slice(), &b"2\x86".repeat(1 << 20)].concat(),
    ] {
        let found = scanned(&[("a.pkl", bomb)], LONG, 512 << 20);
        assert_eq!(found.unfinished, None);
        assert_eq!(found.verdict, Verdict::Unknown, "{:?}", &bomb[..5]);
    }
}
