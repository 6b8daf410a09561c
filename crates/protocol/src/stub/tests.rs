use domain::{DataType, Signature};
use serde_json::json;

use super::*;

/// Names that are somebody's worst.
const NAMES: [&str; 10] = [
    "x",
    "class",
    "type",
    "a-b",
    "a_b",
    "1st",
    "\"\"\"",
    "*/ evil(); /*",
    "\nnewline\u{2028}",
    "😀",
];

fn signature() -> Signature {
    let spec = |(at, name): (usize, &&str)| {
        let datatype = DataType::ALL[at % DataType::ALL.len()];
        json!({"name": name, "datatype": datatype, "shape": ["batch\n*/\"\"\"", 2]})
    };
    let specs: Vec<_> = NAMES.iter().enumerate().map(spec).collect();
    serde_json::from_value(json!({"inputs": specs, "outputs": specs})).unwrap()
}

#[test]
fn every_tensor_has_a_name_of_its_own_that_is_an_identifier() {
    let signature = signature();
    let names: Vec<_> =
        fields(&signature.inputs, &["class", "type"]).into_iter().map(|field| field.name).collect();
    assert_eq!(names[..6], ["x", "class_", "type_", "a_b", "a_b_", "x1st"]);
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), NAMES.len());
    for name in &names {
        assert!(name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_'), "{name}");
    }
}

#[test]
fn no_name_ends_a_comment_or_a_literal() {
    let signature = signature();
    let target = Target { endpoint: "fraud.dev", version: "fraud/3", signature: &signature };
    let python = python(&target);
    // The module's, the class's and the function's.
    assert_eq!(python.matches("\"\"\"").count(), 6, "{python}");
    for code in [python, rust(&target), typescript(&target)] {
        assert!(!code.contains("*/ evil(); /*\n") && !code.contains("batch\n"), "{code}");
        assert!(!code.contains("\nnewline"), "{code}");
        assert!(code.contains("fraud.dev") && code.contains("fraud/3"));
    }
}

#[test]
fn the_code_of_a_model_is_as_it_was() {
    let signature: Signature = serde_json::from_value(json!({
        "inputs": [{"name": "color", "datatype": "BYTES", "shape": ["batch", 1]},
                   {"name": "size", "datatype": "FP32", "shape": ["batch", 1]}],
        "outputs": [{"name": "label", "datatype": "INT64", "shape": ["batch"]}],
    }))
    .unwrap();
    let target = Target { endpoint: "color-size", version: "color_size/1", signature: &signature };
    insta::assert_snapshot!("python", python(&target));
    insta::assert_snapshot!("rust", rust(&target));
    insta::assert_snapshot!(
        "typescript",
        typescript(&target).replace(include_str!("caller.ts"), "")
    );
}
