//! The platform's secret key: a wrong one is told at the start, and it can be changed.

use bottega_tests::{Options, Server};
use serde_json::json;

fn keys(current: &str, previous: Option<&str>) -> Vec<(String, String)> {
    let mut environment = vec![("BOTTEGA_SECRET_KEY".to_owned(), current.repeat(32))];
    let previous = previous.map(|key| key.repeat(32));
    environment.extend(previous.map(|key| ("BOTTEGA_SECRET_KEY_PREVIOUS".to_owned(), key)));
    environment
}

#[test]
fn the_secret_key_is_changed_and_a_wrong_one_is_told_at_the_start() {
    let folder = tempfile::Builder::new().prefix("bottega-test-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let start = |environment: Vec<(String, String)>| {
        let data_dir = Some(folder.path().join("data"));
        Server::try_start(Options { data_dir, environment, ..Options::default() })
    };
    let mut server = start(keys("a", None)).ok().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hush hush").unwrap();
    let hook = ["webhooks", "create", "w", "--to", "https://93.184.215.14/x", "--secret-stdin"];
    let mut create = server.cli_command();
    create.args(hook).args(["--event", "registered_model.created"]);
    let made = create.stdin(std::fs::File::open(&file).unwrap()).status().unwrap();
    assert!(made.success());
    let listed = server.cli(["secrets", "list"]).json();
    assert_eq!(listed["items"][0]["sealed"]["webhooks"], 1, "{listed}");
    let old = listed["items"][0]["key"].clone();
    server.signal(nix::sys::signal::Signal::SIGTERM);

    let refused = start(keys("b", None)).err().unwrap();
    assert!(refused.stderr.contains("secret key is not the one"), "{}", refused.stderr);
    assert!(refused.stderr.contains(old.as_str().unwrap()), "{}", refused.stderr);
    assert!(!refused.stderr.contains(&"b".repeat(32)));

    let mut server = start(keys("b", Some("a"))).ok().unwrap();
    let listed = server.cli(["secrets", "list"]).json();
    assert_eq!((&listed["items"][1]["key"], &listed["items"][1]["given"]), (&old, &json!(true)));
    let report = server.cli(["secrets", "rotate"]).json();
    assert_eq!(report["resealed"]["webhooks"], 1, "{report}");
    assert_eq!(report["unreadable"], json!([]));
    server.signal(nix::sys::signal::Signal::SIGTERM);

    // The old key is not needed any more: tokens and secrets are as they were.
    let server = start(keys("b", None)).ok().unwrap();
    let listed = server.cli(["secrets", "list"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["sealed"]["webhooks"], 1, "{listed}");
    let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=200");
    let audit = audit.to_string();
    assert!(audit.contains("secrets.rotated"));
    assert!(!audit.contains("hush hush") && !audit.contains(&"a".repeat(32)));
}
