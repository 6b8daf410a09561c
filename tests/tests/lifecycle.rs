//! Starting, stopping, dying and coming back.

use std::time::Duration;

use bottega_tests::{Options, Server, model, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn both_signals_stop_everything_within_five_seconds() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = Server::start();
        server.serve("cancer", &model("breast_cancer.onnx"));
        assert!(server.processes().iter().any(|line| line.contains("postgres")));
        let (code, took) = server.signal(signal);
        assert_eq!(code, Some(0), "{signal}: {}", server.log());
        assert!(took < Duration::from_secs(5), "{signal} took {took:?}");
        assert_eq!(server.processes(), Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn after_a_kill_postgres_is_gone_and_the_same_endpoint_answers_again() {
    let mut server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let example = model("breast_cancer.example.json");
    let ask = |server: &Server| {
        server.cli(["predict", "cancer", "--file", example.to_str().unwrap()]).json()
    };
    let before = ask(&server);
    server.signal(Signal::SIGKILL);
    wait_until("no process is left", Duration::from_secs(5), || server.processes().is_empty());
    let again = server.restart();
    assert_eq!(ask(&again), before);
}

#[test]
fn a_second_one_on_the_same_data_is_refused_at_once() {
    let server = Server::start();
    let data_dir = Some(server.data_dir().to_owned());
    let refused = Server::try_start(Options { data_dir, ..Options::default() }).err().unwrap();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("another Bottega"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&server.pid().to_string()), "{}", refused.stderr);
    assert_eq!(server.cli(["whoami"]).json()["actor"], "user:admin");
}

#[test]
fn a_port_in_use_says_so_and_starts_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (option, other) in [("--listen", "--grpc-listen"), ("--grpc-listen", "--listen")] {
        let arguments = vec![format!("{option}={address}"), format!("{other}=127.0.0.1:0")];
        let refused = start_with_ports(arguments);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
        assert!(refused.stderr.contains(option.trim_start_matches("--")), "{}", refused.stderr);
    }
}

/// The harness chooses ports itself: here the command is given as it is.
fn start_with_ports(arguments: Vec<String>) -> bottega_tests::Answer {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(bottega_tests::bottega())
        .arg("up")
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(!folder.path().join("data").exists(), "something was started");
    bottega_tests::Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let data_dir = Some(file.join("data"));
    let refused = Server::try_start(Options { data_dir, ..Options::default() }).err().unwrap();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(file.to_str().unwrap()), "{}", refused.stderr);
}

#[test]
fn a_wrong_database_url_is_refused_without_its_password() {
    for url in [
        "postgres://someone:hush-hush@127.0.0.1:1/none",
        "mysql://someone:hush-hush@127.0.0.1:1/none",
    ] {
        let output = std::process::Command::new(bottega_tests::bottega())
            .args(["doctor", "--database-url", url])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("database"), "{said}");
        assert!(!said.contains("hush-hush"), "{said}");
    }
}

#[test]
fn the_log_and_the_database_hold_no_token() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    assert!(!server.log().contains(server.token), "{}", server.log());
    let events = server.cli(["audit", "list"]).json();
    assert!(!events.to_string().contains(server.token));
}

#[test]
fn a_made_token_is_kept_in_a_file_and_not_shown_without_a_terminal() {
    let environment = vec![("BOTTEGA_ADMIN_TOKEN".to_owned(), String::new())];
    let server = Server::start_with(Options { environment, ..Options::default() });
    let file = server.data_dir().join("admin.token");
    let token = std::fs::read_to_string(&file).unwrap();
    assert!(token.starts_with("bt_"));
    wait_until("the banner names the file", Duration::from_secs(5), || {
        server.log().contains(file.to_str().unwrap())
    });
    assert!(!server.log().contains(token.trim()));
    let me = server
        .cli_command()
        .env("BOTTEGA_TOKEN", token.trim())
        .args(["whoami", "--output", "json"])
        .output()
        .unwrap();
    assert!(me.status.success());
}

#[test]
fn probes_answer_without_a_token_and_tell_what_was_checked() {
    let server = Server::start();
    let (status, body) = server.get("/health/ready");
    assert_eq!(status, 200);
    let names: Vec<_> =
        body["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, [json!("database"), json!("artifacts"), json!("gateway")]);
    assert_eq!(server.get("/health/live").0, 200);
    assert_eq!(server.get("/metrics").0, 401);
}
