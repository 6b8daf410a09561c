//! The command line, as scripts and people use it.

use bottega_tests::{Server, bottega, model};
use serde_json::json;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(bottega())
        .args(arguments)
        .env_remove("BOTTEGA_URL")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_names_every_command_and_usage_errors_exit_with_2() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in
        ["up", "push", "pull", "promote", "deploy", "predict", "rollback", "doctor", "completions"]
    {
        assert!(help.contains(command), "{command} is not in the help");
    }
    assert_eq!(run(&["pusch"]).0, 2);
    assert_eq!(run(&["push", "x"]).0, 2);
    assert_eq!(run(&["deploy", "x", "--model", "m/1", "--steps", "5,100"]).0, 2);
    assert_eq!(run(&["predict", "x"]).0, 2);
}

#[test]
fn completions_and_man_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(script.contains("bottega") && script.contains("promote"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", "--to", folder.path().to_str().unwrap()]).0, 0);
    let page = std::fs::read_to_string(folder.path().join("bottega-push.1")).unwrap();
    assert!(page.contains("input\\-example"), "{page}");
}

#[test]
fn config_tells_each_values_origin_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bottega.toml");
    std::fs::write(&file, "log = \"debug\"\n").unwrap();
    let output = std::process::Command::new(bottega())
        .args(["config", "--output", "json", "--listen", "127.0.0.1:9", "--config"])
        .arg(&file)
        .env("BOTTEGA_DATABASE_URL", "postgres://u:hush@h/d")
        .output()
        .unwrap();
    let items: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let find = |key: &str| {
        items["items"].as_array().unwrap().iter().find(|item| item["key"] == key).unwrap().clone()
    };
    assert_eq!(
        (find("listen")["value"].clone(), find("listen")["from"].clone()),
        (json!("127.0.0.1:9"), json!("command line"))
    );
    assert!(find("log")["from"].as_str().unwrap().contains("bottega.toml"));
    assert_eq!(find("database_url")["from"], "environment");
    assert!(!items.to_string().contains("hush"));
    std::fs::write(&file, "lisen = \"x\"\n").unwrap();
    let (code, _, stderr) = run(&["config", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains("lisen"), "{stderr}");
}

#[test]
fn login_remembers_and_whoami_tells() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = std::process::Command::new(bottega());
        command
            .env("XDG_CONFIG_HOME", home.path())
            .env_remove("BOTTEGA_TOKEN")
            .env_remove("BOTTEGA_URL");
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    };
    let mut login =
        command().args(["login", "--token-stdin", "--url", &server.url]).spawn().unwrap();
    std::io::Write::write_all(&mut login.stdin.take().unwrap(), server.token.as_bytes()).unwrap();
    let done = login.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let me = command().args(["whoami", "--output", "json"]).output().unwrap();
    let me: serde_json::Value = serde_json::from_slice(&me.stdout).unwrap();
    assert_eq!((&me["actor"], &me["url"]), (&json!("user:admin"), &json!(server.url)));
    let mode = std::fs::metadata(home.path().join("bottega/login.toml")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    let mut wrong =
        command().args(["login", "--token-stdin", "--url", &server.url]).spawn().unwrap();
    std::io::Write::write_all(&mut wrong.stdin.take().unwrap(), b"nonsense").unwrap();
    assert_eq!(wrong.wait_with_output().unwrap().status.code(), Some(1));
}

#[test]
fn nobody_there_says_what_to_do() {
    let output = std::process::Command::new(bottega())
        .args(["models", "list", "--output", "json", "--url", "http://127.0.0.1:1"])
        .env("BOTTEGA_TOKEN", "x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let body: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(body["error"]["code"], "unavailable");
    assert!(body["error"]["hint"].as_str().unwrap().contains("bottega up"));
}

#[test]
fn tables_and_empty_states_read_well() {
    let server = Server::start();
    let text = |arguments: &[&str]| {
        let output = server.cli_command().args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["models", "list"]).contains("bottega push"));
    assert!(text(&["endpoints", "list"]).contains("bottega deploy"));
    server.serve("cancer", &model("breast_cancer.onnx"));
    let models = text(&["models", "list"]);
    assert!(
        models.contains("NAME") && models.contains("cancer") && models.contains("champion=1"),
        "{models}"
    );
    let status = text(&["status"]);
    assert!(status.contains("ready") && status.contains("cancer"), "{status}");
    assert!(text(&["versions", "show", "cancer/1"]).contains("sha256:"));
    assert!(text(&["rollout", "show", "cancer"]).contains("completed"));
}

#[test]
fn a_wait_that_is_too_short_exits_with_5() {
    let server = Server::start();
    // This one never finishes its trial by itself.
    let file = model("endless.onnx");
    let pushed =
        server.cli(["push", file.to_str().unwrap(), "--name", "endless", "--timeout", "1s"]);
    assert_eq!(pushed.error(5)["code"], "timeout");
}

#[test]
fn doctor_finds_this_machine_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(bottega())
        .args(["doctor", "--output", "json", "--listen", "127.0.0.1:1", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], true, "{report}");
    let names: Vec<_> =
        report["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data directory", "ONNX Runtime", "uv", "database", "artifacts", "server"]);
}
