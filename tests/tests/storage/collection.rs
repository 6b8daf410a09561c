//! What is deleted goes for good in time, with its bytes and nobody else's, on a folder and on S3.

use std::{path::Path, time::Duration};

use bottega_tests::{Options, Server, Weed, bottega, wait_until};
use serde_json::{Value, json};

use crate::push;

/// Pushes files of these contents as versions of a model.
fn versions(server: &Server, name: &str, folder: &Path, contents: &[&str]) {
    for (at, content) in contents.iter().enumerate() {
        let file = folder.join(format!("{name}-{at}.txt"));
        std::fs::write(&file, content).unwrap();
        push(server, name, &file).json();
    }
}

fn collect(server: &Server, options: &[&str]) -> Value {
    let at_once = ["collect", "--older-than", "0s", "--grace", "0s"];
    server.cli(at_once.iter().chain(options)).json()
}

fn deletes_and_collects(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    versions(server, "first", folder.path(), &["one", "shared"]);
    versions(server, "second", folder.path(), &["shared", "two"]);
    server.cli(["models", "delete", "first"]).json();
    let deleted = server.cli(["models", "deleted"]).json();
    assert_eq!(deleted["items"][0]["name"], "first");
    server.cli(["models", "restore", "first"]).json();
    server.cli(["versions", "show", "first/2"]).json();
    server.cli(["versions", "delete", "second/1"]).json();
    let deleted = server.cli(["versions", "deleted", "second"]).json();
    assert_eq!(deleted["items"][0]["version"], 1);
    server.cli(["versions", "restore", "second/1"]).json();

    let gone = server.cli(["models", "delete", "first"]).json();
    assert_eq!(gone, json!({"name": "first", "deleted": true, "dependents": []}));
    let early = server.cli(["collect", "--grace", "0s"]).json();
    assert_eq!(early["purged"]["models"], 0, "its retention time is not over");
    for options in [&["--dry-run"][..], &[]] {
        let done = collect(server, options);
        assert_eq!((&done["purged"]["models"], &done["objects"]), (&json!(1), &json!(1)));
        assert_eq!(done["bytes_freed"], 3, "{done}");
    }
    let to = folder.path().join("there");
    server.cli(["pull", "second/1", "--to", to.to_str().unwrap()]).json();
    assert_eq!(std::fs::read_to_string(to.join("second-0.txt")).unwrap(), "shared");
    server.cli(["models", "restore", "first"]).error(1);

    server.cli(["versions", "delete", "second/1"]).json();
    let said = server
        .cli_command()
        .args(["collect", "--older-than", "0s", "--grace", "0s"])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("1 version purged; 1 object deleted, 6 B freed"), "{said}");
    assert_eq!(collect(server, &[])["bytes_freed"], 0);
    server.cli(["pull", "second/2", "--to", folder.path().join("2").to_str().unwrap()]).json();
}

#[test]
fn a_folder_gives_back_what_nothing_names_any_more() {
    let server = Server::start();
    deletes_and_collects(&server);
    let left = std::fs::read_dir(server.data_dir().join("artifacts/blobs")).unwrap().count();
    assert_eq!(left, 1);
}

#[test]
fn s3_gives_back_what_nothing_names_any_more() {
    let weed = Weed::start();
    let arguments = vec!["--artifacts".to_owned(), weed.location("collection")];
    let environment = weed.environment(&[]);
    deletes_and_collects(&Server::start_with(Options {
        arguments,
        environment,
        ..Options::default()
    }));
}

#[test]
fn a_kill_in_the_middle_of_a_collection_loses_nothing_that_is_named() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    versions(&server, "kept", folder.path(), &["kept", "5"]);
    for round in 0..4_u64 {
        let contents: Vec<_> = (0..8).map(|at| format!("{round}{at}")).collect();
        let contents: Vec<_> = contents.iter().map(String::as_str).chain(["5"]).collect();
        versions(&server, "doomed", folder.path(), &contents);
        server.cli(["models", "delete", "doomed"]).json();
        let mut collecting = server
            .cli_command()
            .args(["collect", "--older-than", "0s", "--grace", "0s"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Each round a little later: before it begins, on the way, after it.
        std::thread::sleep(Duration::from_millis(10 + 15 * round));
        server = server.kill_and_restart();
        collecting.wait().unwrap();
    }
    collect(&server, &[]);
    let blobs = server.data_dir().join("artifacts/blobs");
    let mut left: Vec<_> = std::fs::read_dir(blobs)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["5", "kept"]);
    for number in ["1", "2"] {
        let to = folder.path().join(number);
        server.cli(["pull", &format!("kept/{number}"), "--to", to.to_str().unwrap()]).json();
    }
}

#[test]
fn the_server_purges_by_itself_when_the_retention_time_is_over() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    versions(&server, "gone", folder.path(), &["gone"]);
    server.cli(["models", "delete", "gone"]).json();
    let data_dir = server.data_dir().to_owned();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let arguments = vec!["--retention".to_owned(), "0s".to_owned()];
    let options = Options { arguments, data_dir: Some(data_dir), ..Options::default() };
    let again = Server::start_with(options);
    wait_until("it is purged", Duration::from_secs(20), || {
        let purged = again.cli(["audit", "list", "--actor", "system:collector"]).json();
        purged["items"].as_array().unwrap().iter().any(|event| event["change"] == "model.purged")
    });
    again.cli(["models", "restore", "gone"]).error(1);
}

#[test]
fn the_retention_time_is_a_setting_with_a_unit() {
    let config = |value: &str| {
        std::process::Command::new(bottega())
            .args(["config", "--output", "json", "--retention", value])
            .output()
            .unwrap()
    };
    let shown: Value = serde_json::from_slice(&config("12h").stdout).unwrap();
    let items = shown["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["key"] == "retention").unwrap();
    assert_eq!((&item["value"], &item["from"]), (&json!("12h"), &json!("command line")));
    let refused = config("30");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("retention") && said.contains("30s, 5m, 1h or 30d"), "{said}");
}
