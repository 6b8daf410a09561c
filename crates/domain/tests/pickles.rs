//! Pickles that Python's own libraries wrote; `pickles/make.py` makes them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::PathBuf};

use domain::pickle::{Layout, Report, Verdict, scan};

fn scanned(name: &str) -> Report {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pickles");
    scan(fs::read(folder.join(name)).unwrap().as_slice(), Layout::Plain).unwrap().report
}

#[test]
fn what_ordinary_libraries_write_is_safe() {
    let mut names: Vec<_> = (0..=5).map(|protocol| format!("pipeline-{protocol}.pkl")).collect();
    names.extend(["frame.pkl", "pipeline.joblib", "forest.joblib"].map(String::from));
    for name in names {
        let report = scanned(&name);
        assert!(!report.imports.is_empty(), "{name}");
        assert_eq!(report.verdict(), Verdict::Safe, "{name}: {report:#?}");
    }
}

#[test]
fn a_call_of_the_system_is_found_in_every_protocol() {
    let mut names: Vec<_> = (0..=5).map(|protocol| format!("system-{protocol}.pkl")).collect();
    // Within an array of objects, between arrays of numbers.
    names.push("system.joblib".to_owned());
    for name in names {
        let report = scanned(&name);
        let call = report.imports.iter().find(|import| import.name == "posix.system");
        let call = call.unwrap_or_else(|| panic!("{name}: {report:#?}"));
        assert!(call.called && call.verdict == Verdict::Dangerous, "{name}");
        assert_eq!(report.notes, [], "{name}");
    }
}

#[test]
fn a_function_that_carries_its_code_is_dangerous() {
    assert_eq!(scanned("function.cloudpickle").verdict(), Verdict::Dangerous);
}
