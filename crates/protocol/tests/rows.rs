//! Rules for any body of rows, columns, data frames or examples: it is taken as something that fits the
//! signature, or refused in words, and nothing panics.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may unwrap as it may")]

use domain::{Problem, Signature, Tensor};
use proptest::{collection::vec, prelude::*};
use protocol::{
    scoring::{self, Format},
    tensorflow::{self, Task},
};
use serde_json::json;

/// What is right for one decoder or another.
const BODIES: [&str; 8] = [
    r#"{"instances": [{"x": [1, 2.5], "s": "a"}, {"x": [3, -4], "s": {"b64": "Yg=="}}]}"#,
    r#"{"inputs": {"x": [[1, 2], [3, 4]], "s": ["a", "é"]}, "signature_name": "serving_default"}"#,
    r#"{"examples": [{"x": [1, 2], "s": "a"}, {"s": "b", "x": [3, 4]}]}"#,
    r#"{"context": {"s": "a"}, "examples": [{"x": [1, 2]}, {"x": [1e30, 2], "s": "\u00e9"}]}"#,
    r#"{"dataframe_split": {"columns": ["s", "x"], "index": [0], "data": [["a", [1, 2]]]}}"#,
    r#"{"dataframe_records": [{"s": "a", "x": [1, null]}, {"x": [1, 2], "s": "b"}]}"#,
    "s,x\na,1\n\"b\"\"c\",2\n",
    "[[1, 2], [3, 4]]",
];

fn signatures() -> Vec<Signature> {
    let x = json!({"name": "x", "datatype": "FP32", "shape": [-1, 2]});
    let s = json!({"name": "s", "datatype": "BYTES", "shape": [-1]});
    let p = json!({"name": "p", "datatype": "FP32", "shape": [-1, 3]});
    [json!([x, s]), json!([x]), json!([s]), json!([])]
        .into_iter()
        .map(|inputs| serde_json::from_value(json!({"inputs": inputs, "outputs": [p]})).unwrap())
        .collect()
}

/// What each decoder makes of a body.
fn all(body: &[u8], signature: &Signature) -> [Result<Vec<Tensor>, Problem>; 5] {
    [
        scoring::decode(Format::Json, body, signature, 0).map(|it| it.inputs),
        scoring::decode(Format::Csv, body, signature, 0).map(|it| it.inputs),
        tensorflow::decode(body, signature).map(|it| it.inputs),
        tensorflow::decode_examples(Task::Classify, body, signature),
        tensorflow::decode_examples(Task::Regress, body, signature),
    ]
}

#[test]
fn each_body_is_right_for_somebody() {
    let signatures = signatures();
    for body in BODIES.into_iter().filter(|body| body.starts_with('{')) {
        let is_taken = |signature| all(body.as_bytes(), signature).iter().any(Result::is_ok);
        assert!(signatures.iter().any(is_taken), "{body}");
    }
}

proptest! {
    #[test]
    fn a_damaged_body_is_taken_or_refused(
        body in prop::sample::select(&BODIES[..]),
        damage in vec((any::<prop::sample::Index>(), 0_u8..3, any::<u8>()), 0..5),
    ) {
        let mut body = body.as_bytes().to_vec();
        for (at, how, byte) in damage {
            let at = at.index(body.len() + 1);
            match how {
                0 => body.insert(at, byte),
                1 if at < body.len() => drop(body.remove(at)),
                _ if at < body.len() => body[at] = byte,
                _ => body.truncate(at),
            }
        }
        for signature in signatures() {
            for result in all(&body, &signature) {
                match result {
                    Ok(inputs) => prop_assert_eq!(signature.check(&inputs), Ok(())),
                    Err(problem) => prop_assert!(!problem.message.is_empty()),
                }
            }
        }
    }
}
