//! A server of others, which answers hooks as a test wants it to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// `x` has two values for each `user`: the user's number, and a half more.
    Well,
    /// The same, after that time.
    Late(Duration),
    /// This status, type and body.
    With(u16, &'static str, String),
    /// A redirect to there.
    To(String),
    /// It takes the request and hangs up.
    Gone,
}

/// One that listens until the process ends.
pub(crate) struct Server {
    pub(crate) url: String,
    manner: Arc<Mutex<Manner>>,
    connections: Arc<AtomicUsize>,
    asked: Arc<Asked>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            url,
            manner: Arc::new(Mutex::new(Manner::Well)),
            connections: Arc::default(),
            asked: Arc::default(),
        };
        let (manner, connections) = (Arc::clone(&server.manner), Arc::clone(&server.connections));
        let asked = Arc::clone(&server.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Relaxed);
                let (manner, asked) = (Arc::clone(&manner), Arc::clone(&asked));
                std::thread::spawn(move || serve(&stream.unwrap(), &manner, &asked));
            }
        });
        server
    }

    pub(crate) fn answers(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// The headers and bodies of what it was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<(Vec<String>, Value)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

type Asked = Mutex<Vec<(Vec<String>, Value)>>;

fn serve(stream: &TcpStream, manner: &Mutex<Manner>, asked: &Asked) {
    let mut reader = BufReader::new(stream);
    while let Some((headers, body)) = request(&mut reader) {
        let manner = manner.lock().unwrap().clone();
        let (status, kind, answer, location) = match manner {
            Manner::Well => (200, "application/json", features(&body), None),
            Manner::Late(by) => {
                std::thread::sleep(by);
                (200, "application/json", features(&body), None)
            }
            Manner::With(status, kind, body) => (status, kind, body, None),
            Manner::To(url) => (302, "text/plain", String::new(), Some(url)),
            Manner::Gone => return,
        };
        asked.lock().unwrap().push((headers, body));
        let location = location.map_or_else(String::new, |url| format!("location: {url}\r\n"));
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{location}\r\n"
        );
        // Who has no more time hangs up.
        if (&mut &*stream).write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<(Vec<String>, Value)> {
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        headers.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, serde_json::from_slice(&body).unwrap_or_default()))
}

/// An answer of V2, whose server knows more than it is asked.
fn features(request: &Value) -> String {
    let users: Vec<f64> = request["inputs"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|input| input["name"] == "user")
        .and_then(|input| input["data"].as_array())
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .collect();
    let values: Vec<f64> = users.iter().flat_map(|user| [*user, user + 0.5]).collect();
    let rows = users.len();
    json!({"model_name": "features", "outputs": [
        {"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": values},
        {"name": "more", "datatype": "INT64", "shape": [1], "data": [1]},
    ]})
    .to_string()
}
