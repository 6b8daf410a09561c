use std::fmt::Write as _;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::Signature;

fn refused(content: &str) -> String {
    let problem = MlModel::parse(content.as_bytes()).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("files"));
    assert!(problem.hint.is_some());
    problem.message
}

fn schemas(inputs: &str, outputs: &str) -> Schemas {
    Schemas::parse(Some(inputs), Some(outputs), None).unwrap()
}

#[test]
fn what_is_no_mlmodel_is_refused_with_what_and_where() {
    for (content, expected) in [
        ("", "empty"),
        ("# nothing\n", "end of file"),
        ("just a text", "mapping"),
        ("- a\n- b\n", "mapping"),
        ("mlflow_version: 3.17.2\n", "flavors"),
        ("flavors:\n- onnx\n", "line 2"),
        ("flavors: {}\nflavors: {}\n", "line 2"),
        ("flavors:\n  onnx: {data: a}\n  onnx: {data: b}\n", "line 3"),
        ("flavors:\n  onnx: {data: a, data: b}\n", "line 2"),
        ("flavors:\n  onnx: text\n", "`flavors.onnx` is no mapping"),
        ("flavors:\n  onnx: {data: \"a\\0\"}\n", "U+0000"),
        ("flavors: {}\nmodel_uuid: \"a\\0\"\n", "`model_uuid`"),
        ("flavors: {}\nsignature: text\n", "line 2"),
        ("flavors: {}\nsignature: {inputs: [1]}\n", "line 2"),
        ("flavors: {}\nsignature: {inputs: '[{'}\n", "`signature.inputs`"),
        ("flavors: {}\nsignature: {outputs: '{}'}\n", "`signature.outputs`"),
        ("flavors: {}\nsignature: {inputs: '[{\"name\": \"x\"}]'}\n", "missing field `type`"),
        ("flavors: {}\nsignature: {params: '[{\"type\": \"long\"}]'}\n", "missing field `name`"),
        (
            "flavors: {}\nsaved_input_example_info: {artifact_path: ../../etc/passwd}\n",
            "`saved_input_example_info.artifact_path`",
        ),
        ("flavors: {}\n---\nflavors: {}\n", "line"),
        ("flavors: {a: &a {b: *a}}\n", "line 1"),
        ("flavors: {a: *nobody}\n", "line 1"),
        ("flavors: {a: !!python/object/apply:os.system [true]}\n", "line 1"),
        ("flavors: {a: {<<: {b: 1}}}\n", "line 1"),
        ("flavors: {a: [\n", "line"),
    ] {
        let message = refused(content);
        assert!(message.contains(expected), "{content:?}: {message}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let problem = MlModel::parse(b"flavors: {}\nrun_id: \xff\xfe\n").unwrap_err();
    assert!(problem.message.contains("UTF-8"), "{problem}");
    assert!(MlModel::parse(&[0xff; 64]).is_err());
    assert!(MlModel::parse(b"flavors: {}\nrun_id: a\0b\n").is_err());
}

#[test]
fn a_file_that_is_larger_than_it_looks_costs_nothing() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let all = vec![alias; 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{all}]").unwrap();
    }
    let deep = |open: &str, close: &str| {
        format!("flavors: {{a: {}{}}}\n", open.repeat(5000), close.repeat(5000))
    };
    let mut blocks = "flavors:\n".to_owned();
    for depth in 1..400 {
        writeln!(blocks, "{}a:", " ".repeat(depth)).unwrap();
    }
    let many = format!("flavors: {{a: [{}]}}\n", vec!["1"; 100_000].join(","));
    let anchors: String = (0..1000).map(|at| format!("k{at}: &n{at} 1\n")).collect();
    for (what, content) in [
        ("aliases of aliases", format!("{laughs}flavors: {{a: *a11}}\n")),
        (
            "aliases of aliases in a flavour",
            format!(
                "flavors:\n  a:\n{}",
                laughs.lines().map(|line| format!("    {line}\n")).collect::<String>()
            ),
        ),
        ("lists in lists", deep("[", "]")),
        ("mappings in mappings", deep("{a: ", "}")),
        ("blocks in blocks", blocks),
        ("many values", many),
        ("many anchors", format!("{anchors}flavors: {{}}\n")),
        ("many documents", "--- {}\n".repeat(1000)),
        ("a long file", format!("flavors: {{}}\nrun_id: {}\n", "x".repeat(2 << 20))),
        ("a long text", format!("flavors: {{}}\nrun_id: {}\n", "x".repeat(1000))),
    ] {
        let message = refused(&content);
        assert!(message.chars().count() < 600, "{what}: {message}");
    }
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let text = format!("flavors: {{}}\nsignature: {{inputs: '{nested}'}}\n");
    assert!(refused(&text).contains("`signature.inputs`"));
}

#[test]
fn ordinary_aliases_and_unknown_fields_are_read() {
    let content = "flavors:\n  a: {env: &id001 {conda: c.yaml}}\n  b: {env: *id001}\nnew_field: [1, {x: .nan}]\n";
    let read = MlModel::parse(content.as_bytes()).unwrap();
    assert_eq!(read.flavors["b"], json!({"env": {"conda": "c.yaml"}}));
    assert_eq!(
        (read.main_flavor(), read.is_python(), read.loader_module()),
        (Some("a"), false, None)
    );
}

#[test]
fn texts_that_look_like_numbers_stay_texts() {
    let content = "flavors: {}\nmodel_uuid: 12345678901234567890123456789012\nrun_id: 1234e5678\nmlflow_version: 3.10\n";
    let facts = MlModel::parse(content.as_bytes()).unwrap().facts;
    assert_eq!(facts.model_uuid.as_deref(), Some("12345678901234567890123456789012"));
    assert_eq!(facts.run_id.as_deref(), Some("1234e5678"));
    assert_eq!(facts.mlflow_version.as_deref(), Some("3.10"));
}

#[test]
fn the_onnx_file_is_named_by_its_flavour() {
    let data = |flavor: &str| {
        MlModel::parse(format!("flavors: {{{flavor}}}\n").as_bytes()).unwrap().onnx_data()
    };
    assert_eq!(data("sklearn: {}"), Ok(None));
    assert_eq!(data("onnx: {data: net/model.onnx/}").unwrap().unwrap().as_str(), "net/model.onnx");
    for bad in [
        "onnx: {}",
        "onnx: null",
        "onnx: {data: [a]}",
        "onnx: {data: ../model.onnx}",
        "onnx: {data: /model.onnx}",
    ] {
        let message = data(bad).unwrap_err().message;
        assert!(message.contains("`flavors.onnx.data`"), "{message}");
    }
}

#[test]
fn what_has_no_counterpart_is_said_and_not_guessed() {
    let plain = r#"[{"type": "double", "name": "y"}]"#;
    for (inputs, expected) in [
        (
            r#"[{"type": "array", "items": {"type": "double"}, "name": "scores"}]"#,
            "input `scores: array of double` is no tensor and no plain column",
        ),
        (
            r#"[{"type": "object", "properties": {"city": {"type": "string"}, "at": {"type": "array", "items": {"type": "long"}}}, "name": "place", "required": false}]"#,
            "input `place: object {city: string, at: array of long} (optional)` is no tensor and no plain column",
        ),
        (
            r#"[{"type": "map", "values": {"type": "string"}, "name": "m"}]"#,
            "input `m: map of string` is no tensor and no plain column",
        ),
        (r#"[{"type": "any"}]"#, "input `any` is no tensor and no plain column"),
        (
            r#"[{"type": "long", "name": "a"}, {"type": "long", "name": "a"}]"#,
            "two inputs are named `a`",
        ),
        (
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1]}}]"#,
            "input `complex64 [-1]` has elements of NumPy's type `complex64`",
        ),
        (
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "bool", "shape": [-2]}}]"#,
            "input `bool [-2]` has a negative size",
        ),
        ("[]", "it names no inputs"),
    ] {
        assert_eq!(schemas(inputs, plain).signature().unwrap_err(), expected);
    }
    assert_eq!(schemas(plain, "[]").signature().unwrap_err(), "it names no outputs");
    let wide = format!(
        r#"[{{"type": "array", "items": {{"type": "object", "properties": {{"{}": {{"type": "long"}}}}}}}}]"#,
        "x".repeat(5000)
    );
    assert!(schemas(&wide, plain).input_lines()[0].chars().count() <= 301);
}

#[test]
fn a_file_that_knows_better_fills_in_names_and_sizes() {
    let read: Signature = serde_json::from_value(json!({
        "inputs": [{"name": "X", "datatype": "FP32", "shape": ["batch", 30]}],
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
    }))
    .unwrap();
    let tensor = |dtype: &str, shape: &str| {
        format!(
            r#"[{{"type": "tensor", "tensor-spec": {{"dtype": "{dtype}", "shape": {shape}}}}}]"#
        )
    };
    let same = schemas(&tensor("float32", "[-1, 30]"), &tensor("int64", "[-1]"));
    assert_eq!(same.signature_of(&read), Ok(read.clone()));
    let fixed = schemas(&tensor("float32", "[8, 30]"), &tensor("int64", "[8]"));
    assert_eq!(fixed.signature_of(&read).unwrap().inputs[0].shape_text(), "[8, 30]");
    let other = schemas(&tensor("float64", "[-1, 30]"), &tensor("int64", "[-1]"));
    assert!(other.signature_of(&read).unwrap_err().contains("does not fit"));
    let columns = schemas(
        r#"[{"type": "float", "name": "a"}, {"type": "float", "name": "b"}]"#,
        r#"[{"type": "long", "name": "label"}]"#,
    );
    assert_eq!(
        columns.signature_of(&read).unwrap_err(),
        "the signature has 2 inputs, but the file has 1"
    );
}

const REAL: &str = include_str!("../../tests/mlmodels/3.17.2/pyfunc-nested/MLmodel");

/// Pieces of YAML and JSON that mean something.
const PIECES: [&str; 16] = [
    "{", "}", "[", "]", ": ", "\n", "- ", "&a ", "*a", "!!str ", "|\n", "'", "\"", "\\0", "<<: ",
    "? ",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(content in vec(any::<u8>(), 0..2000)) {
        let _ = MlModel::parse(&content);
    }

    #[test]
    fn a_real_file_with_pieces_put_in_is_read_or_refused(
        edits in vec((0..REAL.len(), select(&PIECES[..]), 0_usize..20), 1..8),
    ) {
        let mut content = REAL.as_bytes().to_vec();
        for (at, piece, gone) in edits {
            let at = at.min(content.len());
            let end = (at + gone).min(content.len());
            content.splice(at..end, piece.bytes());
        }
        if let Ok(read) = MlModel::parse(&content) {
            let signature = read.schemas.as_ref().map(Schemas::signature);
            let _ = (signature, read.onnx_data(), read.main_flavor(), read.loader_module());
        }
    }
}
