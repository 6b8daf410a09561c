//! Files that Python's libraries wrote, of `crates/domain/tests/pickles`, and files that nobody
//! honest writes.

#[path = "../../tests/pack/mod.rs"]
mod pack;

use std::{fs, path::PathBuf};

use domain::pickle::Format;
use pack::{Entry, gzip, idle, tar, zip};

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

fn content(name: &str) -> Vec<u8> {
    fs::read(corpus().join(name)).unwrap()
}

/// Calls `os.system`, without saying which protocol it is of.
const SYSTEM: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

#[test]
fn each_format_is_looked_into() {
    for (name, format, verdict) in [
        ("pipeline-0.pkl", Format::Pickle, Verdict::Safe),
        ("pipeline.joblib", Format::Pickle, Verdict::Safe),
        ("forest-zlib.joblib", Format::Compressed, Verdict::Safe),
        ("forest-gzip.joblib", Format::Compressed, Verdict::Safe),
        ("forest-bz2.joblib", Format::Compressed, Verdict::Safe),
        ("forest-xz.joblib", Format::Compressed, Verdict::Safe),
        ("forest-lzma.joblib", Format::Compressed, Verdict::Safe),
        ("forest-lz4.joblib", Format::Compressed, Verdict::Safe),
        ("forest-zstd.joblib", Format::Compressed, Verdict::Safe),
        ("system-gzip.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-bz2.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-xz.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-lzma.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-lz4.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-zstd.joblib", Format::Compressed, Verdict::Dangerous),
        ("system-old.joblib", Format::Compressed, Verdict::Dangerous),
        ("system.gz.pkl", Format::Compressed, Verdict::Dangerous),
        ("nested.tar.gz", Format::Compressed, Verdict::Dangerous),
        ("pipeline.skops", Format::Skops, Verdict::Safe),
        ("objects.npy", Format::Array, Verdict::Dangerous),
        ("objects.npz", Format::Archive, Verdict::Dangerous),
        ("torch.pt", Format::Archive, Verdict::Dangerous),
        ("state.pt", Format::Archive, Verdict::Safe),
        ("old-torch.bin", Format::Pickle, Verdict::Dangerous),
        ("old-state.bin", Format::Pickle, Verdict::Safe),
        ("lambda.keras", Format::Keras, Verdict::Dangerous),
        ("lambda.h5", Format::Keras, Verdict::Dangerous),
    ] {
        let found = looked(name).unwrap_or_else(|| panic!("{name}: nothing found"));
        assert_eq!((found.format, found.verdict), (format, verdict), "{name}: {found:#?}");
        // By any other name it is the same.
        let found = written("weights", &content(name));
        assert_eq!(found.map(|found| found.verdict), Some(verdict), "{name}, renamed");
    }
}

#[test]
fn what_is_no_pickle_is_left_alone() {
    for name in ["numbers.npy", "make.py", "plain.keras", "plain.h5"] {
        assert_eq!(looked(name), None, "{name}");
    }
    assert_eq!(written("model.bin", b"\x08\x07\x12"), None);
    assert_eq!(written("empty.txt", b""), None);
    for text in [
        "catboost\nnumpy\npandas\n",
        "conda\nRun it.\n(by hand)",
        "Introduction\npython -m train\n",
        "Notes.\nN.",
        "(a) b\nc. d",
        "name,age\nAna,3\n",
        "{\"a\": 1}",
        "I1\np0\n0.9",
    ] {
        assert_eq!(written("README", text.as_bytes()), None, "{text}");
    }
    // Tensors and weights begin like pickles now and then, and like streams.
    for start in [b"\x80\x02\xff\xff", b"\x80\x03ab", b"\x78\x9c\xff\xff", b"\x5d\x00\x00\x00"] {
        assert_eq!(written("weights.data", &start.repeat(500)), None, "{start:?}");
    }
    assert_eq!(written("table.csv.gz", &gzip(b"a,b\n1,2\n")), None);
    assert_eq!(written("code.zip", &zip(&[Entry::stored("a.py", b"import os")])), None);
    assert_eq!(written("code.tar", &tar("a.py", b"import os")), None);
}

#[test]
fn a_pickle_without_its_protocol_is_known_whatever_it_is_called() {
    let others: [&[u8]; 4] = [
        SYSTEM,
        b"(S'id'\nios\nsystem\n.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        // Broken right behind the call, which has happened by then.
        b"cos\nsystem\n(S'id'\ntR\xff",
    ];
    for pickle in others {
        for name in ["notes.txt", "MLmodel", "x.json", "model.onnx"] {
            let found = written(name, pickle).unwrap_or_else(|| panic!("{name} {pickle:?}"));
            assert_eq!(found.verdict, Verdict::Dangerous, "{name} {pickle:?}");
        }
    }
    // Written with the protocol's number of the first ones, or of one that nobody has.
    for protocol in [0, 1, 6] {
        let pickle = [&[0x80, protocol], SYSTEM].concat();
        assert_eq!(written("weights.bin", &pickle).unwrap().verdict, Verdict::Dangerous);
    }
}

#[test]
fn a_pickle_that_is_something_else_too_is_found() {
    // Its name is a pickle, and the first thing in the file.
    let file = tar("cos\nsystem\n(S'id'\ntR.", b"nothing");
    assert_eq!(written("data.tar", &file).unwrap().verdict, Verdict::Dangerous);
    // Whoever looks for archives finds one at the end.
    let archive = zip(&[Entry::stored("data.pkl", SYSTEM)]);
    for before in [b"N.".as_slice(), b"\x89HDF\r\n\x1a\n", b"#!/bin/sh\n"] {
        let found = written("model.keras", &[before, &archive].concat()).unwrap();
        assert!(found.verdict >= Verdict::Unknown, "{found:?}");
        assert!(found.report.notes.iter().any(|note| note.text.contains("behind other bytes")));
    }
}

#[test]
fn archives_that_some_readers_refuse_are_read_all_the_same() {
    let of = |entry| written("model.pt", &zip(&[entry])).unwrap();
    let found = of(Entry::stored("archive/data.pkl", SYSTEM));
    assert_eq!(found.verdict, Verdict::Dangerous, "a wrong checksum: {found:?}");
    let found = of(Entry { flags: 1, ..Entry::stored("archive/data.pkl", SYSTEM) });
    assert_eq!(found.verdict, Verdict::Dangerous, "a password that is none: {found:?}");
    let found = of(Entry { method: 14, ..Entry::stored("archive/data.pkl", SYSTEM) });
    assert_eq!(found.verdict, Verdict::Unknown, "a method that nobody knows: {found:?}");
    // Behind an entry that cannot be read.
    let entries = [
        Entry { method: 8, ..Entry::stored("a.pkl", b"\xff\xff\xff") },
        Entry::stored("b/version.txt", SYSTEM),
    ];
    assert_eq!(written("model.pt", &zip(&entries)).unwrap().verdict, Verdict::Dangerous);
    let found = written("model.pt", b"7z\xbc\xaf\x27\x1c\0\x04").unwrap();
    assert_eq!(found.verdict, Verdict::Unknown);
}

#[test]
fn archives_in_archives_are_opened_to_a_certain_depth() {
    let inner = zip(&[Entry::stored("data.pkl", SYSTEM)]);
    let outer = zip(&[Entry::stored("inner.pt", &tar("x.tgz", &gzip(&inner)))]);
    assert_eq!(written("model.mar", &outer).unwrap().verdict, Verdict::Dangerous);
    let mut deep = SYSTEM.to_vec();
    for depth in 1..40 {
        deep = gzip(&deep);
        let found = written("model.bin", &deep).unwrap();
        if found.verdict == Verdict::Unknown {
            assert!(depth > 5, "{depth}");
            assert!(found.report.notes[0].text.contains("too deep"), "{found:?}");
            return;
        }
    }
    panic!("there is no end to it");
}

#[test]
fn what_is_too_large_is_a_finding_beside_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], verdict| {
        fs::write(folder.path().join(name), bytes).unwrap();
        let found = look_at_most(folder.path(), &name.parse().unwrap(), 1 << 20).unwrap().unwrap();
        assert_eq!(found.verdict, verdict, "{name}: {found:?}");
        let says =
            found.report.notes.iter().any(|note| note.text.contains("too large to be scanned"));
        assert!(says, "{name}: {found:?}");
    };
    // A text of two gigabytes, of which four megabytes come.
    let long = [SYSTEM.strip_suffix(b".").unwrap(), b"B\0\0\0\x80", &vec![0; 4 << 20]].concat();
    check("long.pkl", &gzip(&long), Verdict::Dangerous);
    let packed = Entry { method: 8, content: idle(4), ..Entry::stored("a.pkl", b"") };
    check("bomb.zip", &zip(&[Entry::stored("data.pkl", SYSTEM), packed]), Verdict::Dangerous);
    // All that is read counts, however often the same bytes are read.
    let many: Vec<_> = (0..8).map(|_| Entry::stored("a.pkl", &b"N0".repeat(150_000))).collect();
    check("many.zip", &zip(&many), Verdict::Unknown);
}

#[test]
fn streams_that_claim_more_memory_than_there_is_are_findings() {
    // Dictionaries of 4 GiB, and a window of 3.75 TiB.
    let mut lzma = b"\x5d\xff\xff\xff\xff".to_vec();
    lzma.extend([0xff; 8]);
    lzma.extend([0; 64]);
    let zstd = [b"\x28\xb5\x2f\xfd\x00\xff".as_slice(), &[0; 64]].concat();
    for (name, bytes) in [("a.pkl", lzma), ("b.pkl", zstd)] {
        let found = written(name, &bytes).unwrap();
        assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
    }
}

#[test]
fn what_keras_is_made_to_call_is_told() {
    let of = |config: &str| {
        let entries = [
            Entry::stored("metadata.json", b"{}"),
            Entry::stored("config.json", config.as_bytes()),
        ];
        written("model.keras", &zip(&entries)).map(|found| (found.format, found.verdict))
    };
    for (config, verdict) in [
        (r#"{"module": "keras.layers", "class_name": "\u004cambda"}"#, Verdict::Dangerous),
        (
            r#"{"class_name": "function", "config": "run", "module": "subprocess"}"#,
            Verdict::Dangerous,
        ),
        (r#"{"a": [{"class_name": "get_file", "module": "keras.src.utils"}]}"#, Verdict::Dangerous),
        (r#"{"class_name": "Scale", "module": "ours.layers"}"#, Verdict::Unknown),
        (r#"{"class_name": "Dense""#, Verdict::Unknown),
    ] {
        assert_eq!(of(config), Some((Format::Keras, verdict)), "{config}");
    }
    assert_eq!(of(r#"{"class_name": "Dense", "module": "keras.layers"}"#), None);
    let hidden = [b"\x89HDF\r\n\x1a\n".as_slice(), br#"{"class_name": "L\u0061mbda"}"#].concat();
    assert_eq!(written("model.h5", &hidden).unwrap().verdict, Verdict::Unknown);
}

#[test]
fn a_damaged_stream_is_a_finding_where_the_name_says_that_it_is_a_pickle() {
    for packing in ["gzip", "bz2", "xz", "lzma", "lz4", "zstd"] {
        let whole = content(&format!("forest-{packing}.joblib"));
        for length in [6, 30, whole.len() / 2] {
            let found = written("model.joblib", &whole[..length]);
            let found = found.unwrap_or_else(|| panic!("{packing} {length}"));
            assert!(found.verdict >= Verdict::Unknown, "{packing} {length}: {found:?}");
        }
        // Whatever it is called, there is no telling what it held.
        let mut damaged = whole.clone();
        damaged[13..40].fill(0xff);
        let found = written("weights", &damaged);
        let found = found.unwrap_or_else(|| panic!("{packing}"));
        assert!(found.verdict >= Verdict::Unknown, "{packing}: {found:?}");
        // Damage of any single byte is survived.
        for at in (0..whole.len()).step_by(61) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            written("model.joblib", &damaged);
        }
    }
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
