//! Files that Python's libraries wrote, of `crates/domain/tests/pickles`.

use std::{fs, path::PathBuf};

use super::*;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/pickles")
}

fn looked(name: &str) -> Option<FileFindings> {
    look(&corpus(), &name.parse().unwrap()).unwrap()
}

/// A file of this name and content.
fn written(name: &str, content: &[u8]) -> Option<FileFindings> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    look(folder.path(), &name.parse().unwrap()).unwrap()
}

#[test]
fn each_format_is_looked_into() {
    for (name, format, verdict) in [
        ("pipeline-0.pkl", Format::Pickle, Verdict::Safe),
        ("pipeline.joblib", Format::Pickle, Verdict::Safe),
        ("forest-zlib.joblib", Format::Compressed, Verdict::Safe),
        ("pipeline.skops", Format::Skops, Verdict::Safe),
        ("objects.npy", Format::Array, Verdict::Dangerous),
        ("objects.npz", Format::Archive, Verdict::Dangerous),
        ("torch.pt", Format::Archive, Verdict::Dangerous),
        ("system.gz.pkl", Format::Compressed, Verdict::Dangerous),
        ("bz2.joblib", Format::Compressed, Verdict::Unknown),
    ] {
        let found = looked(name).unwrap_or_else(|| panic!("{name}: nothing found"));
        assert_eq!((found.format, found.verdict), (format, verdict), "{name}: {found:#?}");
    }
}

#[test]
fn what_is_no_pickle_is_left_alone() {
    for name in ["numbers.npy", "make.py"] {
        assert_eq!(looked(name), None, "{name}");
    }
    assert_eq!(written("model.bin", b"\x08\x07\x12"), None);
    assert_eq!(written("empty.txt", b""), None);
}

#[test]
fn a_pickle_is_known_by_its_content_and_by_its_name() {
    let system = fs::read(corpus().join("system-4.pkl")).unwrap();
    assert_eq!(written("weights.bin", &system).unwrap().verdict, Verdict::Dangerous);
    let old = fs::read(corpus().join("system-0.pkl")).unwrap();
    assert_eq!(written("MODEL.PKL", &old).unwrap().verdict, Verdict::Dangerous);
    assert_eq!(written("empty.pkl", b"").unwrap().verdict, Verdict::Unknown);
}

#[test]
fn what_is_damaged_is_a_finding() {
    for name in ["forest-zlib.joblib", "torch.pt", "objects.npz", "objects.npy", "system.gz.pkl"] {
        let whole = fs::read(corpus().join(name)).unwrap();
        for length in [9, whole.len() / 2, whole.len() - 1] {
            let found =
                written(name, &whole[..length]).unwrap_or_else(|| panic!("{name} {length}"));
            assert!(found.verdict >= Verdict::Unknown, "{name} {length}: {found:?}");
        }
    }
}
