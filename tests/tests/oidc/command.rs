//! `bottega login --oidc`: the command waits, the browser does the rest.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use bottega_tests::bottega;
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    provider::{PUBLIC, Provider},
};

#[test]
fn a_command_gets_a_token_by_way_of_the_browser() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let home = tempfile::tempdir().unwrap();
    let mut login = Command::new(bottega())
        .args(["login", "--oidc", "--expires-in", "1d", "--output", "json", "--url", &server.url])
        .env("XDG_CONFIG_HOME", home.path())
        .env_remove("BOTTEGA_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap()).lines();
    let url =
        said.find_map(|line| line.unwrap().trim().strip_prefix(&server.url).map(str::to_owned));
    let url = url.unwrap();
    let port = url.split("cli_port=").nth(1).unwrap().split('&').next().unwrap();

    // What others bring to the port is not what it waits for.
    let browser = Browser::at(&server);
    for stranger in ["/favicon.ico", "/?code=short", "/?error=access_denied"] {
        assert_eq!(browser.get(&format!("http://127.0.0.1:{port}{stranger}")).status, 404);
    }
    let back = browser.through_provider_from("1", &url);
    let page = browser.get(&back);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(browser.cookie("bottega_session").is_none(), "the browser is not logged in by it");
    let there = page.text.split("url=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(there.starts_with(&format!("http://127.0.0.1:{port}/?code=")), "{there}");

    // Who sees the code alone gets nothing for it, and it is gone.
    let code = there.split("code=").nth(1).unwrap();
    let redeem = |code: &str, verifier: &str| {
        let body = json!({"code": code, "verifier": verifier, "name": "x", "expires_in": "1d"});
        let kind = ("content-type", "application/json");
        let url = format!("{PUBLIC}/api/v1/auth/oidc/cli");
        browser.send("POST", &url, &[kind], &body.to_string())
    };
    redeem("nonsense", "x").refusal(401);
    assert_eq!(browser.get(&there).status, 200);
    let mut stdout = String::new();
    login.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(login.wait().unwrap().success());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["actor"], "user:ana");
    redeem(code, "x").refusal(401);

    let kept = std::fs::read_to_string(home.path().join("bottega/login.toml")).unwrap();
    assert!(kept.contains("bt_"), "the token is remembered");
    let whoami = Command::new(bottega())
        .args(["whoami", "--output", "json"])
        .env("XDG_CONFIG_HOME", home.path())
        .env_remove("BOTTEGA_TOKEN")
        .env_remove("BOTTEGA_URL")
        .output()
        .unwrap();
    let whoami: Value = serde_json::from_slice(&whoami.stdout).unwrap();
    assert_eq!(whoami["actor"], "user:ana");
    let tokens = server.cli(["tokens", "list"]).json().to_string();
    assert!(tokens.contains("bottega login on"), "{tokens}");
}

#[test]
fn a_code_is_for_the_command_that_knows_what_it_announced() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let browser = Browser::at(&server);
    let path = "/api/v1/auth/oidc/login";
    // The SHA-256 of `hush`, by Python's hashlib and base64.urlsafe_b64encode.
    let challenge = "3IMxvLIoPonSdaHC_mb3v1rDFj7Bln8UndfieQY2Xww";
    for wrong in [
        "?cli_port=1",
        &format!("?cli_challenge={challenge}"),
        &format!("?cli_port=0&cli_challenge={challenge}"),
        "?cli_port=9&cli_challenge=short",
        &format!("?to=/&cli_port=9&cli_challenge={challenge}"),
    ] {
        assert_eq!(browser.ask(&format!("{path}{wrong}")).status, 400, "{wrong}");
    }
    let code = || {
        let browser = Browser::at(&server);
        let begin = format!("{path}?cli_port=9&cli_challenge={challenge}");
        let page = browser.get(&browser.through_provider_from("1", &begin));
        page.text.split("code=").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let redeem = |code: &str, verifier: &str| {
        let body = json!({"code": code, "verifier": verifier, "name": "x", "expires_in": "1d"});
        let kind = ("content-type", "application/json");
        let url = format!("{PUBLIC}/api/v1/auth/oidc/cli");
        browser.send("POST", &url, &[kind], &body.to_string())
    };
    let stolen = code();
    redeem(&stolen, "another").refusal(401);
    redeem(&stolen, "hush").refusal(401);
    let good = redeem(&code(), "hush");
    assert_eq!(good.status, 201, "{good:?}");
    assert_eq!(good.json()["holder"], "user:ana");
}
