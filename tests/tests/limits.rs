//! What clients may take of a server: connections that say nothing or read nothing, bodies that
//! trickle, HTTP/2 without TLS, and a stop while requests are on their way.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::mpsc,
    time::Duration,
};

use bottega_tests::{Caller, Options, Server, model, wait_until};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the other side closes.
fn rest(mut stream: TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it stays open: {error}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn impatient() -> Server {
    let arguments = ["--client-timeout", "1s"].map(str::to_owned).into();
    Server::start_with(Options { arguments, ..Options::default() })
}

#[test]
fn clients_that_say_nothing_or_say_it_too_slowly_are_cut() {
    let server = impatient();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let mut headers = connect(&server.url);
    headers.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut body = connect(&server.url);
    let head = format!(
        "POST /v2/models/cancer/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
        server.token
    );
    body.write_all(head.as_bytes()).unwrap();
    let mut control = connect(&server.url);
    let head = head.replace("/v2/models/cancer/infer", "/api/v1/models");
    let head = head.replace("content-length", "content-type: application/json\r\ncontent-length");
    control.write_all(head.as_bytes()).unwrap();
    let silent = connect(&server.grpc);
    let mut halting = connect(&server.grpc);
    halting.write_all(b"PRI * HT").unwrap();
    assert!(rest(headers).starts_with("HTTP/1.1 408"));
    for stream in [body, control] {
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("broke off"), "{answer}");
    }
    // The server greets them, and hears nothing, or no more.
    for stream in [silent, halting] {
        let _greeting = rest(stream);
    }
}

#[test]
fn who_has_something_to_say_finds_a_place_when_others_leave() {
    let arguments = ["--max-connections", "1", "--http-workers", "1"].map(str::to_owned).into();
    let server = Server::start_with(Options { arguments, ..Options::default() });
    let ask = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = connect(&server.url);
    first.write_all(ask).unwrap();
    let mut piece = [0; 4096];
    assert!(first.read(&mut piece).unwrap() > 0);
    // The place is taken as long as the first one stays.
    let mut second = connect(&server.url);
    second.write_all(ask).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(second.read(&mut piece).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(second.read(&mut piece).unwrap() > 0);
}

/// One frame: its kind, its flags and what is in it.
fn frame(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[3], head[4], payload)
}

#[test]
fn http_2_is_spoken_on_the_port_of_http_1() {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    let server = Server::start();
    let mut stream = connect(&server.url);
    let path = b"/health/live";
    // GET, http, and path and authority as they are.
    let mut fields = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    fields.extend_from_slice(path);
    fields.extend_from_slice(b"\x01\x01x");
    let length = u8::try_from(fields.len()).unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
    // The end of the headers and of the stream.
    bytes.extend_from_slice(&[0, 0, length, HEADERS, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&fields);
    stream.write_all(&bytes).unwrap();
    assert_eq!(frame(&mut stream).0, SETTINGS);
    let answer = std::iter::repeat_with(|| frame(&mut stream)).find(|(kind, ..)| *kind == HEADERS);
    let (_, _, fields) = answer.unwrap();
    assert_eq!(fields[0], 0x88, "status 200, as the table of HPACK has it");
    // HTTP/1.1 is spoken there as before, and stays open.
    let mut stream = connect(&server.url);
    for _ in 0..2 {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(String::from_utf8_lossy(&piece[..read]).starts_with("HTTP/1.1 200"));
    }
}

fn iterations(count: i64, micros: u64) -> Value {
    let input = json!({"name": "iterations", "shape": [1], "datatype": "INT64", "data": [count]});
    json!({"inputs": [input], "parameters": {"timeout": micros}})
}

/// Serves a model that is known to be slow, by its example, and so never runs on a thread of HTTP.
fn serve_slow(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let example = folder.path().join("example.json");
    let mut body = iterations(300_000, 0);
    body.as_object_mut().unwrap().remove("parameters");
    std::fs::write(&example, body.to_string()).unwrap();
    let (file, example) = (model("slow.onnx"), example.to_str().unwrap().to_owned());
    let file = file.to_str().unwrap();
    let pushed = ["push", file, "--name", "slow", "--alias", "champion"];
    let pushed = server.cli(pushed.into_iter().chain(["--input-example", &example])).json();
    assert_eq!(pushed["status"], "ready");
    let deployed = server.cli(["deploy", "slow", "--model", "slow@champion", "--wait"]).json();
    assert_eq!(deployed["state"], "completed");
}

#[test]
fn a_stop_answers_all_who_are_on_their_way() {
    let mut server = Server::start();
    serve_slow(&server);
    let idle = connect(&server.url);
    let (sender, answers) = mpsc::channel();
    let before = server.log().len();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let (caller, sender) = (Caller::of(&server), sender.clone());
            scope.spawn(move || {
                // It would run for ever, and ends by its own deadline.
                let body = iterations(i64::MAX, 3_000_000);
                sender.send(caller.json("POST", "/v2/models/slow/infer", &body)).unwrap();
            });
        }
        drop(sender);
        let url = server.url.clone();
        // On two cores two of them run.
        wait_until("they are on their way", PATIENCE, || waiting(&server) > 0);
        kill(server.pid(), Signal::SIGTERM).unwrap();
        wait_until("nobody new is let in", PATIENCE, || {
            TcpStream::connect(url.trim_start_matches("http://")).is_err()
        });
        let replies: Vec<_> = answers.iter().collect();
        assert_eq!(replies.len(), 6);
        for reply in replies {
            assert!([504, 503].contains(&reply.status), "{reply:?}");
        }
    });
    drop(idle);
    let (code, _) = server.signal(Signal::SIGCONT);
    assert_eq!(code, Some(0), "{}", &server.log()[before..]);
    assert!(!server.log()[before..].contains("cut off"), "{}", server.log());
}

/// How many predictions wait for their turn.
fn waiting(server: &Server) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let request = server.plain().get(format!("{}/metrics", server.url));
        request.bearer_auth(server.token).send().await.unwrap().text().await.unwrap()
    });
    let depth = text.lines().find(|line| line.starts_with("bottega_inference_queue_depth{"));
    depth.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap()
}
