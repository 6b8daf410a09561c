//! Logging in, and what groups of the provider give.

use bottega_tests::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Got},
    provider::{PUBLIC, Provider},
};

/// The teams of whoever is logged in, by name.
fn teams(browser: &Browser) -> Vec<String> {
    let me = browser.ask("/api/v1/me").json();
    let teams = me["teams"].as_array().unwrap();
    teams.iter().map(|team| team.as_str().unwrap().to_owned()).collect()
}

/// The roles that a user was granted, and by whom.
fn roles(server: &Server, user: &str) -> Vec<(String, String)> {
    let all = server.cli(["grants", "list", "--subject", user]).json();
    let items = all["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|grant| (text(&grant["action"]), text(&grant["created_by"]))).collect()
}

fn audit(server: &Server, change: &str) -> Vec<Value> {
    let all = server.cli(["audit", "list", "--limit", "1000"]).json();
    let items = all["items"].as_array().unwrap().iter();
    items.filter(|event| event["change"] == change).cloned().collect()
}

#[test]
fn somebody_logs_in_and_is_a_user_with_what_their_groups_give() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    for team in ["risk", "fraud", "friends"] {
        server.cli(["teams", "create", team]).json();
    }
    for arguments in [
        ["risk-engineers", "--team", "risk"],
        ["fraud-engineers", "--team", "fraud"],
        ["auditors", "--role", "auditor"],
    ] {
        server.cli(["oidc", "groups", "add"].iter().chain(&arguments)).json();
    }
    let again = server.cli(["oidc", "groups", "add", "auditors", "--role", "auditor"]).error(1);
    assert_eq!(again["code"], "conflict");

    let ana = |groups: &[&str]| {
        provider.knows(
            "248289761001",
            json!({"preferred_username": "ana", "name": "Ana", "groups": groups}),
        );
    };
    ana(&["risk-engineers", "auditors", "unknown here"]);
    let browser = Browser::at(&server);
    let arrived = browser.get(&browser.through_provider("248289761001", "/models/fraud?a=1"));
    assert_eq!(arrived.status, 200, "{arrived:?}");
    let arrived = arrived.json();
    assert_eq!(
        (&arrived["actor"], &arrived["to"]),
        (&json!("user:ana"), &json!("/models/fraud?a=1"))
    );
    assert_eq!(arrived["must_change_password"], false);
    assert!(browser.cookie("bottega_login").is_none(), "it was for this log-in alone");
    // The session is the same as one by password.
    assert_eq!(browser.ask("/api/v1/me").json()["actor"], "user:ana");
    let token = json!({"name": "laptop", "expires_in": "1d"}).to_string();
    let post = |headers: &[(&str, &str)]| {
        browser.send("POST", &format!("{PUBLIC}/api/v1/tokens"), headers, &token).status
    };
    let kind = ("content-type", "application/json");
    assert_eq!(post(&[kind]), 403, "without the token against other sites");
    let csrf = arrived["csrf_token"].as_str().unwrap();
    assert_eq!(post(&[kind, ("x-csrf-token", csrf)]), 201);
    assert_eq!(teams(&browser), ["risk"]);
    assert_eq!(roles(&server, "user:ana"), [("role:auditor".to_owned(), "system:oidc".to_owned())]);

    // What was given by hand is not the groups' to take.
    server.cli(["teams", "add", "friends", "ana"]).json();
    server.cli(["grants", "add", "user:ana", "role:viewer", "*"]).json();
    ana(&["fraud-engineers"]);
    let later = Browser::at(&server);
    assert_eq!(later.log_in("248289761001").json()["actor"], "user:ana");
    assert_eq!(teams(&later), ["fraud", "friends"]);
    assert_eq!(roles(&server, "user:ana"), [("role:viewer".to_owned(), "user:admin".to_owned())]);
    // One that a group gave becomes one by hand where somebody says so.
    server.cli(["teams", "add", "fraud", "ana"]).json();
    ana(&[]);
    assert_eq!(Browser::at(&server).log_in("248289761001").status, 200);
    assert_eq!(teams(&later), ["fraud", "friends"]);

    let links = server.cli(["oidc", "identities", "list", "--user", "ana"]).json();
    assert_eq!(links["items"][0]["subject"], "248289761001");
    assert_eq!(links["items"].as_array().unwrap().len(), 1);
    let sessions = audit(&server, "session.started");
    assert_eq!(sessions.len(), 3);
    assert!(sessions.iter().all(|event| event["actor"] == "user:ana"));
    assert_eq!(sessions[0]["detail"]["issuer"], provider.url.as_str());
    let added = audit(&server, "team.member-added");
    let by_group: Vec<_> = added.iter().filter(|event| event["actor"] == "system:oidc").collect();
    assert_eq!(by_group.len(), 2, "{added:?}");
    assert_eq!(by_group[1]["detail"]["group"], "risk-engineers");
    assert_eq!(audit(&server, "team.member-removed").len(), 1);
    assert_eq!(audit(&server, "user.created").len(), 1);
    // Nothing that logs anybody in is written down.
    let secrets = [csrf.to_owned(), later.cookie("bottega_session").unwrap()];
    let all = server.cli(["audit", "list", "--limit", "1000"]).json().to_string() + &server.log();
    assert!(secrets.iter().all(|secret| !all.contains(secret)));
    assert!(!all.contains("must: be encoded"), "the client's secret");
}

#[test]
fn a_browser_is_sent_on_by_a_page_of_ours() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let browser = Browser::at(&server);
    let back = browser.through_provider("1", "/models/fraud?a=1%26b=%3C2");
    let page = browser.send("GET", &back, &[("accept", "text/html,*/*")], "");
    assert_eq!(page.status, 200);
    assert!(page.text.contains("url=/models/fraud?a=1&amp;b=&lt;2\""), "{}", page.text);
    assert!(
        page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
    );
    let cookies: Vec<_> =
        page.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    let session = cookies.iter().find(|it| it.starts_with("bottega_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Strict"), "{session}");
    // And told in words where it is refused.
    let again = browser.send("GET", &back, &[("accept", "text/html")], "");
    assert_eq!(again.status, 401);
    assert!(again.text.contains("<h1>Not logged in</h1>"), "{}", again.text);
    assert!(!again.text.contains(back.split("code=").nth(1).unwrap()), "it repeats no code");
}

#[test]
fn the_provider_changes_its_keys_and_algorithms() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    assert_eq!(Browser::at(&server).log_in("1").status, 200, "RS256");
    for algorithm in ["RS256", "EdDSA", "PS256"] {
        provider.rotate(algorithm);
        // The keys are read again at once; that it signs otherwise now, too.
        let got = Browser::at(&server).log_in("1");
        assert_eq!(got.status, 200, "{algorithm}: {got:?}");
    }
    provider.rotate("ES256");
    let browser = Browser::at(&server);
    let back = browser.through_provider("1", "/");
    // Between log-in and callback as well.
    assert_eq!(browser.get(&back).status, 200, "ES256");
}

#[test]
fn without_the_provider_all_else_goes_on() {
    let mut provider = Provider::start();
    let mut server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let browser = Browser::at(&server);
    let back = browser.through_provider("1", "/");
    provider.stop();
    let refusal = browser.get(&back).refusal(503);
    assert!(refusal.contains("cannot be asked") && !refusal.contains("127.0.0.1"), "{refusal}");

    // Also for a server that starts meanwhile.
    server.signal(Signal::SIGTERM);
    let server = server.restart();
    let browser = Browser::at(&server);
    browser.ask("/api/v1/auth/oidc/login").refusal(503);
    let shown = server.cli(["oidc", "show"]).json();
    assert!(shown["problem"].as_str().unwrap().contains(&provider.url), "{shown}");
    assert_eq!(shown["redirect_url"], format!("{PUBLIC}/api/v1/auth/oidc/callback"));
    let made = server.cli(["users", "create", "bo"]).json();
    let login = json!({"user": "bo", "password": made["password"]}).to_string();
    let kind = ("content-type", "application/json");
    let got = browser.send("POST", &format!("{PUBLIC}/api/v1/sessions"), &[kind], &login);
    assert_eq!(got.status, 201, "{got:?}");
}

#[test]
fn the_last_administrator_stays_whatever_groups_say() {
    let provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    server.cli(["oidc", "groups", "add", "admins", "--role", "administrator"]).json();
    let knows = |groups: &[&str]| {
        provider.knows("1", json!({"preferred_username": "ana", "groups": groups}));
    };
    knows(&["admins"]);
    let browser = Browser::at(&server);
    let arrived = browser.log_in("1").json();
    let csrf = arrived["csrf_token"].as_str().unwrap().to_owned();
    // The other one leaves.
    let url = format!("{PUBLIC}/api/v1/users/admin");
    let headers = [("content-type", "application/json"), ("x-csrf-token", csrf.as_str())];
    let got = browser.send("PATCH", &url, &headers, r#"{"disabled": true}"#);
    assert_eq!(got.status, 200, "{got:?}");
    knows(&[]);
    let later = Browser::at(&server);
    assert_eq!(later.log_in("1").status, 200);
    let audit = later.ask("/api/v1/audit/events?limit=100").json();
    let events = audit["items"].as_array().unwrap();
    let kept = events.iter().find(|event| event["change"] == "oidc.groups-kept").unwrap();
    assert_eq!(kept["detail"]["subject"], "user:ana");
    // With another one there, they go like anybody else.
    let csrf =
        later.ask("/api/v1/sessions/current").json()["csrf_token"].as_str().unwrap().to_owned();
    let headers = [("content-type", "application/json"), ("x-csrf-token", csrf.as_str())];
    let got = later.send("PATCH", &url, &headers, r#"{"disabled": false}"#);
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(Browser::at(&server).log_in("1").status, 200);
    assert_eq!(roles(&server, "user:ana"), []);
}

/// The page that a browser gets in the end.
fn follow(browser: &Browser, provider: &Provider, mut url: String) -> Got {
    for _ in 0..12 {
        if url.starts_with('/') {
            url = format!("{}{url}", provider.url);
        }
        let got = browser.get(&url);
        if !(300..400).contains(&got.status) || got.to().starts_with(PUBLIC) {
            return got;
        }
        url = got.to();
    }
    panic!("the provider goes on and on: {url}");
}

#[test]
fn who_logs_out_is_logged_out_at_the_provider_too() {
    let mut provider = Provider::start();
    let server = provider.bottega(&["--oidc-create-users"]);
    provider.knows("1", json!({"preferred_username": "ana"}));
    let browser = Browser::at(&server);
    let log_out = |browser: &Browser, csrf: &str| {
        let url = format!("{PUBLIC}/api/v1/sessions/current");
        browser.send("DELETE", &url, &[("x-csrf-token", csrf)], "")
    };
    let csrf = |arrived: Value| arrived["csrf_token"].as_str().unwrap().to_owned();
    let is_asked_who_they_are = || {
        let begun = browser.ask("/api/v1/auth/oidc/login?to=/").to();
        follow(&browser, &provider, begun).text.contains("name=\"login\"")
    };
    let arrived = browser.log_in("1").json();
    assert!(!is_asked_who_they_are(), "the provider knows them still");

    let left = log_out(&browser, &csrf(arrived));
    assert_eq!(left.status, 200, "{left:?}");
    assert!(browser.cookie("bottega_session").is_none());
    assert_eq!(browser.ask("/api/v1/me").status, 401);
    let url = left.json()["logout_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{}/session/end?client_id=bottega&", provider.url)), "{url}");
    let page = browser.get(&url);
    assert_eq!(page.status, 200, "{page:?}");
    let after = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let form = format!("xsrf={}&logout=yes", after(&page.text, "name=\"xsrf\" value=\""));
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let back = browser.send("POST", &after(&page.text, "action=\""), &[kind], &form);
    assert_eq!(back.to(), format!("{PUBLIC}/"));
    assert!(is_asked_who_they_are(), "the provider knows them no more");

    // Who came by password goes nowhere, and while the provider is away the session is over all the same.
    let password = json!({"user": "bea", "password": "correct horse battery"}).to_string();
    let made = json!({"name": "bea", "password": "correct horse battery"});
    bottega_tests::Caller::of(&server).json("POST", "/api/v1/users", &made).expect(201);
    let other = Browser::at(&server);
    let json_kind = [("content-type", "application/json")];
    let arrived = other.send("POST", &format!("{PUBLIC}/api/v1/sessions"), &json_kind, &password);
    assert_eq!(log_out(&other, &csrf(arrived.json())).status, 204);
    let arrived = browser.log_in("1").json();
    provider.stop();
    // What the provider published is known for a while.
    assert_eq!(log_out(&browser, &csrf(arrived)).status, 200);
    assert_eq!(browser.ask("/api/v1/me").status, 401);
}
