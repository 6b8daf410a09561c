//! Bodies that were once trouble, or could be: each is read by both decoders of REST, as what it is
//! said to be and as what it is not. `ok-` is taken, `bad-` is refused, and nothing panics.
//!
//! A file is the length of its JSON as text, a line feed, and the body; without a length the body is
//! JSON alone. To add one: put the file into `corpus/`.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use domain::Signature;
use protocol::v2::{binary, json};
use serde_json::json;

fn signature() -> Signature {
    serde_json::from_value(json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]},
                   {"name": "s", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }))
    .unwrap()
}

#[test]
fn every_body_of_the_corpus_is_taken_or_refused() {
    let (signature, mut seen) = (signature(), 0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let file = std::fs::read(&path).unwrap();
        let at = file.iter().position(|&byte| byte == b'\n').unwrap();
        let (length, body) = (str::from_utf8(&file[..at]).unwrap(), &file[at + 1..]);
        let result = match length.parse() {
            Ok(length) => binary::decode(body, length, &signature),
            Err(_) => json::decode(body, &signature),
        };
        assert_eq!(result.is_ok(), name.starts_with("ok-"), "{name}: {result:?}");
        for length in 0..body.len() + 2 {
            let _ = binary::decode(body, length, &signature);
        }
        let _ = json::decode(body, &signature);
        seen += 1;
    }
    assert!(seen >= 20, "the corpus has only {seen} bodies");
}
