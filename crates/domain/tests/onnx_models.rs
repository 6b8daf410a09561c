//! Files as real exporters write them: those that all tests share.

use std::path::PathBuf;

use domain::onnx::{Interface, OnnxFacts, Scanner};
use domain::{DataType, Dim, Problem};

fn bytes(name: &str) -> Vec<u8> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/data");
    std::fs::read(data.join(name)).unwrap_or_default()
}

fn scan(name: &str) -> Result<OnnxFacts, Problem> {
    let mut scanner = Scanner::default();
    for chunk in bytes(name).chunks(1000) {
        scanner.feed(chunk)?;
    }
    scanner.finish()
}

fn refusal(name: &str) -> String {
    scan(name).err().map(|problem| problem.message).unwrap_or_default()
}

/// `features FP32 [?, 30] -> label INT64 [?]`
fn interface(name: &str) -> String {
    match scan(name).map(|facts| facts.interface) {
        Ok(Interface::Signature(signature)) => {
            let sides = [&signature.inputs, &signature.outputs].map(|side| {
                let show = |it: &domain::TensorSpec| {
                    format!("{} {} {}", it.name, it.datatype, it.shape_text())
                };
                side.iter().map(show).collect::<Vec<_>>().join(", ")
            });
            sides.join(" -> ")
        }
        Ok(Interface::Unsupported(why)) => why,
        Err(problem) => problem.message,
    }
}

#[test]
fn models_of_scikit_learn_tell_their_signature() {
    for (file, expected) in [
        (
            "breast_cancer.onnx",
            "features FP32 [?, 30] -> label INT64 [?], probabilities FP32 [?, 2]",
        ),
        ("digits.onnx", "pixels FP32 [?, 64] -> label INT64 [?], probabilities FP32 [?, 10]"),
        (
            "color_size.onnx",
            "color BYTES [?, 1], size FP32 [?, 1] -> label BYTES [?], probabilities FP32 [?, 2]",
        ),
        ("fixed_batch.onnx", "x FP32 [4, 3] -> y FP32 [4, 3]"),
        ("expand.onnx", "elements INT64 [1] -> y FP32 [elements]"),
    ] {
        assert_eq!(interface(file), expected, "{file}");
    }
}

#[test]
fn every_tensor_type_is_known_by_its_name() {
    for &datatype in DataType::ALL {
        let file = datatype.as_str().to_lowercase();
        let expected = format!("x {datatype} [n, 2] -> y {datatype} [n, 2]");
        assert_eq!(interface(&format!("identity/{file}.onnx")), expected);
    }
}

#[test]
fn what_no_tensor_can_carry_is_told_with_what_to_do() {
    assert_eq!(
        interface("zipmap.onnx"),
        "output `output_probability` is a sequence of maps: export with zipmap=False (skl2onnx options={'zipmap': False})"
    );
    assert!(interface("complex.onnx").starts_with("input `x` holds complex numbers: "));
}

#[test]
fn operators_and_their_versions_are_listed() {
    let facts = scan("breast_cancer.onnx").unwrap();
    assert_eq!((facts.producer_name.as_str(), facts.opset["ai.onnx.ml"]), ("skl2onnx", 1));
    assert!(facts.operators.contains("ai.onnx.ml::LinearClassifier"), "{:?}", facts.operators);
    let loops = scan("slow.onnx").unwrap();
    let operators: Vec<_> = loops.operators.iter().map(String::as_str).collect();
    assert_eq!(operators, ["Add", "Constant", "Identity", "Loop", "Squeeze"]);
}

#[test]
fn weights_beside_the_model_are_found_but_not_outside_its_folder() {
    let at = "net/model.onnx".parse().unwrap();
    let inside = scan("external/model.onnx").unwrap();
    assert_eq!(inside.external_paths(&at), Ok(vec!["net/weights.bin".parse().unwrap()]));
    let Interface::Signature(signature) = &inside.interface else { panic!("no signature") };
    assert_eq!(signature.inputs[0].shape, [Dim::Symbolic("n".to_owned()), Dim::Fixed(4)]);
    for (file, why) in [
        ("external_parent.onnx", "the path `../secret.bin` holds an empty part, `.` or `..`"),
        ("external_absolute.onnx", "the path `/etc/passwd` is absolute"),
    ] {
        let problem = scan(file).unwrap().external_paths(&at).unwrap_err();
        assert_eq!(problem.message, format!("`net/model.onnx` keeps weights elsewhere: {why}"));
    }
}

#[test]
fn what_is_broken_is_refused() {
    assert!(refusal("not_onnx.onnx").starts_with("the model file is not ONNX: "));
    let length = bytes("truncated.onnx").len();
    assert_eq!(refusal("truncated.onnx"), format!("the ONNX file ends early, at byte {length}"));
    assert_eq!(refusal("no such file"), "the model file is empty");
}
