use proptest::prelude::*;

use super::*;
use crate::{DataType, FilePath};

/// A field of protobuf, written by hand so that the tests can also write what no library would.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn text(field: u64, value: &str) -> Vec<u8> {
    bytes(field, value.as_bytes())
}

fn message(field: u64, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(field, &fields.concat())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn node(operator: &str, more: &[Vec<u8>]) -> Vec<u8> {
    message(1, &[text(4, operator), more.concat()])
}

/// `ValueInfoProto` in the field 11 (input) or 12 (output) of a graph.
fn value(field: u64, name: &str, kind: &[u8]) -> Vec<u8> {
    message(field, &[text(1, name), bytes(2, kind)])
}

fn tensor_type(element: u64, dims: &[Vec<u8>]) -> Vec<u8> {
    message(1, &[number(1, element), message(2, dims)])
}

fn any_dim() -> Vec<u8> {
    message(1, &[])
}

fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 8), text(2, "skl2onnx"), text(3, "1.20"), message(7, graph), opset("", 18)].concat()
}

fn opset(domain: &str, version: u64) -> Vec<u8> {
    message(8, &[text(1, domain), number(2, version)])
}

fn float_output() -> Vec<u8> {
    value(12, "y", &tensor_type(1, &[any_dim()]))
}

/// Every kind of thing that we look for, and weights to skip.
fn rich_model() -> Vec<u8> {
    let branch = message(6, &[node("Neg", &[]), message(5, &[text(8, "w"), bytes(9, &[7; 100])])]);
    let external = [
        text(8, "big"),
        message(13, &[text(1, "location"), text(2, "weights.bin")]),
        message(13, &[text(1, "length"), text(2, "9")]),
        number(14, 1),
    ];
    let graph = [
        node("If", &[message(5, &[text(1, "then_branch"), branch])]),
        message(1, &[text(4, "Scaler"), text(7, "ai.onnx.ml")]),
        message(5, &[text(8, "scale"), bytes(9, &[1; 300])]),
        message(5, &external),
        message(15, &[message(1, &[text(8, "sparse")]), message(2, &[text(8, "indices")])]),
        value(
            11,
            "x",
            &tensor_type(1, &[message(1, &[text(2, "n")]), message(1, &[number(1, 30)])]),
        ),
        value(11, "scale", &tensor_type(1, &[])),
        value(11, "sparse", &tensor_type(1, &[])),
        value(12, "label", &tensor_type(7, &[any_dim()])),
        value(12, "kind", &tensor_type(8, &[message(1, &[number(1, u64::MAX)])])),
    ];
    let function = message(25, &[text(1, "Twice"), message(7, &[text(4, "Add")])]);
    [model(&graph), function, opset("ai.onnx.ml", 3)].concat()
}

fn scan_in(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<OnnxFacts, Problem> {
    let mut scanner = Scanner::default();
    for chunk in chunks {
        scanner.feed(chunk.as_ref())?;
    }
    scanner.finish()
}

fn scan(file: &[u8]) -> Result<OnnxFacts, Problem> {
    scan_in([file])
}

fn refusal(file: &[u8]) -> String {
    let problem = scan(file).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("files"));
    assert!(problem.hint.is_some());
    problem.message
}

fn unsupported(kind: &[u8]) -> String {
    match scan(&model(&[value(12, "y", kind)])).unwrap().interface {
        Interface::Unsupported(why) => why,
        Interface::Signature(signature) => panic!("{signature:?}"),
    }
}

#[test]
fn a_model_tells_its_interface_operators_and_files() {
    let facts = scan(&rich_model()).unwrap();
    assert_eq!(
        serde_json::to_value(&facts).unwrap(),
        serde_json::json!({
            "ir_version": 8, "producer_name": "skl2onnx", "producer_version": "1.20",
            "opset": {"ai.onnx": 18, "ai.onnx.ml": 3},
            "interface": {"signature": {
                "inputs": [{"name": "x", "datatype": "FP32", "shape": ["n", 30]}],
                "outputs": [
                    {"name": "label", "datatype": "INT64", "shape": [-1]},
                    {"name": "kind", "datatype": "BYTES", "shape": [-1]},
                ],
            }},
            "operators": ["Add", "If", "Neg", "ai.onnx.ml::Scaler"],
            "external_files": ["weights.bin"],
        })
    );
    let read_back: OnnxFacts =
        serde_json::from_value(serde_json::to_value(&facts).unwrap()).unwrap();
    assert_eq!(read_back, facts);
}

#[test]
fn every_element_type_that_we_carry_is_read_and_no_other() {
    let carried: Vec<_> = (0..30)
        .filter_map(|element| {
            match scan(&model(&[value(12, "y", &tensor_type(element, &[]))])).unwrap().interface {
                Interface::Signature(signature) => Some(signature.outputs[0].datatype),
                Interface::Unsupported(_) => None,
            }
        })
        .collect();
    assert!(DataType::ALL.iter().all(|datatype| carried.contains(datatype)), "{carried:?}");
    assert_eq!(carried.len(), DataType::ALL.len());
}

#[test]
fn what_we_cannot_carry_is_named_with_what_to_do() {
    let map = message(5, &[number(1, 7), message(2, &[tensor_type(1, &[])])]);
    assert_eq!(
        unsupported(&message(4, &[bytes(1, &map)])),
        "output `y` is a sequence of maps: export with zipmap=False (skl2onnx options={'zipmap': False})"
    );
    let floats = tensor_type(1, &[]);
    let cases = [
        (message(4, &[bytes(1, &floats)]), "output `y` is a sequence of tensors: export"),
        (message(9, &[bytes(1, &floats)]), "output `y` is optional (a tensor): export"),
        (map, "output `y` is a map: export"),
        (message(8, &[]), "output `y` is a sparse tensor: export"),
        (message(7, &[]), "output `y` is of an opaque type: export"),
        (vec![], "output `y` is of no known type: export"),
        (message(1, &[number(1, 1)]), "output `y` has no shape: run"),
        (tensor_type(14, &[]), "output `y` holds complex numbers: we carry BOOL, UINT8"),
        (tensor_type(17, &[]), "output `y` holds 8-bit floats: we"),
        (tensor_type(22, &[]), "output `y` holds elements of less than a byte: we"),
        (tensor_type(99, &[]), "output `y` holds elements of the unknown type 99: we"),
    ];
    for (kind, expected) in cases {
        let why = unsupported(&kind);
        assert!(why.starts_with(expected), "{why}");
    }
}

#[test]
fn what_is_not_onnx_is_refused_at_the_byte_that_shows_it() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "the model file is empty"),
        (
            b"\x80\x04\x95 pickle",
            "the model file is not ONNX: a field has no valid type (at byte 7)",
        ),
        (b"PK\x03\x04", "the model file is not ONNX: a field has no valid number (at byte 3)"),
        (b"B2 text", "the model file is not ONNX: it ends in the middle of a field (at byte 7)"),
        (
            b"version https://git-lfs",
            "the model file is not ONNX: a field has no valid type (at byte 1)",
        ),
        (&[0; 8], "the model file is not ONNX: a field has no valid number (at byte 1)"),
        (&[0xFF; 11], "the model file is not ONNX: a number is longer than 64 bits (at byte 10)"),
        (
            b"\x3A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
            "the model file is not ONNX: a field is longer than what it stands in (at byte 11)",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(file), expected, "{file:?}");
    }
}

#[test]
fn a_file_without_what_every_model_has_is_refused() {
    let nodes = [node("Add", &[]), float_output()];
    let cases = [
        (message(7, &nodes), "it names no format version"),
        (number(1, 8), "it has no graph"),
        (model(&[]), "its graph has no outputs"),
        ([number(1, 8), message(7, &nodes)].concat(), "it uses operators of `ai.onnx`, but"),
        ([number(1, 8), message(7, &nodes[1..])].concat(), "it names no operator set; it"),
        (
            model(&[message(1, &[text(4, "F"), text(7, "my")]), float_output()]),
            "it uses operators of `my`, but",
        ),
    ];
    for (file, expected) in cases {
        let message = refusal(&file);
        let expected = format!("the model file is not ONNX: {expected}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_field_must_fit_into_what_it_stands_in() {
    let too_long = bytes(7, &[0x0A, 0x05, 0x00]);
    assert!(refusal(&too_long).contains("longer than what it stands in (at byte 4)"));
    let fixed_too_long = bytes(7, &[0x11, 0x00]);
    assert!(refusal(&fixed_too_long).contains("longer than what it stands in (at byte 3)"));
    let varint_too_long = [bytes(7, &[0x10, 0x80]), vec![0x01; 9]].concat();
    assert!(refusal(&varint_too_long).contains("longer than what it stands in (at byte 4)"));
}

#[test]
fn nesting_names_and_amounts_are_bounded() {
    let deep = (0..40)
        .fold(node("Add", &[]), |inner, _| message(1, &[message(5, &[message(6, &[inner])])]));
    assert!(refusal(&model(&[deep])).contains("nested too deeply"));
    assert!(refusal(&model(&[node(&"x".repeat(70_000), &[])])).contains("a name is too long"));
    assert!(refusal(&model(&[message(1, &[bytes(4, &[0xFF])])])).contains("not UTF-8"));
    let dims = vec![any_dim(); 1_000_000];
    assert!(refusal(&model(&[value(12, "y", &tensor_type(1, &dims))])).contains("too many names"));
    let names: Vec<_> =
        (0..300).map(|i| node(&format!("{i}{}", "x".repeat(65_000)), &[])).collect();
    assert!(refusal(&model(&names)).contains("too many names"));
}

#[test]
fn one_operator_in_a_million_nodes_costs_no_more_than_one() {
    let nodes = vec![node("Add", &[]); 1_000_000];
    let facts = scan(&model(&[nodes.concat(), float_output()])).unwrap();
    assert_eq!(facts.operators.len(), 1);
}

#[test]
fn a_refused_file_stays_refused() {
    let mut scanner = Scanner::default();
    assert!(scanner.feed(&[0]).is_err());
    assert!(scanner.feed(&rich_model()).is_err());
    assert!(scanner.finish().is_err());
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = rich_model();
    for length in 0..whole.len() {
        assert!(scan(&whole[..length]).is_err(), "cut at {length} of {}", whole.len());
    }
    assert_eq!(refusal(&whole[..50]), "the ONNX file ends early, at byte 50");
}

#[test]
fn external_files_stay_in_the_models_folder() {
    let at = |location: &str, model_path: &str| {
        let mut facts = scan(&rich_model()).unwrap();
        facts.external_files = [location.to_owned()].into();
        facts.external_paths(&model_path.parse().unwrap())
    };
    let path = |text: &str| text.parse::<FilePath>().unwrap();
    assert_eq!(at("weights.bin", "model.onnx"), Ok(vec![path("weights.bin")]));
    assert_eq!(at("w/0.bin", "net/model.onnx"), Ok(vec![path("net/w/0.bin")]));
    for location in ["../secret", "/etc/passwd", "a/../../b", "", "a\\b"] {
        let problem = at(location, "net/model.onnx").unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("files"));
        assert!(problem.message.starts_with("`net/model.onnx` keeps weights elsewhere: "));
    }
}

#[test]
fn weights_that_are_not_external_name_no_file() {
    let entry = message(13, &[text(1, "location"), text(2, "never read")]);
    let facts = scan(&model(&[message(5, &[text(8, "w"), entry]), float_output()])).unwrap();
    assert_eq!(facts.external_files.len(), 0);
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_the_chunks(
        size in 1_usize..40,
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut file = rich_model();
        prop_assert_eq!(scan_in(file.chunks(size)), scan(&file));
        let at = at.index(file.len());
        file[at] = byte;
        prop_assert_eq!(scan_in(file.chunks(size)), scan(&file));
    }

    #[test]
    fn no_bytes_make_it_panic(
        prefix in 0_usize..400,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut file = rich_model();
        file.truncate(prefix);
        file.extend(bytes);
        let _ = scan(&file);
    }
}
