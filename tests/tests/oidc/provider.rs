//! The certified `oidc-provider`, and a Bottega that people log in to by it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use bottega_tests::{Options, Server, tool};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// How browsers are told to reach Bottega; nobody resolves it.
pub const PUBLIC: &str = "http://bottega.test";
pub const CLIENT: &str = "bottega";
const SECRET: &str = "a secret + that / must: be encoded";

/// A running provider, killed when dropped.
pub struct Provider {
    child: Child,
    runtime: Runtime,
    http: reqwest::Client,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Provider {
    pub fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .args([CLIENT, SECRET, &format!("{PUBLIC}/api/v1/auth/oidc/callback")])
            .env("BOTTEGA_OIDC_PROVIDER", tool("BOTTEGA_OIDC_PROVIDER"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is not there: tools/install oidc_provider");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| line.strip_prefix("ready ").map(ToOwned::to_owned));
        // It says more now and then, and dies where nobody listens.
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = ready.expect("the provider ended before it was ready");
        Self { child, runtime, http: reqwest::Client::builder().build().unwrap(), url }
    }

    fn test(&self, what: &str, body: &Value) -> Value {
        self.runtime.block_on(async {
            let url = format!("{}/test/{what}", self.url);
            let answer = self.http.post(url).json(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{what}: {}", answer.text().await.unwrap());
            answer.json().await.unwrap()
        })
    }

    /// What the provider knows of somebody from now on.
    pub fn knows(&self, login: &str, claims: Value) {
        self.test("person", &json!({"login": login, "claims": claims}));
    }

    /// Other keys, of this algorithm; those before are gone.
    pub fn rotate(&self, algorithm: &str) {
        self.test("rotate", &json!({"alg": algorithm}));
    }

    /// Does that to the next ID token.
    pub fn tamper(&self, how: &Value) {
        self.test("next", how);
    }

    /// A token that says this; `how` is `own`, `foreign`, `none`, `hmac` or `public`.
    pub fn sign(&self, claims: &Value, header: &Value, how: &str) -> String {
        let wanted = json!({"claims": claims, "header": header, "key": how});
        self.test("sign", &wanted)["token"].as_str().unwrap().to_owned()
    }

    /// How often its keys were read.
    pub fn asked(&self) -> u64 {
        self.test("asked", &json!({}))["asked"].as_u64().unwrap()
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How a Bottega is started that people log in to by this provider.
    pub fn options(&self, more: &[&str]) -> Options {
        let mut arguments: Vec<String> = [
            "--public-url",
            PUBLIC,
            "--oidc-issuer",
            &self.url,
            "--oidc-client-id",
            CLIENT,
            "--oidc-scopes",
            "openid profile groups",
            "--oidc-allow",
            "127.0.0.0/8",
        ]
        .map(str::to_owned)
        .into();
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        let secret = ("BOTTEGA_OIDC_CLIENT_SECRET".to_owned(), SECRET.to_owned());
        Options { arguments, environment: vec![secret], ..Options::default() }
    }

    /// A Bottega that people log in to by this provider.
    pub fn bottega(&self, more: &[&str]) -> Server {
        Server::start_with(self.options(more))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        drop(self.child.wait());
    }
}
