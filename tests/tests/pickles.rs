//! Pickles beside a model: found by the real binary's worker, told by its CLI, deployed as the
//! platform's setting says.

use std::path::Path;

use bottega_tests::{Server, model};
use serde_json::json;

#[test]
fn what_a_pickle_would_do_is_shown_and_decides_what_is_deployed() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model("breast_cancer.onnx"), folder.path().join("model.onnx")).unwrap();
    let pickles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/domain/tests/pickles");
    // Compressed by bz2, and by a name that says nothing.
    std::fs::copy(pickles.join("system-bz2.joblib"), folder.path().join("scaler.dat")).unwrap();
    let push = ["push", folder.path().to_str().unwrap(), "--name", "cancer"];
    assert_eq!(server.cli(push).json()["status"], "ready");
    let findings = server.cli(["versions", "show", "cancer/1"]).json()["findings"].clone();
    assert_eq!(findings["verdict"], "dangerous");
    assert_eq!(findings["files"][0]["path"], "scaler.dat");
    assert_eq!(findings["files"][0]["format"], "compressed");
    let imports = findings["files"][0]["imports"].as_array().unwrap();
    assert!(imports.iter().any(|import| import["name"] == "posix.system"), "{findings}");

    let deploy = ["deploy", "cancer", "--model", "cancer/1", "--wait"];
    let refused = server.cli(deploy).error(1)["message"].to_string();
    for part in ["scaler.dat", "posix.system", "safe-only"] {
        assert!(refused.contains(part), "{refused}");
    }
    let settings = || server.cli(["settings", "list"]).json()["items"].clone();
    assert_eq!(
        (&settings()[0]["setting"], &settings()[0]["value"]),
        (&json!("pickle"), &json!("safe-only"))
    );
    server.cli(["settings", "set", "pickle", "allow"]).json();
    let changed = settings()[0].clone();
    assert_eq!(
        (&changed["value"], &changed["updated_by"]),
        (&json!("allow"), &json!("user:admin"))
    );
    assert_eq!(server.cli(deploy).json()["state"], "completed");
    let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=100");
    let event =
        audit["items"].as_array().unwrap().iter().find(|it| it["change"] == "setting.changed");
    let detail = &event.unwrap()["detail"];
    assert_eq!((&detail["from"], &detail["to"]), (&json!("safe-only"), &json!("allow")));
    server.cli(["settings", "set", "pickle", "sometimes"]).error(1);
}
