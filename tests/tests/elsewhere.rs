//! What servers of others do for us: models that they run, and lookups of hooks. Asked are a Bottega of its
//! own, and a server of Python's standard library.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use bottega_tests::{Caller, Options, Server, model, tool};
use serde_json::{Value, json};

/// `tests/clients/elsewhere.py`, killed when dropped.
struct Elsewhere {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Elsewhere {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/elsewhere.py");
        let mut child = Command::new(tool("BOTTEGA_PYTHON"))
            .arg("-B")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        Self { child, stdin, stdout, url: url.trim_end().to_owned() }
    }

    fn answers(&mut self, manner: &str) {
        writeln!(self.stdin, "{manner}").unwrap();
        self.stdin.flush().unwrap();
        self.stdout.read_line(&mut String::new()).unwrap();
    }

    fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A platform that may ask servers on this machine.
fn start() -> Server {
    let arguments = ["--remote-allow", "127.0.0.1"].map(str::to_owned).into();
    Server::start_with(Options { arguments, ..Options::default() })
}

fn deploy(server: &Server, name: &str) {
    let version = format!("{name}/1");
    let done = server.cli(["deploy", name, "--model", &version, "--wait"]).json();
    assert_eq!(done["state"], "completed");
}

fn x(values: [f64; 2]) -> Value {
    json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": values}]})
}

#[test]
fn a_model_of_another_bottega_answers_behind_an_endpoint_here() {
    let (inner, outer) = (Server::start(), start());
    inner.serve("cancer", &model("breast_cancer.onnx"));
    let secret = outer.data_dir().with_file_name("secret");
    std::fs::write(&secret, format!("Bearer {}", inner.token)).unwrap();
    let set = outer
        .cli_command()
        .args(["credentials", "set", "inner", "--for", &inner.url, "--output", "json"])
        .stdin(std::fs::File::open(&secret).unwrap())
        .output()
        .unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));

    let push = |url: &str, more: &[&str]| {
        let fixed = [
            "push",
            "--external",
            url,
            "--protocol",
            "v2",
            "--remote-model",
            "cancer",
            "--name",
            "far",
        ];
        outer.cli(fixed.iter().chain(more))
    };
    let refused = push(&inner.url.replace("127.0.0.1", "127.0.0.2"), &[]).error(1);
    assert!(refused["message"].as_str().unwrap().contains("not public"), "{refused}");
    let example = model("breast_cancer.example.json");
    let example = example.to_str().unwrap();
    let pushed =
        push(&inner.url, &["--header", "authorization=inner", "--input-example", example]).json();
    assert_eq!(
        (&pushed["status"], &pushed["servable"]),
        (&json!("ready"), &json!("yes")),
        "{pushed}"
    );
    let shown = outer.cli(["versions", "show", "far/1"]).json();
    assert_eq!(shown["runtime"], "external");
    assert_eq!(shown["signature"]["inputs"][0]["shape"], json!([-1, 30]), "as the server says it");
    deploy(&outer, "far");

    let body: Value = serde_json::from_slice(&std::fs::read(example).unwrap()).unwrap();
    let asked = |server: &Server, endpoint: &str| {
        let path = format!("/v2/models/{endpoint}/infer");
        Caller::of(server).json("POST", &path, &body).expect(200)["outputs"].clone()
    };
    assert_eq!(asked(&outer, "far"), asked(&inner, "cancer"));
    drop(inner);
    let told = Caller::of(&outer).json("POST", "/v2/models/far/infer", &body).v2_refusal(502);
    assert!(told.contains("its server `127.0.0.1`: it cannot be reached"), "{told}");
}

#[test]
fn servers_of_every_protocol_answer_and_fail_in_words() {
    let (server, mut elsewhere) = (start(), Elsewhere::start());
    let signature = server.data_dir().with_file_name("signature.json");
    let tensor = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": ["n", 2]}]);
    let text = json!({"inputs": tensor("x"), "outputs": tensor("y")}).to_string();
    std::fs::write(&signature, text).unwrap();
    let signature = signature.to_str().unwrap();
    let url = elsewhere.url.clone();
    let push = |name: &str, more: &[&str]| {
        server.cli(
            ["push", "--external", &url, "--name", name, "--protocol", name].iter().chain(more),
        )
    };
    let unknown = push("mlflow", &[]).error(1);
    assert_eq!(unknown["field"], "signature", "{unknown}");
    push("tensorflow", &["--remote-model", "double", "--remote-timeout", "1s"]).json();
    push("mlflow", &["--signature", signature, "--remote-timeout", "1s"]).json();
    push("sagemaker", &["--signature", signature, "--remote-timeout", "1s"]).json();
    let caller = Caller::of(&server);
    let names = ["tensorflow", "mlflow", "sagemaker"];
    let ask =
        |name: &str| caller.json("POST", &format!("/v2/models/{name}/infer"), &x([1.5, -2.0]));
    for name in names {
        deploy(&server, name);
        let answer = ask(name);
        assert_eq!(answer.expect(200)["outputs"][0]["data"], json!([3.0, -4.0]), "{name}");
    }
    for (manner, status, told) in [
        ("slow", 504, "did not answer in time"),
        ("html", 502, "`text/html`, and not JSON"),
        ("wrong", 502, "output `y`"),
        ("refuse", 400, "x is too cold"),
        ("redirect", 502, "a redirect: none is followed"),
    ] {
        elsewhere.answers(manner);
        for name in names {
            let refused = ask(name).v2_refusal(status);
            assert!(refused.contains(told), "{name} {manner}: {refused}");
        }
    }
    elsewhere.answers("well");
    assert_eq!(ask("mlflow").expect(200)["outputs"][0]["data"], json!([3.0, -4.0]));
    // What did not answer at its trial is tried again.
    elsewhere.answers("html");
    let anew = || push("mlflow", &["--signature", signature, "--force"]);
    assert_ne!(anew().code, 0);
    let again = || server.cli(["versions", "try", "mlflow/2"]);
    assert_ne!(again().code, 0);
    elsewhere.answers("well");
    assert_eq!(again().json()["servable"], "yes");
    assert!(again().error(1)["message"].as_str().unwrap().contains("servable already"));
    elsewhere.stop();
    assert!(ask("mlflow").v2_refusal(502).contains("cannot be reached"));
    assert_ne!(anew().code, 0);
    let shown = server.cli(["versions", "show", "mlflow/3"]).json();
    assert_eq!(shown["servable"], "no");
    assert!(shown["reason"].as_str().unwrap().contains("cannot be reached"), "{shown}");
}

#[test]
fn hooks_look_columns_up_at_a_real_server() {
    let (server, mut elsewhere) = (start(), Elsewhere::start());
    server.serve("same", &model("identity/fp32.onnx"));
    let hooks = server.data_dir().with_file_name("hooks.yaml");
    let text = format!(
        "before:\n  - http:\n      url: {}/lookup\n      send: [{{name: user, datatype: INT64, shape: [n]}}]\n      get: [x]\n      timeout: 1s\nafter:\n  - rename: {{column: y, as: score}}\n",
        elsewhere.url
    );
    std::fs::write(&hooks, text).unwrap();
    let hooks = hooks.to_str().unwrap();
    let order = ["deploy", "same", "--hooks", hooks, "--wait"];
    // Callers of the present release rely on its inputs.
    let kept = server.cli(order).error(3);
    assert!(kept["hint"].as_str().unwrap().contains("contract clear"), "{kept}");
    server.cli(["endpoints", "contract", "clear", "same"]).json();
    assert_eq!(server.cli(order).json()["state"], "completed");
    let caller = Caller::of(&server);
    let body =
        json!({"inputs": [{"name": "user", "datatype": "INT64", "shape": [2], "data": [7, 8]}]});
    let ask = || caller.json("POST", "/v2/models/same/infer", &body);
    let answer = ask();
    let output = &answer.expect(200)["outputs"][0];
    assert_eq!((&output["name"], &output["data"]), (&json!("score"), &json!([7.0, 7.5, 8.0, 8.5])));
    let rows = json!({"dataframe_split": {"columns": ["user"], "data": [[1]]}});
    let scored = caller.json("POST", "/serve/same/invocations", &rows);
    assert_eq!(scored.expect(200)["predictions"], json!([{"score": [1.0, 1.5]}]));
    for (manner, status, told) in [
        ("slow", 504, "did not answer in time"),
        ("html", 502, "not JSON"),
        ("wrong", 502, "its answer is none"),
        ("redirect", 502, "a redirect: none is followed"),
    ] {
        elsewhere.answers(manner);
        let refused = ask().v2_refusal(status);
        assert!(
            refused.contains(told) && refused.contains("hooks.before[0]"),
            "{manner}: {refused}"
        );
    }
    elsewhere.stop();
    assert!(ask().v2_refusal(502).contains("cannot be reached"));
}
