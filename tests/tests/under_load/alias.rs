//! An alias moves, and endpoints follow it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bottega_tests::{Caller, Server, model, wait_until};
use serde_json::json;

use crate::load::{Answer, Load, request, slowest};

const MOVES: usize = 100;
const VERSIONS: i64 = 5;

/// A version, and the time in which it may answer: from the moment at which the alias was told to move
/// to it until the next one was seen to answer.
struct Held {
    version: i64,
    from: Instant,
    until: Option<Instant>,
}

impl Held {
    fn may_have_given(&self, answer: &Answer) -> bool {
        self.version == answer.version
            && self.from <= answer.ended
            && self.until.is_none_or(|until| until >= answer.begun)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_moves_a_hundred_times_and_no_request_fails() {
    let server = Arc::new(Server::start());
    server.serve("cancer", &model("breast_cancer.onnx"));
    for number in 2..=VERSIONS {
        // Other bytes, same answers: the same file beside one more.
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(model("breast_cancer.onnx"), folder.path().join("model.onnx")).unwrap();
        std::fs::write(folder.path().join("note"), number.to_string()).unwrap();
        let pushed = server.cli(["push", folder.path().to_str().unwrap(), "--name", "cancer"]);
        assert_eq!(pushed.json()["version"], number);
    }
    let began = Instant::now();
    let load = Load::on(&server, 4, Duration::ZERO);
    let mover = Arc::clone(&server);
    let held = tokio::task::spawn_blocking(move || move_about(&mover, began)).await.unwrap();
    let answers = load.stop().await;
    let count: usize = answers.iter().map(Vec::len).sum();
    eprintln!("{MOVES} moves, {count} answers, slowest {:?}", slowest(&answers));
    for answer in answers.iter().flatten() {
        let (version, took) = (answer.version, answer.ended - answer.begun);
        assert!(
            held.iter().any(|held| held.may_have_given(answer)),
            "version {version} answered after {took:?}, when the alias was elsewhere"
        );
    }
    for answers in &answers {
        let changes = answers.windows(2).filter(|two| two[0].version != two[1].version).count();
        assert!(changes >= MOVES / 2, "a caller saw only {changes} moves");
    }
}

fn move_about(server: &Server, began: Instant) -> Vec<Held> {
    let api = Caller::of(server);
    let mut held = vec![Held { version: 1, from: began, until: None }];
    for turn in 1..=MOVES as i64 {
        let version = turn % VERSIONS + 1;
        let from = Instant::now();
        let path = "/api/v1/models/cancer/aliases/champion";
        let moved = api.json("PUT", path, &json!({"version": version}));
        assert_eq!(moved.expect(200)["version"], version);
        let number = version.to_string();
        wait_until("it answers", Duration::from_secs(20), || {
            api.json("POST", "/v2/models/cancer/infer", &request()).expect(200)["model_version"]
                == *number
        });
        held.last_mut().unwrap().until = Some(Instant::now());
        held.push(Held { version, from, until: None });
    }
    held
}
