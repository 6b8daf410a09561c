//! Versions that a program of their author's answers for.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bottega_tests::{Answer, Caller, Options, Reply, Server, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with the program, and a file that says how it is started.
fn folder(server: &Server, name: &str, says: &str) -> PathBuf {
    let folder = server.data_dir().with_file_name(name);
    fs::create_dir_all(&folder).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/program.py");
    fs::copy(program, folder.join("program.py")).unwrap();
    fs::write(folder.join("process.yaml"), says).unwrap();
    folder
}

fn signature(server: &Server) -> String {
    let file = server.data_dir().with_file_name("signature.json");
    let tensor = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": ["n", 2]}]);
    fs::write(&file, json!({"inputs": tensor("x"), "outputs": tensor("y")}).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn push(server: &Server, name: &str, says: &str) -> Answer {
    let (folder, signature) = (folder(server, name, says), signature(server));
    server.cli(["push", folder.to_str().unwrap(), "--name", name, "--signature", &signature])
}

fn ask(caller: &Caller, endpoint: &str, values: &[f64]) -> Reply {
    let input =
        json!({"name": "x", "datatype": "FP32", "shape": [values.len() / 2, 2], "data": values});
    caller.json("POST", &format!("/v2/models/{endpoint}/infer"), &json!({"inputs": [input]}))
}

/// The programs themselves, by their command lines.
fn programs() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_ours = |id: &i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("program.py\0again")
    };
    numbers.filter(is_ours).collect()
}

#[test]
fn programs_answer_by_either_contract_once_they_may_be_started() {
    let server = Server::start();
    let caller = Caller::of(&server);
    let secret = server.data_dir().with_file_name("secret");
    fs::write(&secret, "secret").unwrap();
    let says = format!(
        "command: [./program.py, well]\nprotocol: sagemaker\nenvironment: {{SECRET: {secret:?}, NODE: '{}'}}",
        server.pid()
    );
    let pushed = push(&server, "container", &says).json();
    assert_eq!((&pushed["status"], &pushed["servable"]), (&json!("ready"), &json!("no")));
    let why = pushed["reason"].as_str().unwrap();
    assert!(why.contains("starts a program of its author's") && why.contains("safe-only"), "{why}");
    // This one alone, for a reason.
    let trusted = server.cli(["versions", "trust", "container/1", "--reason", "read by us"]).json();
    assert_eq!(trusted["servable"], "yes", "{trusted}");
    let shown = server.cli(["versions", "show", "container/1"]).json();
    assert_eq!(
        (&shown["runtime"], &shown["trust"]["by"]),
        (&json!("process"), &json!("user:admin"))
    );
    let other = push(&server, "other", &says).json();
    assert_eq!(other["servable"], "no", "{other}");
    server.cli(["settings", "set", "pickle", "allow"]).json();
    let show = || server.cli(["versions", "show", "other/1"]).json();
    wait_until("it is tried", PATIENCE, || show()["servable"] == "yes");
    let v2 = "command: [python3, program.py, well]\nprotocol: v2\nmodel: double\nport: 9001\nenvironment: {SAGEMAKER_BIND_TO_PORT: '9001'}";
    assert_eq!(push(&server, "v2", v2).json()["servable"], "yes");
    for name in ["container", "v2"] {
        let version = format!("{name}/1");
        let done = server.cli(["deploy", name, "--model", &version, "--wait"]).json();
        assert_eq!(done["state"], "completed");
        let answer = ask(&caller, name, &[1.5, -2.0, 0.25, 3.0]);
        assert_eq!(
            answer.expect(200)["outputs"][0]["data"],
            json!([3.0, -4.0, 0.5, 6.0]),
            "{name}"
        );
        assert!(ask(&caller, name, &[-4.0, 0.0]).v2_refusal(400).contains("too cold"));
        let html = ask(&caller, name, &[-3.0, 0.0]).v2_refusal(502);
        assert!(html.contains("its program: its answer is none: it is `text/html`"), "{html}");
    }
    let scored = caller.json("POST", "/serve/container/invocations", &json!({"inputs": [[4, 5]]}));
    assert_eq!(scored.expect(200)["predictions"], json!({"y": [[8.0, 10.0]]}));
    // What it may not do, it cannot.
    let escaped = ask(&caller, "container", &[-5.0, 0.0]);
    assert_eq!(escaped.expect(200)["outputs"][0]["data"], json!([0.0, 0.0]), "of {}", server.log());
}

#[test]
fn a_program_that_ends_or_hangs_is_told_and_started_again() {
    let server = Server::start();
    let caller = Caller::of(&server);
    server.cli(["settings", "set", "pickle", "allow"]).json();
    let says = "command: [./program.py, again]\nprotocol: sagemaker";
    assert_eq!(push(&server, "double", says).json()["servable"], "yes");
    let deploy = ["deploy", "double", "--model", "double/1", "--request-timeout", "2s", "--wait"];
    assert_eq!(server.cli(deploy).json()["state"], "completed");
    let answers = || ask(&caller, "double", &[1.0, 2.0]).status == 200;
    assert!(answers());
    let told = ask(&caller, "double", &[-1.0, 0.0]).v2_refusal(502);
    assert!(told.contains("`./program.py` ended (exit status: 7)"), "{told}");
    wait_until("it is there again", PATIENCE, answers);
    let printed = || {
        let answer = server.cli(["logs", "double", "--printed"]);
        let lines = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    wait_until("what it printed is told", PATIENCE, || {
        printed().iter().any(|line| line["line"] == "farewell" && line["model"] == "double")
    });
    assert!(ask(&caller, "double", &[-2.0, 0.0]).v2_refusal(504).contains("in time"));
    wait_until("it is there after that", PATIENCE, answers);
    for program in programs() {
        // One that a test beside this one ended is no matter.
        let _ = kill(Pid::from_raw(program), Signal::SIGKILL);
    }
    wait_until("it is there once more", PATIENCE, answers);
}

#[test]
fn what_does_not_come_up_is_no_version_that_serves() {
    let arguments = ["--trial-timeout", "3s"].map(str::to_owned).into();
    let server = Server::start_with(Options { arguments, ..Options::default() });
    server.cli(["settings", "set", "pickle", "allow"]).json();
    for (manner, told) in [
        ("dead", "`python3` ended (exit status: 1) before it answered 200"),
        ("mute", "nobody answers there"),
        ("busy", "it answers 503 there"),
    ] {
        let says = format!("command: [python3, program.py, {manner}]\nprotocol: sagemaker");
        let refused = push(&server, manner, &says);
        assert_ne!(refused.code, 0, "{manner}");
        let shown = server.cli(["versions", "show", &format!("{manner}/1")]).json();
        let reason = shown["reason"].as_str().unwrap();
        assert_eq!(shown["status"], "rejected");
        assert!(reason.contains(told), "{manner}: {reason}");
    }
    let says = "command: [no-such-program]\nprotocol: sagemaker";
    assert_ne!(push(&server, "none", says).code, 0);
    let reason: Value = server.cli(["versions", "show", "none/1"]).json()["reason"].clone();
    assert!(reason.as_str().unwrap().contains("`no-such-program` cannot be started"), "{reason}");
    let missing = push(&server, "lost", "command: [./other]\nprotocol: sagemaker").error(1);
    assert!(missing["message"].as_str().unwrap().contains("`other`"), "{missing}");
    let odd = push(&server, "odd", "command: [s]\nprotocol: grpc").error(1);
    assert_eq!(odd["field"], "files", "{odd}");
    let plain = folder(&server, "plain", "command: [s]\nprotocol: sagemaker");
    let unsigned = server.cli(["push", plain.to_str().unwrap(), "--name", "plain"]).error(1);
    assert_eq!(unsigned["field"], "signature", "{unsigned}");
}
