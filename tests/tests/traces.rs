//! Traces of predictions, as a collector gets them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use bottega_tests::{Caller, Options, Reply, Server, model, model_json, wait_until};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PATH: &str = "/v2/models/cancer/infer";

/// A collector: what is sent to it.
struct Collector {
    messages: Receiver<(ExportTraceServiceRequest, Option<String>)>,
    url: String,
    key: Option<&'static str>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/otel/", listener.local_addr().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                while let Some(message) = next(&mut stream) {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            }
        });
        Self { messages, url, key: None }
    }

    /// Expects this key with each message.
    fn with_key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The spans of one trace, those of the prediction first.
    fn spans(&self, trace: &str) -> Vec<Span> {
        loop {
            let (message, key) = self.messages.recv_timeout(PATIENCE).expect("no such trace comes");
            assert_eq!(key.as_deref(), self.key);
            let [resource] = &message.resource_spans[..] else { panic!("{message:?}") };
            let about = &resource.resource.as_ref().unwrap().attributes;
            assert_eq!(attribute(about, "service.name"), json!("bottega"));
            let spans = resource.scope_spans.iter().flat_map(|scope| scope.spans.clone());
            let mut spans: Vec<_> = spans.filter(|span| hex(&span.trace_id) == trace).collect();
            if !spans.is_empty() {
                spans.sort_by_key(|span| {
                    (span.kind != SpanKind::Server as i32, span.start_time_unix_nano)
                });
                return spans;
            }
        }
    }
}

/// One request's message, answered with 200, and the key that came with it.
fn next(stream: &mut BufReader<TcpStream>) -> Option<(ExportTraceServiceRequest, Option<String>)> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert_eq!(line.trim(), "POST /otel/v1/traces HTTP/1.1");
    let (mut length, mut key) = (0, None);
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let header = line.trim().to_ascii_lowercase();
        if let Some(given) = header.strip_prefix("x-key:") {
            key = Some(given.trim().to_owned());
        }
        if header.is_empty() {
            break;
        }
        if let Some(given) = header.strip_prefix("content-length:") {
            length = given.trim().parse().unwrap();
        }
        if let Some(given) = header.strip_prefix("content-type:") {
            assert_eq!(given.trim(), "application/x-protobuf");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    Some((ExportTraceServiceRequest::decode(body.as_slice()).unwrap(), key))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(attributes: &[KeyValue], key: &str) -> Value {
    let found = attributes.iter().find(|it| it.key == key).and_then(|it| it.value.as_ref());
    match found.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        other => panic!("{key}: {other:?}"),
    }
}

fn serving(arguments: &[&str]) -> Server {
    let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
    let server = Server::start_with(Options { arguments, ..Options::default() });
    server.serve("cancer", &model("breast_cancer.onnx"));
    server
}

fn infer(caller: &Caller, trace: Option<&str>, body: &Value) -> Reply {
    let trace = trace.map(|trace| ("traceparent", trace));
    let headers: Vec<_> = trace.into_iter().chain([("content-type", "application/json")]).collect();
    caller.send("POST", PATH, &headers, body.to_string())
}

/// The trace that an answer names, and the span.
fn named(reply: &Reply) -> (String, String) {
    let header = reply.headers["traceresponse"].to_str().unwrap();
    let parts: Vec<_> = header.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{header}") };
    assert_eq!((version, flags), ("00", "01"));
    (trace.to_owned(), span.to_owned())
}

#[test]
fn a_callers_trace_goes_on_to_the_collector_with_its_stages() {
    let collector = Collector::start();
    let server = serving(&["--otlp-endpoint", &collector.url, "--otlp-sample", "0"]);
    let caller = Caller::of(&server);
    let example = model_json("breast_cancer.example.json");
    let sampled = format!("00-{TRACE}-00f067aa0ba902b7-01");

    let reply = infer(&caller, Some(&sampled), &example);
    let called = reply.headers["x-bottega-inference-id"].to_str().unwrap().to_owned();
    let (trace, own) = named(&reply);
    assert_eq!(trace, TRACE);
    let spans = collector.spans(TRACE);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["predict cancer", "decode", "queue", "compute", "encode"]);
    let (whole, stages) = spans.split_first().unwrap();
    assert_eq!(hex(&whole.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(hex(&whole.span_id), own);
    let mut at = whole.start_time_unix_nano;
    for stage in stages {
        assert_eq!(hex(&stage.parent_span_id), own);
        assert!(stage.start_time_unix_nano >= at, "{spans:#?}");
        assert!(stage.end_time_unix_nano >= stage.start_time_unix_nano, "{spans:#?}");
        at = stage.end_time_unix_nano;
    }
    assert!(at <= whole.end_time_unix_nano, "{spans:#?}");
    for (key, value) in [
        ("bottega.endpoint", json!("cancer")),
        ("bottega.model", json!("cancer")),
        ("bottega.version", json!("1")),
        ("bottega.protocol", json!("v2")),
        ("bottega.code", json!("ok")),
        ("bottega.inference_id", json!(called)),
        ("bottega.rows", json!(16)),
    ] {
        assert_eq!(attribute(&whole.attributes, key), value, "{key}");
    }

    // A refusal is a span, and names the trace too; never what was sent.
    let other = TRACE.replace("4bf9", "5bf9");
    let wrong = json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": ["secret"]}]});
    let reply = infer(&caller, Some(&sampled.replace(TRACE, &other)), &wrong);
    reply.expect(400);
    assert_eq!(named(&reply).0, other);
    let spans = collector.spans(&other);
    assert_eq!(spans.len(), 1);
    assert_eq!(attribute(&spans[0].attributes, "bottega.code"), json!("invalid"));
    assert!(!format!("{spans:?}").contains("secret"));

    // Whoever does not record their trace is not recorded, but the log names it; nor is who has none, here.
    let third = TRACE.replace("4bf9", "6bf9");
    let unsampled = format!("00-{third}-00f067aa0ba902b7-00");
    for trace in [Some(unsampled.as_str()), None, Some("nonsense")] {
        assert!(!infer(&caller, trace, &example).headers.contains_key("traceresponse"));
    }
    let traces = || -> Vec<Value> {
        let told = caller.ask("GET", "/api/v1/endpoints/cancer/logs");
        told.expect(200)["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["trace_id"].clone())
            .collect()
    };
    let expected = [json!(TRACE), json!(other), json!(third), Value::Null, Value::Null];
    wait_until("the log names the traces", PATIENCE, || traces() == expected);

    // By gRPC the same.
    let script = "
import sys
import numpy, tritonclient.grpc as grpc
client = grpc.InferenceServerClient(sys.argv[1])
features = grpc.InferInput('features', [1, 30], 'FP32')
features.set_data_from_numpy(numpy.zeros((1, 30), numpy.float32))
headers = {'authorization': 'Bearer ' + sys.argv[2], 'traceparent': sys.argv[3]}
client.infer('cancer', [features], headers=headers)
";
    let fourth = TRACE.replace("4bf9", "7bf9");
    let python = std::process::Command::new(bottega_tests::tool("BOTTEGA_PYTHON"))
        .args(["-c", script, server.grpc.trim_start_matches("http://"), server.token])
        .arg(sampled.replace(TRACE, &fourth))
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let spans = collector.spans(&fourth);
    assert_eq!((spans.len(), hex(&spans[0].parent_span_id).as_str()), (5, "00f067aa0ba902b7"));
    assert_eq!(attribute(&spans[0].attributes, "bottega.protocol"), json!("grpc"));
}

#[test]
fn a_trace_begins_here_where_the_caller_has_none_and_outlives_a_stop() {
    let collector = Collector::start();
    let mut server = serving(&["--otlp-endpoint", &collector.url, "--otlp-sample", "1"]);
    let caller = Caller::of(&server);
    let reply = infer(&caller, None, &model_json("breast_cancer.example.json"));
    let (trace, _) = named(&reply);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let spans = collector.spans(&trace);
    assert_eq!((spans.len(), spans[0].parent_span_id.as_slice()), (5, [].as_slice()));
}

#[test]
fn a_collector_is_told_the_headers_that_it_wants() {
    let collector = Collector::start().with_key("open, sesame");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "x-key=open%2C%20sesame\n").unwrap();
    let path = file.path().to_str().unwrap();
    let server = serving(&[
        "--otlp-endpoint",
        &collector.url,
        "--otlp-sample",
        "1",
        "--otlp-headers-file",
        path,
    ]);
    let caller = Caller::of(&server);
    let reply = infer(&caller, None, &model_json("breast_cancer.example.json"));
    let (trace, _) = named(&reply);
    assert_eq!(collector.spans(&trace).len(), 5);
}

#[test]
fn a_collector_that_is_away_harms_nobody_and_is_counted() {
    // Nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = serving(&["--otlp-endpoint", &format!("http://{address}"), "--otlp-sample", "1"]);
    let caller = Caller::of(&server);
    for _ in 0..3 {
        infer(&caller, None, &model_json("breast_cancer.example.json")).expect(200);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let metrics = || {
        let asked = server.plain().get(format!("{}/metrics", server.url)).bearer_auth(server.token);
        runtime.block_on(async { asked.send().await.unwrap().text().await.unwrap() })
    };
    wait_until("they are counted", PATIENCE, || {
        metrics().lines().any(|line| line == r#"bottega_traces_total{outcome="refused"} 3"#)
    });
    assert!(metrics().contains(r#"bottega_traces_total{outcome="sent"} 0"#));
}

#[test]
fn a_collectors_address_is_checked_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "x-key=hush\u{7}").unwrap();
    let path = file.path().to_str().unwrap();
    let headers = format!("--otlp-headers-file={path}");
    let endpoint = "--otlp-endpoint=http://127.0.0.1:9";
    for (arguments, field) in [
        (["--otlp-endpoint", "localhost:4318"], "otlp_endpoint"),
        (["--otlp-headers-file", path], "otlp_endpoint"),
        (["--otlp-headers-file=/nowhere", endpoint], "otlp_headers_file"),
        ([&headers, endpoint], "the value of `x-key`"),
        (["--otlp-endpoint", "http://user:secret@localhost:4318"], "otlp_endpoint"),
        (["--otlp-sample", "1.5"], "otlp_sample"),
    ] {
        let arguments = arguments.map(str::to_owned).into();
        let Err(refused) = Server::try_start(Options { arguments, ..Options::default() }) else {
            panic!("{field} is taken");
        };
        assert!(refused.stderr.contains(field), "{}", refused.stderr);
        assert!(!refused.stderr.contains("hush"), "{}", refused.stderr);
    }
}
