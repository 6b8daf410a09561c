//! Tokens of CI jobs, exchanged for tokens of a service account.

use std::time::Duration;

use bottega_tests::{Server, wait_until};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Got},
    provider::{PUBLIC, Provider},
};

const KIND: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A provider whose jobs are trusted with the service account `ci`.
struct Ci {
    provider: Provider,
    server: Server,
    jobs: std::cell::Cell<u32>,
}

impl Ci {
    fn start() -> Self {
        let provider = Provider::start();
        // Nobody logs in there.
        let options = bottega_tests::Options {
            arguments: ["--oidc-allow", "127.0.0.0/8"].map(str::to_owned).into(),
            ..bottega_tests::Options::default()
        };
        let server = Server::start_with(options);
        server.cli(["services", "create", "ci"]).json();
        server.cli(["grants", "add", "service:ci", "role:data-scientist", "*"]).json();
        let ci = Self { provider, server, jobs: std::cell::Cell::new(0) };
        ci.trust(
            "github",
            &["--claim", "ref=refs/heads/*", "--scope", "view", "--scope", "register"],
        );
        ci
    }

    fn trust(&self, name: &str, more: &[&str]) -> Value {
        let arguments = ["oidc", "trusts", "add", name, "--issuer", &self.provider.url];
        let job = ["--audience", "bottega", "--service", "ci", "--claim", "repository=acme/models"];
        self.server.cli(arguments.iter().chain(&job).chain(more)).json()
    }

    /// What a job's token says.
    fn claims(&self) -> Value {
        self.jobs.set(self.jobs.get() + 1);
        json!({
            "iss": self.provider.url, "aud": "bottega", "sub": "repo:acme/models:ref:refs/heads/main",
            "repository": "acme/models", "ref": "refs/heads/main", "iat": now(), "exp": now() + 300,
            "jti": format!("job-{}", self.jobs.get()),
        })
    }

    fn with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    fn signed(&self, claims: &Value) -> String {
        self.provider.sign(claims, &json!({}), "own")
    }

    fn exchange(&self, token: &str, more: &str) -> Got {
        let form =
            format!("grant_type={GRANT}&subject_token_type={ID_TOKEN}&subject_token={token}{more}");
        self.post(&[KIND], &form)
    }

    fn post(&self, headers: &[(&str, &str)], body: &str) -> Got {
        let url = format!("{PUBLIC}/api/v1/auth/oidc/token");
        Browser::at(&self.server).send("POST", &url, headers, body)
    }

    /// Status and body of a request with a token.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Got {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        Browser::at(&self.server).send(method, &format!("{PUBLIC}{path}"), &headers, body)
    }
}

#[test]
fn a_job_works_as_its_service_account_for_a_while() {
    let ci = Ci::start();
    let token = ci.signed(&ci.claims());
    let got = ci.exchange(&token, "");
    assert_eq!(got.status, 200, "{got:?}");
    let got = got.json();
    assert_eq!((&got["token_type"], &got["actor"]), (&json!("Bearer"), &json!("service:ci")));
    assert_eq!((&got["expires_in"], &got["scope"]), (&json!(3600), &json!("view register")));
    assert_eq!(got["issued_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    let signed = got["access_token"].as_str().unwrap().to_owned();
    assert_eq!(ci.ask("GET", "/api/v1/me", &signed, "").json()["actor"], "service:ci");
    assert_eq!(ci.ask("GET", "/api/v1/models", &signed, "").status, 200);
    // Within the trust's scopes, and less where that is asked.
    assert_eq!(ci.ask("GET", "/api/v1/audit/events", &signed, "").status, 403);
    let model = json!({"name": "fraud"}).to_string();
    assert_eq!(ci.ask("POST", "/api/v1/models", &signed, &model).status, 201);
    let less = ci.exchange(&ci.signed(&ci.claims()), "&scope=view&expires_in=60").json();
    assert_eq!((&less["scope"], &less["expires_in"]), (&json!("view"), &json!(60)));
    let less = less["access_token"].as_str().unwrap();
    let other = json!({"name": "other"}).to_string();
    assert_eq!(ci.ask("POST", "/api/v1/models", less, &other).status, 403);
    // A job leaves nothing behind that lasts longer than itself.
    let lasting = json!({"name": "for good", "scopes": ["view"]}).to_string();
    assert_eq!(ci.ask("POST", "/api/v1/tokens", &signed, &lasting).status, 403);
    assert_eq!(ci.ask("POST", "/api/v1/tokens/exchange", &signed, "{}").status, 403);

    // What is refused says why, and the job's token is good once.
    let again = ci.exchange(&token, "").refusal(401);
    assert!(again.contains("exchanged before"), "{again}");
    let wider = ci.exchange(&ci.signed(&ci.claims()), "&scope=administer");
    assert_eq!(wider.json()["error"]["field"], "scope", "{wider:?}");
    assert_eq!(wider.status, 403);

    let events = || -> Vec<Value> {
        let all = ci.server.cli(["audit", "list", "--limit", "1000"]).json();
        all["items"].as_array().unwrap().clone()
    };
    let of = |change: &str| events().iter().filter(|event| event["change"] == change).count();
    wait_until("failures are written down", Duration::from_secs(10), || {
        of("token.exchange-failed") == 2
    });
    assert_eq!((of("token.exchanged"), of("trust.added")), (2, 1));
    let events = events();
    let exchanged = events.iter().find(|event| event["change"] == "token.exchanged").unwrap();
    assert_eq!(exchanged["actor"], "service:ci");
    assert_eq!(exchanged["detail"]["claims"]["repository"], "acme/models");
    let all = json!(events).to_string() + &ci.server.log();
    assert!(!all.contains(&signed) && !all.contains(&token), "a token is written down");

    // With the trust it is gone.
    ci.server.cli(["oidc", "trusts", "remove", "github"]).json();
    assert_eq!(ci.ask("GET", "/api/v1/me", &signed, "").status, 401);
    let refusal = ci.exchange(&ci.signed(&ci.claims()), "").refusal(401);
    assert!(refusal.contains("trusted with nothing"), "{refusal}");
}

#[test]
fn whoever_disables_the_service_account_ends_its_jobs() {
    let ci = Ci::start();
    let signed = ci.exchange(&ci.signed(&ci.claims()), "").json();
    let signed = signed["access_token"].as_str().unwrap().to_owned();
    ci.server.cli(["services", "disable", "ci"]).json();
    let me = || ci.ask("GET", "/api/v1/me", &signed, "").status;
    wait_until("the token is worth nothing", Duration::from_secs(10), || me() == 401);
    let refusal = ci.exchange(&ci.signed(&ci.claims()), "").refusal(401);
    assert!(refusal.contains("disabled"), "{refusal}");
    ci.server.cli(["services", "enable", "ci"]).json();
    assert_eq!(me(), 200);
}

#[test]
fn what_no_trust_fits_is_refused_with_the_reason() {
    let ci = Ci::start();
    let (own, none) = ("own", json!({}));
    let at = now();
    for (claims, header, key, why) in [
        (ci.with("iss", json!("https://evil.example")), &none, own, "trusted with nothing"),
        (ci.with("iss", Value::Null), &none, own, "who signed it"),
        (ci.with("aud", json!("somebody-else")), &none, own, "`aud`"),
        (ci.with("aud", Value::Null), &none, own, "`aud`"),
        (ci.with("repository", json!("acme/models-evil")), &none, own, "`repository`"),
        (ci.with("repository", json!(["acme/models"])), &none, own, "`repository`"),
        (ci.with("repository", Value::Null), &none, own, "`repository`"),
        (ci.with("ref", json!("refs/tags/v1")), &none, own, "`ref`"),
        (ci.with("exp", json!(at - 60)), &none, own, "expired"),
        (ci.with("exp", Value::Null), &none, own, "no time"),
        (ci.with("iat", json!(at + 120)), &none, own, "not valid yet"),
        (ci.with("nbf", json!(at + 120)), &none, own, "not valid yet"),
        (ci.claims(), &none, "foreign", "signature is wrong"),
        (ci.claims(), &none, "none", "cannot be read"),
        (ci.claims(), &none, "hmac", "not taken"),
        (ci.claims(), &none, "public", "not taken"),
    ] {
        let refusal = ci.exchange(&ci.provider.sign(&claims, header, key), "").refusal(401);
        assert!(refusal.contains(why), "{claims} {key}: {refusal}");
        assert!(!refusal.contains("refs/heads"), "what would fit is not told: {refusal}");
    }
    assert_eq!(ci.exchange("nonsense", "").status, 401);
    // As the protocol has it.
    let good = ci.signed(&ci.claims());
    let form = format!("subject_token={good}&subject_token_type={ID_TOKEN}");
    for (body, field) in [
        (format!("{form}&grant_type=password"), "grant_type"),
        (form.clone(), "body"),
        (format!("{form}&grant_type={GRANT}&actor_token=x"), "body"),
        (format!("{form}&grant_type={GRANT}&expires_in=3601"), "expires_in"),
        (format!("{form}&grant_type={GRANT}&scope=nonsense"), "scope"),
        (format!("{form}&grant_type={GRANT}&requested_token_type=x"), "requested_token_type"),
    ] {
        let got = ci.post(&[KIND], &body);
        assert_eq!((got.status, &got.json()["error"]["field"]), (400, &json!(field)), "{body}");
        assert!(!got.text.contains(&good), "it repeats the token");
    }
    assert_eq!(ci.post(&[("content-type", "application/json")], "{}").status, 400);
    assert_eq!(ci.exchange(&good, "").status, 200, "it was good all the time");
}

#[test]
fn of_several_trusts_the_one_that_fits_decides() {
    let ci = Ci::start();
    ci.trust("releases", &["--claim", "ref=refs/tags/*"]);
    let release = ci.exchange(&ci.signed(&ci.with("ref", json!("refs/tags/v1"))), "").json();
    assert_eq!(release["scope"], Value::Null, "all that the account may");
    ci.trust("all", &[]);
    let two = ci.exchange(&ci.signed(&ci.claims()), "");
    assert_eq!((two.status, &two.json()["error"]["field"]), (400, &json!("trust")));
    let named = ci.exchange(&ci.signed(&ci.claims()), "&trust=github").json();
    assert_eq!(named["scope"], "view register");
    let other = ci.exchange(&ci.signed(&ci.claims()), "&trust=releases").refusal(401);
    assert!(other.contains("`ref`"), "{other}");
    let listed = ci.server.cli(["oidc", "trusts", "list"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);

    let add = |name: &str, issuer: &str, claim: &str, service: &str| {
        let claim = ["--claim", claim, "--service", service, "--audience", "b"];
        let arguments = ["oidc", "trusts", "add", name, "--issuer", issuer];
        ci.server.cli(arguments.iter().chain(&claim))
    };
    let url = ci.provider.url.as_str();
    for (answer, field) in [
        (add("Git Hub", url, "a=b", "ci"), "name"),
        (add("x", url, "a=*", "ci"), "claims"),
        (add("x", url, "aud=b", "ci"), "claims"),
        (add("x", "http://10.0.0.1", "a=b", "ci"), "issuer"),
        (add("x", "https://169.254.169.254", "a=b", "ci"), "issuer"),
        (add("x", "file:///etc/passwd", "a=b", "ci"), "issuer"),
    ] {
        assert_eq!(answer.error(1)["field"], field, "{}", answer.stderr);
    }
    assert_eq!(add("x", url, "a=b", "nobody").error(1)["code"], "not_found");
    assert_eq!(add("all", url, "a=b", "ci").error(1)["code"], "conflict");
}

#[test]
fn unknown_keys_do_not_make_the_issuer_asked_without_end() {
    let ci = Ci::start();
    assert_eq!(ci.exchange(&ci.signed(&ci.claims()), "").status, 200);
    let before = ci.provider.asked();
    for number in 0..30 {
        let header = json!({"kid": format!("made-up-{number}")});
        let token = ci.provider.sign(&ci.claims(), &header, "own");
        assert!(ci.exchange(&token, "").refusal(401).contains("publishes no key"));
    }
    let asked = ci.provider.asked() - before;
    assert!((1..=10).contains(&asked), "{asked} times for 30 tokens");
    assert_eq!(ci.exchange(&ci.signed(&ci.claims()), "").status, 200);
}
