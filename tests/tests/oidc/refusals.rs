//! Who is not logged in.

use std::time::Duration;

use bottega_tests::{Options, Server, wait_until};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    provider::{PUBLIC, Provider},
};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_log_in_belongs_to_one_browser_and_is_good_once() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let (victim, other) = (Browser::at(&server), Browser::at(&server));
    let strange = "not begun in this browser";

    // An attacker's own answer, given to somebody else.
    let back = other.through_provider("1", "/");
    assert!(victim.get(&back).refusal(401).contains(strange));
    victim.ask("/api/v1/auth/oidc/login");
    assert!(victim.get(&back).refusal(401).contains(strange), "with a log-in of their own begun");
    assert!(victim.cookie("bottega_session").is_none());
    // A state that was changed, or is missing.
    let (before, state) = back.split_once("state=").unwrap();
    let rest = state.split_once('&').map_or("", |(_, rest)| rest);
    for changed in [format!("{before}state=x&{rest}"), format!("{before}{rest}")] {
        assert!(other.get(&changed).refusal(401).contains(strange), "{changed}");
    }
    // What was forged took nothing from the true one, which is good once.
    let login = other.cookie("bottega_login").unwrap();
    assert_eq!(other.get(&back).status, 200);
    assert!(other.get(&back).refusal(401).contains(strange));
    other.set_cookie("bottega_login", &login);
    assert!(other.get(&back).refusal(401).contains(strange), "with the cookie of before");

    // The provider says no, or is said to be another one.
    let denied = |more: &str| {
        let browser = Browser::at(&server);
        let begun = browser.ask("/api/v1/auth/oidc/login").to();
        let state = begun.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        browser.ask(&format!("/api/v1/auth/oidc/callback?state={state}{more}"))
    };
    let issuer = format!("&iss={}", provider.url);
    assert!(
        denied(&format!("&error=access_denied{issuer}")).refusal(403).contains("access_denied")
    );
    let foul = denied(&format!("&error=%3Cscript%3E{issuer}")).refusal(403);
    assert!(!foul.contains("script"), "{foul}");
    assert!(denied("&code=x&iss=https://evil.example").refusal(401).contains("another identity"));
    assert!(denied("&code=x").refusal(401).contains("another identity"), "it names itself always");
    assert!(denied(&format!("&code=x{issuer}")).refusal(401).contains("did not take the code"));
    assert!(denied(&issuer).refusal(401).contains("no code"));

    let elsewhere = victim.ask("/api/v1/auth/oidc/login?to=//evil.example").json();
    assert_eq!(elsewhere["error"]["field"], "to");
}

#[test]
fn an_id_token_that_was_tampered_with_logs_nobody_in() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let now = now();
    for (how, why) in [
        (json!({"claims": {"nonce": "another"}}), "another log-in"),
        (json!({"claims": {"nonce": null}}), "another log-in"),
        (json!({"claims": {"aud": "somebody-else"}}), "somebody else"),
        (json!({"claims": {"aud": ["bottega", "somebody-else"]}}), "somebody else"),
        (json!({"claims": {"azp": "somebody-else"}}), "somebody else"),
        (json!({"claims": {"iss": "https://evil.example"}}), "another issuer"),
        (json!({"claims": {"exp": now - 60}}), "expired"),
        (json!({"claims": {"iat": now + 120}}), "not valid yet"),
        (json!({"claims": {"sub": ""}}), "names nobody"),
        (json!({"claims": {"sub": "2"}}), "tells of somebody else"),
        (json!({"claims": {}, "key": "foreign"}), "signature is wrong"),
        (json!({"claims": {}, "key": "none"}), "cannot be read"),
        (json!({"claims": {}, "key": "hmac"}), "not taken"),
        (json!({"claims": {}, "key": "public"}), "not taken"),
        (json!({"claims": {}, "header": {"kid": "unknown"}}), "publishes no key"),
        (json!({"raw": "nonsense"}), "cannot be read"),
    ] {
        let browser = Browser::at(&server);
        provider.tamper(&how);
        let refusal = browser.log_in("1").refusal(401);
        assert!(refusal.contains(why), "{how}: {refusal}");
        assert!(browser.cookie("bottega_session").is_none(), "{how}");
    }
    let browser = Browser::at(&server);
    assert_eq!(browser.log_in("1").status, 200, "as it is");
    let failed = || {
        let all = server.cli(["audit", "list", "--limit", "1000"]).json();
        let events = all["items"].as_array().unwrap().iter();
        events.filter(|event| event["change"] == "login.failed").count()
    };
    wait_until("failures are written down", Duration::from_secs(10), || failed() == 16);
}

#[test]
fn whoever_is_no_user_becomes_one_only_where_that_is_wanted_and_clear() {
    let provider = Provider::start();
    let server = provider.bottega(&[]);
    let knows = |name: Value| provider.knows("7f", json!({"preferred_username": name}));
    knows(json!("ana"));
    // Not by their name: that is the provider's to give away.
    server.cli(["users", "create", "ana"]).json();
    let refusal = Browser::at(&server).log_in("7f").refusal(403);
    assert!(refusal.contains("no user here yet"), "{refusal}");
    assert!(refusal.contains("bottega oidc identities link NAME --subject '7f'"), "{refusal}");

    let link = server.cli(["oidc", "identities", "link", "ana", "--subject", "7f"]).json();
    let again = server.cli(["oidc", "identities", "link", "admin", "--subject", "7f"]).error(1);
    assert_eq!(again["code"], "conflict");
    let absent = server.cli(["oidc", "identities", "link", "nobody", "--subject", "8"]).error(1);
    assert_eq!(absent["code"], "not_found");
    let browser = Browser::at(&server);
    let arrived = browser.log_in("7f").json();
    assert_eq!(arrived["actor"], "user:ana");
    assert_eq!(
        browser.ask("/api/v1/models").status,
        200,
        "a first password is none of their business"
    );

    server.cli(["users", "disable", "ana"]).json();
    assert_eq!(browser.ask("/api/v1/me").status, 401);
    assert!(Browser::at(&server).log_in("7f").refusal(403).contains("`ana` is disabled"));
    server.cli(["users", "enable", "ana"]).json();
    let browser = Browser::at(&server);
    assert_eq!(browser.log_in("7f").status, 200);
    server.cli(["oidc", "identities", "unlink", link["id"].as_str().unwrap()]).json();
    assert_eq!(browser.ask("/api/v1/me").status, 401, "the session is over");
    Browser::at(&server).log_in("7f").refusal(403);
}

#[test]
fn a_new_user_takes_nobodys_name() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    for (name, why) in [
        (json!("admin"), "there is a user `admin`"),
        (json!("Admin"), "looks like the user `admin`"),
        (json!("\u{430}dmin"), "looks like the user `admin`"),
        (json!("an na"), "may not hold"),
        (json!(""), "0 characters"),
        (json!(7), "tells no `preferred_username`"),
        (Value::Null, "tells no `preferred_username`"),
    ] {
        provider.knows("7f", json!({"preferred_username": name}));
        let refusal = Browser::at(&server).log_in("7f").refusal(403);
        assert!(refusal.contains(why) && refusal.contains("identities link"), "{name}: {refusal}");
    }
    // Who has the name says that they are the same.
    provider.knows("7f", json!({"preferred_username": "admin"}));
    server.cli(["oidc", "identities", "link", "admin", "--subject", "7f"]).json();
    assert_eq!(Browser::at(&server).log_in("7f").json()["actor"], "user:admin");
}

#[test]
fn a_server_without_a_provider_says_so_and_half_a_set_up_does_not_start() {
    let server = Server::start();
    let browser = Browser::at(&server);
    assert!(browser.ask("/api/v1/auth/oidc/login").refusal(404).contains("--oidc-issuer"));
    assert!(browser.ask("/api/v1/auth/oidc/callback").refusal(404).contains("by password"));
    assert_eq!(server.cli(["oidc", "show"]).error(1)["code"], "not_found");

    let words = |arguments: &[&str], environment: &[(&str, &str)]| Options {
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Options::default()
    };
    let issuer = ["--oidc-issuer", "https://id.example"];
    for (options, said) in [
        (words(&issuer, &[]), "--oidc-client-id"),
        (words(&[issuer[0], issuer[1], "--oidc-client-id", "b"], &[]), "--public-url"),
        (words(&["--oidc-client-id", "b"], &[]), "--oidc-issuer"),
        (words(&[], &[("BOTTEGA_OIDC_CLIENT_SECRET", "hush")]), "--oidc-issuer"),
        (words(&["--oidc-issuer", "id.example"], &[]), "oidc_issuer"),
        (words(&["--oidc-allow", "here"], &[]), "`here` is no network"),
    ] {
        let ended =
            Server::try_start(options).err().unwrap_or_else(|| panic!("it started: {said}"));
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    // A provider in a network that the operator does not allow is not asked.
    let provider = Provider::start();
    let mut options = provider.options(&[]);
    let allow = options.arguments.iter().position(|word| word == "--oidc-allow").unwrap();
    options.arguments.drain(allow..allow + 2);
    let server = Server::start_with(options);
    Browser::at(&server).get(&format!("{PUBLIC}/api/v1/auth/oidc/login")).refusal(503);
    let shown = server.cli(["oidc", "show"]).json();
    assert!(shown["problem"].as_str().unwrap().contains("--oidc-allow"), "{shown}");
}
