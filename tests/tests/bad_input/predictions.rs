//! Requests for predictions that do not fit.

use bottega_tests::{Reply, model};
use serde_json::{Value, json};

use crate::{Subject, row};

impl Subject {
    fn infer(&self, endpoint: &str, body: &Value) -> Reply {
        self.api.json("POST", &format!("/v2/models/{endpoint}/infer"), body)
    }

    fn infer_raw(
        &self,
        endpoint: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        self.api.send("POST", &format!("/v2/models/{endpoint}/infer"), headers, body)
    }
}

#[track_caller]
fn says(reply: &Reply, status: u16, words: &[&str]) {
    let text = reply.v2_refusal(status);
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

fn with(changes: &Value) -> Value {
    let mut input = row();
    for (key, value) in changes.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

#[test]
fn tensors_and_numbers_that_do_not_fit_are_refused_with_their_place() {
    let subject = Subject::start(&[]);
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    tensors_that_do_not_fit(&subject);
    json_ten_thousand_levels_deep(&subject);
    numbers_that_do_not_fit_their_type(&subject);
}

fn tensors_that_do_not_fit(subject: &Subject) {
    let data = |count: usize| json!(vec![1.0; count]);
    let without_data = {
        let mut input = row();
        input.as_object_mut().unwrap().remove("data");
        input
    };
    let one = |changes: Value| json!({"inputs": [with(&changes)]});
    let cases: &[(Value, &[&str])] = &[
        (one(json!({"name": "x"})), &["`features`", "FP32 [?, 30]"]),
        (one(json!({"datatype": "FP64"})), &["inputs[0]", "FP64", "expects FP32"]),
        (one(json!({"datatype": "FLOAT"})), &["inputs[0].datatype", "`FLOAT`", "`FP32`"]),
        (one(json!({"shape": [30]})), &["inputs[0]", "[30]", "[?, 30]"]),
        (one(json!({"shape": [1, 29]})), &["inputs[0].data", "30 elements", "asks for 29"]),
        (one(json!({"shape": [1, 29], "data": data(29)})), &["[1, 29]", "[?, 30]"]),
        (one(json!({"shape": [-1, 30]})), &["inputs[0].shape", "-1", "own sizes"]),
        (one(json!({"shape": [1_u64 << 40, 1_u64 << 40]})), &["too large"]),
        (one(json!({"shape": [1.5, 30]})), &["inputs[0].shape[0]", "1.5"]),
        (one(json!({"data": data(29)})), &["inputs[0].data", "29 elements", "asks for 30"]),
        (one(json!({"data": [data(29)]})), &["inputs[0].data", "[1, 29]", "[1, 30]", "row-major"]),
        (one(json!({"data": "text"})), &["inputs[0].data", "FP32"]),
        (one(json!({"extra": 1})), &["inputs[0].extra", "unknown field"]),
        (json!({"inputs": [without_data]}), &["`features` has no `data`"]),
        (json!({"inputs": []}), &["`features` is missing", "FP32 [?, 30]"]),
        (json!({"inputs": [row(), row()]}), &["`features` stands twice"]),
        (json!({"inputs": [row(), with(&json!({"name": "more"}))]}), &["no input `more`"]),
        (json!({"inputs": [row()], "outputs": [{"name": "y"}]}), &["no output `y`", "`label`"]),
        (json!({"inputs": [row()], "extra": 1}), &["unknown field `extra`", "`outputs`"]),
        (json!({"inputs": {"features": [1]}}), &["inputs", "expected a sequence"]),
        (json!({}), &["missing field `inputs`"]),
        (json!([null, null, [row()], null]), &["is a list", "object with `inputs`"]),
    ];
    for (body, words) in cases {
        says(&subject.infer("cancer", body), 400, words);
    }
    let path = "/v2/models/cancer/versions/9/infer";
    says(
        &subject.api.json("POST", path, &json!({"inputs": [row()]})),
        404,
        &["version `9`", "version 1"],
    );
    subject.infer("cancer", &json!({"inputs": [row()]})).expect(200);
}

fn numbers_that_do_not_fit_their_type(subject: &Subject) {
    for name in ["uint8", "int64", "fp32", "bytes"] {
        subject.server.serve(name, &model(&format!("identity/{name}.onnx")));
    }
    let send = |name: &str, element: &str| {
        let datatype = name.to_uppercase();
        let body = format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"{datatype}","data":[{element},{element}]}}]}}"#
        );
        subject.infer_raw(name, &[], body)
    };
    for (name, elements, words) in [
        ("fp32", &["NaN", "Infinity", "-Infinity", "\"NaN\"", "null"][..], &["gRPC"][..]),
        ("fp32", &["1e39", "-1e39"], &["FP32: a number from -3.4028235e38 to 3.4028235e38"]),
        ("fp32", &["1e999"], &["number out of range", "FP64"]),
        ("fp32", &["true", "\"1\""], &["FP32: a number"]),
        ("uint8", &["256", "-1", "1.5"], &["UINT8: an integer from 0 to 255"]),
        ("int64", &["9223372036854775808", "-9223372036854775809"], &["INT64: an integer"]),
        ("bytes", &["1"], &["BYTES: a string"]),
    ] {
        for element in elements {
            let reply = send(name, element);
            says(&reply, 400, words);
            says(&reply, 400, &["inputs[0].data[0]"]);
        }
    }
    for (name, element) in [("fp32", "3.4e38"), ("uint8", "255"), ("int64", "-9223372036854775808")]
    {
        send(name, element).expect(200);
    }
}

#[test]
fn tensors_in_binary_that_lie_are_refused_with_their_place() {
    let subject = Subject::start(&[]);
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    subject.server.serve("bytes", &model("identity/bytes.onnx"));
    let send = |endpoint: &str, input: &Value, tail: &[u8]| {
        let json = json!({"inputs": [input]}).to_string();
        let length = json.len().to_string();
        let body = [json.as_bytes(), tail].concat();
        subject.infer_raw(endpoint, &[("inference-header-content-length", length.as_str())], body)
    };
    let features = |shape: Value, size: Value| json!({"name": "features", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}});
    let (whole, place) = ([0; 120], "inputs[0].parameters.binary_data_size");
    for (input, tail, words) in [
        (features(json!([1, 30]), json!(120)), &whole[..119], &[place, "119 bytes are left"][..]),
        (
            features(json!([1, 30]), json!(119)),
            &whole[..119],
            &[place, "119 bytes", "4 bytes each"],
        ),
        (features(json!([1, 29]), json!(116)), &whole[..116], &["[1, 29]", "[?, 30]"]),
        (features(json!([1, 28]), json!(112)), &whole, &["8 bytes at the end", "no input"]),
        (features(json!([1_u64 << 40, 1 << 30]), json!(120)), &whole, &[place, "120 bytes"]),
        (features(json!([1, 30]), json!(u64::MAX)), &whole, &[place, "120 bytes are left"]),
        (features(json!([1, 30]), json!(-120)), &whole, &[place, "whole number"]),
        (features(json!([-1, 30]), json!(120)), &whole, &["inputs[0].shape", "-1"]),
    ] {
        says(&send("cancer", &input, tail), 400, words);
    }
    send("cancer", &features(json!([1, 30]), json!(120)), &whole).expect(200);
    let rows = json!({"name": "x", "datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": 10}});
    for (tail, words) in [
        (b"\x01\0\0\0\xff\x01\0\0\0a", &["not UTF-8"][..]),
        (b"\xff\xff\xff\xffabcdef", &["0 whole elements", "10 bytes more"]),
        (b"\x06\0\0\0abcdef", &["1 whole elements", "0 bytes more"]),
    ] {
        says(&send("bytes", &rows, tail), 400, words);
    }
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    let subject = Subject::start(&["--max-body-bytes", "1024"]);
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    let good = json!({"inputs": [row()]}).to_string();
    assert!(good.len() < 1024);
    for (body, words) in [
        (&b""[..], &["the body is not JSON"][..]),
        (b"no json", &["the body is not JSON"]),
        (b"\xff\xfe", &["the body is not JSON"]),
        (b"{\"id\":\"\xff\"}", &["`id` is not JSON", "unicode"]),
        (&good.as_bytes()[..100], &["not JSON", "EOF"]),
    ] {
        says(&subject.infer_raw("cancer", &[], body.to_vec()), 400, words);
    }
    let cut = format!(r#"{{"parameters":{{"a":{}"#, "[".repeat(900));
    says(&subject.infer_raw("cancer", &[], cut), 400, &["nested more than 127 levels deep"]);

    let large = format!("{good}{}", " ".repeat(1024));
    says(&subject.infer_raw("cancer", &[], large.clone()), 413, &["1024 bytes", "fewer rows"]);
    // Without a length that would tell it in advance.
    let pieces: Vec<_> =
        large.as_bytes().chunks(100).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    says(&subject.infer_raw("cancer", &[], body), 413, &["1024 bytes"]);

    let binary = [("inference-header-content-length", "10")];
    says(&subject.infer_raw("cancer", &binary, good.clone()), 400, &["not JSON"]);
    let gzip = [("content-encoding", "gzip")];
    says(&subject.infer_raw("cancer", &gzip, good.clone()), 400, &["gzip", "cannot be read"]);
    let brotli = [("content-encoding", "br")];
    says(&subject.infer_raw("cancer", &brotli, good.clone()), 400, &["`br`", "zstd"]);
    for (parameters, words) in [
        (json!({"sequence_id": 1}), &["sequence_id", "not supported"][..]),
        (json!({"mine": 1}), &["parameters.mine", "`timeout`", "a request that fits"]),
        (json!({"timeout": "soon"}), &["parameters.timeout", "whole number"]),
        (json!({"binary_data_output": 1}), &["binary_data_output", "true or false"]),
    ] {
        let body = json!({"inputs": [row()], "parameters": parameters});
        says(&subject.infer("cancer", &body), 400, words);
    }
    // curl's own content type: what is JSON is taken whatever it is called.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    subject.infer_raw("cancer", &form, good).expect(200);
}

fn json_ten_thousand_levels_deep(subject: &Subject) {
    let (lists, objects) = ("[".repeat(10_000), r#"{"a":"#.repeat(10_000));
    let closed = "]".repeat(10_000);
    let input = r#""name":"features","shape":[1,30],"datatype":"FP32""#;
    for (body, words) in [
        (lists.clone(), "is a list"),
        (objects.clone(), "unknown field `a`"),
        (format!(r#"{{"inputs":{lists}"#), "expected an object"),
        (format!(r#"{{"inputs":[{{{input},"data":{lists}"#), "levels deep"),
        (format!(r#"{{"inputs":[{{"data":{lists}{closed},{input}}}]}}"#), "levels deep"),
        (format!(r#"{{"parameters":{{"a":{objects}"#), "levels deep"),
    ] {
        says(&subject.infer_raw("cancer", &[], body), 400, &[words]);
    }
    subject.infer("cancer", &json!({"inputs": [row()]})).expect(200);
}
