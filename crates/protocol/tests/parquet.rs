//! Parquet: files that others wrote are read, those that lie are refused, and neither makes us take
//! memory that the file does not have. `parquet/make.py` writes the files; `ok-` are taken, `bad-` are
//! refused, `large-` become too large.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may unwrap as it may")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
};

use domain::{ErrorCode, Problem, Signature, Tensor};
use proptest::{collection::vec, prelude::*, sample::Index};
use protocol::scoring::{self, Format};
use serde_json::{Value, json};

/// What a file may become here, and be.
const LIMIT: usize = 128 << 10;
/// What a byte of a file, or of what becomes of it, may take at most, and what anybody may.
const EACH: usize = 24;
const ANYWAY: usize = 1 << 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread holds.
struct Counting;

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get() + layout.size();
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // What another thread gave is not ours to count.
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: as the caller says.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a file becomes; fails where that takes more memory than the file can have.
fn read(body: &[u8], signature: &Signature) -> Result<Vec<Tensor>, Problem> {
    let before = HELD.get();
    PEAK.set(before);
    let read = scoring::decode(Format::Parquet, body, signature, LIMIT);
    let (took, most) = (PEAK.get() - before, ANYWAY + EACH * (body.len() + LIMIT));
    assert!(took <= most, "{} bytes took {took}", body.len());
    read.map(|request| request.inputs)
}

fn signature(inputs: Value) -> Signature {
    serde_json::from_value(json!({"inputs": inputs, "outputs": []})).unwrap()
}

/// Of the table that `make.py` writes in many ways.
fn whole() -> Signature {
    signature(json!([
        {"name": "count", "datatype": "INT64", "shape": [-1]},
        {"name": "small", "datatype": "UINT8", "shape": [-1, 1]},
        {"name": "rate", "datatype": "FP64", "shape": [-1]},
        {"name": "city", "datatype": "BYTES", "shape": [-1]},
        {"name": "open", "datatype": "BOOL", "shape": [-1]},
        {"name": "pair", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "grid", "datatype": "INT32", "shape": [-1, 2, 2]},
    ]))
}

fn alone(name: &str) -> Signature {
    let (datatype, shape) = match name {
        "city" => ("BYTES", json!([-1])),
        "pair" => ("FP32", json!([-1, -1])),
        _ => ("FP64", json!([-1])),
    };
    signature(json!([{"name": name, "datatype": datatype, "shape": shape}]))
}

/// The same rows in JSON, which has its own tests.
fn expected() -> Vec<Tensor> {
    let rows: Vec<_> = (0..40_i32)
        .map(|at| {
            let rate = if at % 5 == 3 { Value::Null } else { json!(f64::from(at) / 8.0) };
            let city = ["Köln", "", "Oslo"][at as usize % 3];
            json!({
                "count": (at * 7919) % 101 - 50,
                "small": at % 7,
                "rate": rate,
                "city": city,
                "open": at % 3 == 0,
                "pair": [at, f64::from(-at) / 2.0],
                "grid": [[at, 1], [2, 3]],
            })
        })
        .collect();
    let body = json!({"dataframe_records": rows}).to_string();
    scoring::decode(Format::Json, body.as_bytes(), &whole(), 0).unwrap().inputs
}

fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|it| it == "parquet"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn every_file_is_taken_or_refused_as_its_name_says() {
    let (mut good, mut bad, mut large) = (0, 0, 0);
    for (name, body) in files() {
        if name == "ok-bare" {
            assert_eq!(read(&body, &alone("rate")).unwrap().len(), 1);
        } else if name.starts_with("ok-") {
            // NaN differs from itself, and not in how it is shown.
            let inputs = read(&body, &whole()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(format!("{inputs:?}"), format!("{:?}", expected()), "{name}");
            good += 1;
        } else if name.starts_with("bad-") {
            for signature in [whole(), alone("rate")] {
                let refused = read(&body, &signature).expect_err(&name);
                assert_eq!(refused.code, ErrorCode::Invalid, "{name}: {refused:?}");
            }
            bad += 1;
        } else {
            let refused = ["rate", "city", "pair"].map(|column| read(&body, &alone(column)));
            let is_large = |it: &Result<_, Problem>| {
                it.as_ref().is_err_and(|refused| refused.code == ErrorCode::TooLarge)
            };
            assert!(refused.iter().any(is_large), "{name}: {refused:?}");
            large += 1;
        }
    }
    assert!(good >= 12 && bad >= 35 && large >= 6, "{good} {bad} {large}: files are missing");
}

#[test]
fn a_refusal_says_what_is_wrong() {
    for (name, said) in [
        ("bad-brotli", "column `count` is packed by Brotli"),
        ("bad-delta-byte-array", "column `city` is written in DELTA_BYTE_ARRAY"),
        ("bad-struct", "column `count` holds objects"),
        ("bad-struct-of-one", "column `count` holds objects"),
        ("bad-map", "column `pair` holds objects"),
        ("bad-time", "column `count` holds dates or times"),
        ("bad-decimal", "column `rate` holds decimals"),
        ("bad-null-count", "row 1, column `count`"),
        ("bad-null-text", "row 1, column `city`"),
        ("bad-float-for-count", "row 1, column `count`"),
        ("bad-bytes", "no text in UTF-8"),
        ("bad-ragged", "differ in length"),
        ("bad-overflow", "from 0 to 255"),
        ("bad-missing", "there is no column `city`"),
        ("bad-extra", "the model has no input `more`"),
        ("bad-twice", "`city` is there twice"),
        ("bad-empty", "there is no row"),
        ("bad-encrypted", "is encrypted"),
        ("bad-nothing-at-all", "does not begin and end with `PAR1`"),
        ("bad-cut", "cut off"),
        ("bad-outside", "outside the file"),
    ] {
        let path = format!("{}/tests/parquet/{name}.parquet", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(path).unwrap();
        let refused = [whole(), alone("rate")].map(|it| read(&body, &it).unwrap_err().message);
        assert!(refused.iter().any(|it| it.contains(said)), "{name}: {refused:?}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_, body) = files().into_iter().find(|(name, _)| name == "ok-snappy").unwrap();
    for end in 0..body.len() {
        assert!(read(&body[..end], &whole()).is_err(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_damaged_file_is_taken_or_refused(
        file in prop::sample::select(files()),
        damage in vec((any::<Index>(), 0_u8..4, any::<u8>(), any::<bool>()), 1..6),
    ) {
        let (_, mut body) = file;
        for (at, how, byte, is_late) in damage {
            // Half of it in the footer, which rules the rest.
            let begin = if is_late { body.len().saturating_sub(700) } else { 0 };
            let at = begin + at.index(body.len() - begin + 1);
            match how {
                0 => body.insert(at, byte),
                1 if at < body.len() => drop(body.remove(at)),
                2 if at < body.len() => body[at] ^= 1 << (byte % 8),
                _ if at < body.len() => body[at] = byte,
                _ => {}
            }
        }
        for signature in [whole(), alone("rate"), alone("pair")] {
            match read(&body, &signature) {
                Ok(inputs) => prop_assert_eq!(signature.check(&inputs), Ok(())),
                Err(problem) => prop_assert!(!problem.message.is_empty()),
            }
        }
    }

    #[test]
    fn a_footer_of_any_bytes_is_taken_or_refused(footer in vec(any::<u8>(), 0..300)) {
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        let body = [&b"PAR1"[..], &footer, &length, b"PAR1"].concat();
        prop_assert!(read(&body, &whole()).is_err());
    }
}
