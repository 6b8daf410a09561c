//! What an endpoint says of itself: typed code that calls it, which compiles, is checked and runs; and JSON
//! Schemas that hold. Programs by that code are in `tests/clients/stubs`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bottega_tests::{Server, model, tool};
use client::{Array, Connection};

#[rustfmt::skip]
mod color_size;

fn serving_color_size() -> Server {
    let server = Server::start();
    serve(&server, "color_size", "color_size.onnx");
    server
}

fn serve(server: &Server, name: &str, file: &str) {
    let (endpoint, file) = (name.replace('_', "-"), model(file));
    server.cli(["push", file.to_str().unwrap(), "--name", name]).json();
    server.cli(["deploy", &endpoint, "--model", &format!("{name}/1"), "--wait"]).json();
}

/// The code for a language, as the command line writes it.
fn code(server: &Server, lang: &str) -> String {
    let answer = server.cli(["endpoints", "schema", "color-size", "--lang", lang]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    answer.stdout
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/stubs")
}

/// A folder with the code, and the programs of that language beside it.
fn beside(code: &str, ending: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(format!("color_size.{ending}")), code).unwrap();
    for name in ["use", "wrong"] {
        let file = format!("{name}.{ending}");
        std::fs::copy(programs().join(&file), folder.path().join(&file)).unwrap();
    }
    folder
}

fn on(server: &Server, mut command: Command) -> Output {
    command.env("BOTTEGA_URL", &server.url).env("BOTTEGA_TOKEN", server.token).output().unwrap()
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn code_in_python_is_typed_and_runs() {
    let server = serving_color_size();
    let folder = beside(&code(&server, "python"), "py");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python/src");
    let check = |file: &str| {
        let mut mypy = Command::new(tool("BOTTEGA_MYPY"));
        mypy.args(["-B", "-m", "mypy", "--strict", "--cache-dir=cache", "color_size.py", file]);
        on(&server, {
            mypy.current_dir(folder.path()).env("MYPYPATH", &package);
            mypy
        })
    };
    let checked = check("use.py");
    assert!(checked.status.success(), "{}", said(&checked));
    let wrong = said(&check("wrong.py"));
    assert!(
        wrong.contains("dtype[float64]") && wrong.contains("Missing positional argument \"size\""),
        "{wrong}"
    );
    assert!(wrong.contains("no attribute \"score\""), "{wrong}");

    let program = format!(
        "import sys, runpy; sys.path[:0] = ['.', {:?}]; runpy.run_path('use.py')",
        package.to_str().unwrap()
    );
    let mut python = Command::new(tool("BOTTEGA_MLFLOW3"));
    python.args(["-B", "-c", &program]).current_dir(folder.path());
    let ran = on(&server, python);
    assert!(ran.status.success(), "{}", said(&ran));
}

#[test]
fn code_in_typescript_compiles_and_runs() {
    let server = serving_color_size();
    let folder = beside(&code(&server, "typescript"), "ts");
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).unwrap();
    let compile = |file: &str| {
        let mut tsc = Command::new(tool("BOTTEGA_TYPESCRIPT").join("node_modules/.bin/tsc"));
        let strict = ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"];
        tsc.args(strict).args([
            "--target",
            "es2022",
            "--module",
            "nodenext",
            "--lib",
            "es2022,dom",
        ]);
        tsc.arg(file).current_dir(folder.path());
        on(&server, tsc)
    };
    let compiled = compile("use.ts");
    assert!(compiled.status.success(), "{}", said(&compiled));
    let wrong = said(&compile("wrong.ts"));
    assert!(wrong.contains("'string' is not assignable to type 'number'"), "{wrong}");
    assert!(
        wrong.contains("\"size\"' is missing") && wrong.contains("'score' does not exist"),
        "{wrong}"
    );

    let mut node = Command::new("node");
    node.arg("use.js").current_dir(folder.path());
    let ran = on(&server, node);
    assert!(ran.status.success(), "{}", said(&ran));
}

/// The code that is compiled here is what the server writes.
#[tokio::test]
async fn code_in_rust_compiles_and_runs() {
    let server = serving_color_size();
    assert_eq!(code(&server, "rust"), include_str!("color_size.rs"));
    let connection = Connection::new(&server.url, Some(server.token.to_owned().into())).unwrap();
    let color = Array::new([2, 1], ["red", "blue"].map(|text| text.as_bytes().to_vec()));
    let inputs = color_size::Inputs { color, size: Array::new([2, 1], [1.5, 9.0]) };
    let answer = color_size::predict(&connection, inputs.clone()).await.unwrap();
    assert_eq!((&answer.label.shape[..], &answer.probabilities.shape[..]), (&[2][..], &[2, 2][..]));
    for row in answer.probabilities.elements.chunks(2) {
        assert!((row[0] + row[1] - 1.0).abs() < 1e-5, "{answer:?}");
    }

    let one = color_size::Inputs { size: Array::new([1, 1], [1.5]), ..inputs };
    let refused = color_size::predict(&connection, one).await.unwrap_err();
    assert_eq!(refused.as_api_error().code, "invalid", "{refused}");
    let stranger = Connection::new(&server.url, Some("bt_wrong".to_owned().into())).unwrap();
    let refused = stranger.predict(color_size::ENDPOINT, &[]).await.unwrap_err();
    assert_eq!(refused.as_api_error().code, "unauthenticated", "{refused}");
}

#[test]
fn schemas_hold_for_what_is_sent_and_answered() {
    let server = serving_color_size();
    serve(&server, "breast_cancer", "breast_cancer.onnx");
    for name in ["fp32", "int64", "bool", "bytes"] {
        serve(&server, name, &format!("identity/{name}.onnx"));
    }
    let mut python = Command::new(tool("BOTTEGA_MLFLOW3"));
    python.arg("-B").arg(programs().join("schemas.py"));
    let ran = on(&server, python);
    assert!(ran.status.success(), "{}", said(&ran));
    let refused = server.cli(["endpoints", "schema", "color-size", "--lang", "cobol"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let schemas = server.cli(["endpoints", "schema", "color-size", "--lang", "json"]).json();
    assert!(schemas["rows"]["json_schema"]["properties"]["instances"].is_object(), "{schemas}");
}
