//! Tensors in binary, and packed bodies.

use std::io::{Read as _, Write as _};

use actix_web::{
    http::{StatusCode, header},
    test::TestRequest,
};
use bytes::Bytes;
use flate2::{
    Compression,
    read::{GzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use gateway::Settings;
use ruzstd::{decoding::StreamingDecoder, encoding::CompressionLevel};
use serde_json::{Value, json};

use crate::http::{Answer, infer, send, serving};

const LENGTH: &str = "inference-header-content-length";

/// One FP32 input `x` of two columns behind its JSON.
fn request(values: &[f32], parameters: Value) -> TestRequest {
    let (json, tail) = parts(values, parameters);
    let length = json.len();
    infer([json, tail].concat()).insert_header((LENGTH, length))
}

fn parts(values: &[f32], parameters: Value) -> (Vec<u8>, Vec<u8>) {
    let tail = bytes(values);
    let input = json!({
        "name": "x", "shape": [values.len() / 2, 2], "datatype": "FP32",
        "parameters": {"binary_data_size": tail.len()},
    });
    let json = json!({"id": "7", "inputs": [input], "parameters": parameters});
    (json.to_string().into_bytes(), tail)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The JSON of an answer, and what stands behind it.
fn apart(answer: &Answer) -> (Value, Bytes) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let length = answer.header(LENGTH).parse().unwrap();
    let json = serde_json::from_slice(&answer.bytes[..length]).unwrap();
    (json, answer.bytes.slice(length..))
}

#[actix_web::test]
async fn tensors_go_in_and_come_out_in_binary() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let values = [0.5, f32::NAN, f32::NEG_INFINITY, -0.0];
    let binary = json!({"binary_data_output": true});
    let answer = send(&world, &node.state, request(&values, binary.clone())).await;
    let (json, tail) = apart(&answer);
    assert_eq!(tail, bytes(&values), "every bit comes back");
    assert_eq!(
        json,
        json!({"model_name": "fraud", "model_version": "1", "id": "7", "outputs": [
            {"name": "y", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
        ]})
    );
    assert_eq!(answer.header("x-bottega-inference-id"), "7");

    let answer = send(&world, &node.state, request(&[1.0, 2.0], json!({}))).await;
    assert_eq!(answer.body["outputs"][0]["data"], json!([1.0, 2.0]));
    assert_eq!(answer.header(LENGTH), "");

    let plain = json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
        "outputs": [{"name": "y", "parameters": {"binary_data": true}}]});
    let answer = send(&world, &node.state, infer(plain.to_string())).await;
    assert_eq!(apart(&answer).1, bytes(&[1.0, 2.0]));

    let bare = infer(bytes(&[1.0, 2.0, 3.0, 4.0])).insert_header((LENGTH, 0));
    let (json, tail) = apart(&send(&world, &node.state, bare).await);
    assert_eq!((&json["outputs"][0]["shape"], tail.len()), (&json!([2, 2]), 16));
}

#[actix_web::test]
async fn what_does_not_fit_is_refused_with_a_request_that_does() {
    let settings = Settings { body_limit: 1 << 20, ..Settings::default() };
    let (world, node) = serving("identity/fp32.onnx", settings).await;
    let (json, tail) = parts(&[1.0, 2.0], json!({}));
    let with = |length: &str, body: Vec<u8>| infer(body).insert_header((LENGTH, length));
    let whole = [json.clone(), tail.clone()].concat();
    let length = json.len().to_string();
    for (request, error) in [
        (with(&length, whole[..whole.len() - 1].to_vec()), "only 7 bytes are left"),
        (with(&length, [whole.clone(), vec![0]].concat()), "1 bytes at the end of the body belong"),
        (with("99999999999", whole.clone()), "99999999999 of them are to be JSON"),
        (with("9", whole.clone()), "JSON"),
        (with("nine", whole.clone()), "`nine` is no number of bytes"),
        (with("0", vec![0; 7]), "7 bytes are no whole rows of `x` FP32 [n, 2]"),
        (infer(whole.clone()), "JSON"),
        (infer(json.clone()), "all of the body is JSON"),
    ] {
        let answer = send(&world, &node.state, request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        assert!(answer.error().contains(error), "{error} is not in {}", answer.error());
    }
    let answer = send(&world, &node.state, infer("{\"inputs\":[]}")).await;
    let (_, example) = answer.error().split_once("a request that fits: ").unwrap();
    let answer = send(&world, &node.state, infer(example.to_owned())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

#[actix_web::test]
async fn bodies_may_be_packed_both_ways() {
    let settings = Settings { body_limit: 100_000, ..Settings::default() };
    let (world, node) = serving("identity/fp32.onnx", settings).await;
    let values = vec![1.5; 1000];
    let (json, tail) = parts(&values, json!({"binary_data_output": true}));
    let (length, whole) = (json.len(), [json, tail].concat());
    for encoding in ["gzip", "deflate", "zstd"] {
        let request = infer(pack(encoding, &whole))
            .insert_header((LENGTH, length))
            .insert_header((header::CONTENT_ENCODING, encoding))
            .insert_header((header::ACCEPT_ENCODING, encoding));
        let mut answer = send(&world, &node.state, request).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert!(answer.bytes.len() < 1000, "{} bytes of {encoding}", answer.bytes.len());
        answer.bytes = unpack(encoding, &answer.bytes).into();
        assert_eq!(apart(&answer).1, bytes(&values));

        let bomb = infer(pack(encoding, &vec![b' '; 1 << 20]));
        let bomb = bomb.insert_header((header::CONTENT_ENCODING, encoding));
        let answer = send(&world, &node.state, bomb).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answer.error().contains("100000 bytes"), "{}", answer.error());

        let wrong = infer(whole.clone()).insert_header((header::CONTENT_ENCODING, encoding));
        let answer = send(&world, &node.state, wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.error().contains(encoding), "{}", answer.error());
    }
    let unknown = infer(whole).insert_header((header::CONTENT_ENCODING, "br"));
    let answer = send(&world, &node.state, unknown).await;
    assert!(answer.error().contains("`br`: expected gzip, deflate or zstd"), "{}", answer.error());
    // Nobody who does not ask is answered packed, and nothing short is.
    let answer = send(&world, &node.state, request(&values, json!({}))).await;
    assert_eq!(answer.header("content-encoding"), "");
    let short = request(&[1.0, 2.0], json!({})).insert_header((header::ACCEPT_ENCODING, "gzip"));
    let answer = send(&world, &node.state, short).await;
    assert_eq!(answer.header("content-encoding"), "");
}

fn pack(encoding: &str, plain: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(plain).unwrap();
            packed.finish().unwrap()
        }
        "deflate" => {
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
            packed.write_all(plain).unwrap();
            packed.finish().unwrap()
        }
        _ => ruzstd::encoding::compress_to_vec(plain, CompressionLevel::Fastest),
    }
}

fn unpack(encoding: &str, packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        "gzip" => GzDecoder::new(packed).read_to_end(&mut plain),
        "deflate" => ZlibDecoder::new(packed).read_to_end(&mut plain),
        _ => StreamingDecoder::new(packed).unwrap().read_to_end(&mut plain),
    }
    .unwrap();
    plain
}
