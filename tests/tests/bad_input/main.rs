//! Bad input gets a refusal that names the field, what was expected and what to do, and leaves
//! nothing behind. The server answers others all the while.

mod api;
mod deployments;
mod hostile;
mod models;
mod names;
mod predictions;
mod start;

use bottega_tests::{Caller, Options, Reply, Server};
use serde_json::{Value, json};

/// A server, and what it held before it was sent bad input.
struct Subject {
    server: Server,
    api: Caller,
}

/// All that a refusal may not change.
#[derive(Debug, PartialEq)]
struct Holdings {
    models: Value,
    endpoints: Value,
    events: Value,
}

impl Subject {
    fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let server = Server::start_with(Options { arguments, ..Options::default() });
        let api = Caller::of(&server);
        Self { server, api }
    }

    fn holdings(&self) -> Holdings {
        let list = |path: &str| self.api.ask("GET", path).expect(200).clone();
        Holdings {
            models: list("/api/v1/models?limit=1000"),
            endpoints: list("/api/v1/endpoints?limit=1000"),
            events: list("/api/v1/audit/events?limit=1000"),
        }
    }

    /// Runs the cases, and asserts that nothing came of them and that the server is well.
    fn unchanged_by(&self, cases: impl FnOnce()) {
        let before = self.holdings();
        cases();
        assert_eq!(self.holdings(), before, "something was left behind");
        self.api.ask("GET", "/health/ready").expect(200);
    }
}

/// Asserts that our API refuses with this status and field, and says all of these words.
#[track_caller]
fn refused(reply: &Reply, status: u16, field: &str, words: &[&str]) {
    let (named, text) = reply.refusal(status);
    assert_eq!(named, field, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

/// One row of 30 numbers, as `breast_cancer.onnx` takes it.
fn row() -> Value {
    json!({"name": "features", "shape": [1, 30], "datatype": "FP32", "data": vec![1.0; 30]})
}
