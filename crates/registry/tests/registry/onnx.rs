//! ONNX files, made by hand: protobuf with as little as a model needs.

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// `ValueInfoProto`: a tensor of FP32 with the shape `[batch, 2]`.
fn tensor(name: &str) -> Vec<u8> {
    let batch = bytes(1, &bytes(2, b"batch"));
    let two = bytes(1, &number(1, 2));
    let shape = bytes(2, &[batch, two].concat());
    let tensor_type = bytes(1, &[number(1, 1), shape].concat());
    [bytes(1, name.as_bytes()), bytes(2, &tensor_type)].concat()
}

/// `ValueInfoProto`: a sequence of maps, as classifiers of scikit-learn have.
fn sequence_of_maps(name: &str) -> Vec<u8> {
    let float = bytes(1, &number(1, 1));
    let map = bytes(5, &[number(1, 7), bytes(2, &float)].concat());
    let sequence = bytes(4, &bytes(1, &map));
    [bytes(1, name.as_bytes()), bytes(2, &sequence)].concat()
}

fn file(seed: u8, output: &[u8], initializer: Option<&[u8]>) -> Vec<u8> {
    let node = [bytes(1, b"x"), bytes(2, b"y"), bytes(4, b"Identity")].concat();
    let graph = [
        bytes(1, &node),
        bytes(2, format!("graph {seed}").as_bytes()),
        initializer.map(|tensor| bytes(5, tensor)).unwrap_or_default(),
        bytes(11, &tensor("x")),
        bytes(12, output),
    ];
    let opset = [bytes(1, b""), number(2, 21)].concat();
    [number(1, 10), bytes(2, b"hand"), bytes(3, b"1"), bytes(7, &graph.concat()), bytes(8, &opset)]
        .concat()
}

/// A model of one operator, from `x` to `y`.
pub fn model(seed: u8) -> Vec<u8> {
    file(seed, &tensor("y"), None)
}

/// A model whose output has this name.
pub fn with_output(name: &str) -> Vec<u8> {
    file(0, &tensor(name), None)
}

/// A model whose output is no tensor.
pub fn with_sequence_of_maps() -> Vec<u8> {
    file(0, &sequence_of_maps("y"), None)
}

/// A model with weights in the file of that name.
pub fn with_weights_in(location: &str) -> Vec<u8> {
    let entry = [bytes(1, b"location"), bytes(2, location.as_bytes())].concat();
    let initializer =
        [number(1, 2), number(2, 1), bytes(8, b"w"), bytes(13, &entry), number(14, 1)];
    file(0, &tensor("y"), Some(&initializer.concat()))
}
