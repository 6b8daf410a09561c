//! Requests that do not fit, over each protocol: a refusal of its shape that names the place, with no
//! answer of ours in the five hundreds and no more memory than the body's limit allows.

use actix_web::{http::header, test::TestRequest};
use flate2::{Compression, write::GzEncoder};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    http::{Answer, send, serving},
    seed::{Node, World},
};

const V2: &str = "/v2/models/fraud/infer";
const TENSORFLOW: &str = "/v1/models/fraud:predict";
const MLFLOW: &str = "/serve/fraud/invocations";
const SAGEMAKER: &str = "/endpoints/fraud/invocations";
const CLASSIFY: &str = "/v1/models/fraud:classify";
pub(crate) const ALL: [&str; 4] = [V2, TENSORFLOW, MLFLOW, SAGEMAKER];

/// A V2 request whose one input has this shape and these elements.
fn v2(shape: &str, data: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":{shape},"data":{data}}}]}}"#)
}

fn tensorflow(rows: &str) -> String {
    format!(r#"{{"instances":{rows}}}"#)
}

fn scoring(rows: &str) -> String {
    format!(r#"{{"inputs":{rows}}}"#)
}

/// The same rows, as each protocol has them.
pub(crate) fn rows(path: &str, shape: &str, rows: &str) -> String {
    match path {
        V2 => v2(shape, rows),
        TENSORFLOW => tensorflow(rows),
        _ => scoring(rows),
    }
}

async fn ask(
    world: &World,
    node: &Node,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    let mut request = TestRequest::post().uri(path).set_payload(body.into());
    if headers.iter().all(|(name, _)| *name != "content-type") {
        request = request.insert_header((header::CONTENT_TYPE, "application/json"));
    }
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    send(world, &node.state, request).await
}

/// The refusal's text, which must be in the protocol's shape.
#[track_caller]
pub(crate) fn refused(path: &str, what: &str, answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{path}: {what}: {}", answer.body);
    let (key, more) = match path {
        V2 | TENSORFLOW | CLASSIFY => ("error", None),
        MLFLOW => ("message", Some("error_code")),
        _ => ("message", None),
    };
    let keys: Vec<_> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(keys.contains(&key) && more.is_none_or(|more| keys.contains(&more)), "{keys:?}");
    answer.body[key].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn each_protocol_refuses_what_does_not_fit_and_names_the_place() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let cases: &[(&str, &str, String, &str)] = &[
        (V2, "missing", r#"{"inputs":[]}"#.into(), "input `x` is missing"),
        (TENSORFLOW, "missing", "{}".into(), "one of `instances` (rows) and `inputs`"),
        (TENSORFLOW, "missing", r#"{"inputs":{}}"#.into(), "there is no `x`"),
        (MLFLOW, "missing", "{}".into(), "none of the four forms"),
        (MLFLOW, "missing", r#"{"inputs":{}}"#.into(), "there is no `x`"),
        (SAGEMAKER, "missing", "{}".into(), "none of the four forms"),
        (V2, "a negative size", v2("[-1,2]", "[1,2]"), "`inputs[0].shape` has a size of -1"),
        (V2, "too large a product", v2("[4611686018427387904,8]", "[1,2]"), "is too large"),
        (V2, "a lying size", v2("[1000000000,2]", "[1,2]"), "2 elements"),
        (V2, "twice", r#"{"inputs":[],"inputs":[]}"#.into(), "duplicate field `inputs`"),
        (
            TENSORFLOW,
            "twice",
            r#"{"inputs":{"x":[[1,2]],"x":[[1,2]]}}"#.into(),
            "`x` is there twice",
        ),
        (
            TENSORFLOW,
            "both",
            r#"{"inputs":[[1,2]],"instances":[[1,2]]}"#.into(),
            "one of `instances`",
        ),
        (
            MLFLOW,
            "twice",
            r#"{"dataframe_split":{"columns":["a","a"],"data":[[1,2]]}}"#.into(),
            "the column `a` is there twice",
        ),
        (
            MLFLOW,
            "ragged",
            r#"{"dataframe_split":{"columns":["a","b"],"data":[[1]]}}"#.into(),
            "row",
        ),
        (
            SAGEMAKER,
            "twice",
            r#"{"inputs":{"x":[[1,2]],"x":[[1,2]]}}"#.into(),
            "`x` is there twice",
        ),
    ];
    for (path, what, body, words) in cases {
        let answer = ask(&world, &node, path, &[], body.clone()).await;
        let text = refused(path, what, &answer, 400);
        assert!(text.contains(words), "{path}: {what}: {text}");
        assert!(text.contains("a request that fits"), "{path}: {what}: {text}");
    }
    for path in ALL {
        for (what, shape, data, words) in [
            ("text", "[1,2]", r#"[["a","b"]]"#, "FP32: a number"),
            ("too wide", "[1,3]", "[[1,2,3]]", "has shape [1, 3]"),
            ("ragged", "[2,2]", "[[1,2],[1]]", "differ in length"),
            ("too large a number", "[1,2]", "[[1e39,1]]", "FP32: a number"),
            ("NaN", "[1,2]", "[[NaN,1]]", "JSON has no NaN"),
            ("infinity", "[1,2]", "[[-Infinity,1]]", "JSON has no NaN"),
        ] {
            let answer = ask(&world, &node, path, &[], rows(path, shape, data)).await;
            let text = refused(path, what, &answer, 400);
            assert!(text.contains(words), "{path}: {what}: {text}");
        }
        let extra = if path == V2 {
            v2("[1,2]", "[1,2]")
                .replace("]}]}", r#"]},{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}"#)
        } else {
            r#"{"inputs":{"x":[[1,2]],"y":[[1,2]]}}"#.to_owned()
        };
        let text = refused(path, "extra", &ask(&world, &node, path, &[], extra).await, 400);
        assert!(text.contains("the model has no input `y`"), "{path}: {text}");
    }
}

#[actix_web::test]
async fn each_protocol_refuses_bodies_that_are_no_request() {
    let settings = Settings { body_limit: 1 << 20, ..Settings::default() };
    let (world, node) = serving("identity/fp32.onnx", settings).await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut bomb, &vec![b'['; 4 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    for path in ALL {
        let good = rows(path, "[1,2]", "[[1,2]]");
        let trailing = [good.as_bytes(), b"x"].concat();
        for (what, status, headers, body, words) in [
            ("nothing", 400, &[][..], Vec::new(), "not JSON"),
            ("bytes behind", 400, &[], trailing, "trailing characters"),
            ("no UTF-8", 400, &[], b"{\"inputs\":\"\xff\xfe\"}".to_vec(), "unicode"),
            ("a list", 400, &[], b"[1]".to_vec(), "a list"),
            ("deep", 400, &[], vec![b'['; 100_000], "a list"),
            ("no packing", 400, &[("content-encoding", "br")], good.clone().into(), "`br`"),
            ("not gzip", 400, &[("content-encoding", "gzip")], good.clone().into(), "gzip"),
            ("a bomb", 413, &[("content-encoding", "gzip")], bomb.clone(), "larger than"),
        ] {
            let answer = ask(&world, &node, path, headers, body).await;
            let text = refused(path, what, &answer, status);
            assert!(text.contains(words), "{path}: {what}: {text}");
        }
        assert_eq!(ask(&world, &node, path, &[], good).await.status, 200, "{path}");
    }
    // V2 and TensorFlow Serving take JSON whatever it is called; the others have two kinds.
    let html = [("content-type", "text/html")];
    let answer = ask(&world, &node, MLFLOW, &html, scoring("[[1,2]]")).await;
    assert_eq!(answer.status, 415);
    let answer = ask(&world, &node, SAGEMAKER, &html, scoring("[[1,2]]")).await;
    assert!(refused(SAGEMAKER, "html", &answer, 400).contains("`text/html`"));
    let parquet = [("content-type", "application/vnd.apache.parquet")];
    for path in [MLFLOW, SAGEMAKER] {
        for (body, words) in [
            (&b""[..], "does not begin and end with `PAR1`"),
            (b"PAR1\xff\xff\xff\xffPAR1", "its footer is longer than the file"),
            (b"PAR1\x29\xfc\xff\xff\xff\xff\x07\x07\0\0\0PAR1", "cut off"),
        ] {
            let answer = ask(&world, &node, path, &parquet, body).await;
            let text = refused(path, "parquet", &answer, 400);
            assert!(text.contains(words), "{path}: {text}");
        }
    }
    let csv = [("content-type", "text/csv")];
    for path in [MLFLOW, SAGEMAKER] {
        for (body, words) in [
            ("", "there is no row"),
            ("a,a\n1,2\n", "`a` is there twice"),
            ("a,b\n1\n", "row 1"),
            ("a\n1\n", "has shape [1, 1]"),
        ] {
            let answer = ask(&world, &node, path, &csv, body).await;
            let text = refused(path, body, &answer, 400);
            assert!(text.contains(words), "{path}: {body:?}: {text}");
        }
    }
}

#[actix_web::test]
async fn no_rows_and_a_million_rows_are_answered() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let million = format!("[{}[1,2]]", "[1,2],".repeat(999_999));
    for path in ALL {
        for (shape, data, count) in
            [("[0,2]", "[]", 0), ("[1000000,2]", million.as_str(), 1_000_000)]
        {
            let answer = ask(&world, &node, path, &[], rows(path, shape, data)).await;
            assert_eq!(answer.status, 200, "{path}: {count}");
            let body: &Value = &answer.body;
            if path == V2 {
                assert_eq!(body["outputs"][0]["shape"], json!([count, 2]));
            } else {
                let predictions = &body["predictions"];
                let rows = predictions.as_array().or_else(|| predictions["y"].as_array()).unwrap();
                assert_eq!(rows.len(), count, "{path}");
            }
        }
    }
}

/// TensorFlow Serving's other form, for a model whose output has a score for each class.
#[actix_web::test]
async fn examples_that_do_not_fit_are_refused_with_their_place() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    for (what, body, words) in [
        ("nothing", "", "not JSON"),
        ("missing", "{}", "examples"),
        ("no list", r#"{"examples":{}}"#, "examples"),
        ("no rows", r#"{"examples":[]}"#, "example"),
        ("a missing input", r#"{"examples":[{}]}"#, "`x`"),
        ("an extra input", r#"{"examples":[{"x":[1,2],"y":1}]}"#, "`y`"),
        ("a name twice", r#"{"examples":[{"x":[1,2],"x":[1,2]}]}"#, "twice"),
        ("text", r#"{"examples":[{"x":["a",2]}]}"#, "FP32: a number"),
        ("ragged", r#"{"examples":[{"x":[1,2]},{"x":[1]}]}"#, "differ in length"),
        ("too wide", r#"{"examples":[{"x":[1,2,3]}]}"#, "[1, 3]"),
        ("too large a number", r#"{"examples":[{"x":[1e39,1]}]}"#, "FP32: a number"),
        ("NaN", r#"{"examples":[{"x":[NaN,1]}]}"#, "NaN"),
    ] {
        let answer = ask(&world, &node, CLASSIFY, &[], body).await;
        let text = refused(CLASSIFY, what, &answer, 400);
        assert!(text.contains(words), "{what}: {text}");
    }
}
