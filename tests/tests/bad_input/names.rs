//! Names against the rules.

use serde_json::json;

use crate::{Subject, refused};

#[test]
fn names_against_the_rules_are_refused_with_the_rule() {
    let subject = Subject::start(&[]);
    let long = "x".repeat(256);
    subject.unchanged_by(|| {
        for (name, encoded, words) in [
            ("a/b", "a%2Fb", &["`/`"][..]),
            ("a:b", "a%3Ab", &["`:`"]),
            ("a\u{7}b", "a%07b", &["U+0007", "control"]),
            ("a\u{202e}b", "a%E2%80%AEb", &["U+202E", "bidirectional"]),
            (" a", "%20a", &["begin or end with a space"]),
            (&long, &long, &["has 256", "maximum length of 255"]),
        ] {
            let made = subject.api.json("POST", "/api/v1/models", &json!({"name": name}));
            refused(&made, 400, "name", words);
            refused(
                &subject.api.ask("GET", &format!("/api/v1/models/{encoded}")),
                400,
                "name",
                words,
            );
        }
        let empty = subject.api.json("POST", "/api/v1/models", &json!({"name": ""}));
        refused(&empty, 400, "name", &["expected 1 to 255"]);
        for (endpoint, shown) in [
            ("Cancer", "`Cancer`"),
            ("a%20b", "`a b`"),
            ("a_b", "`a_b`"),
            ("%C5%BE", "`\\u{17e}`"),
            (&long[..64], &long[..64]),
        ] {
            let path = format!("/api/v1/endpoints/{endpoint}");
            let put = subject.api.json("PUT", &path, &json!({"model": "cancer@champion"}));
            refused(&put, 400, "endpoint", &[shown, "expected 1 to 63 of a-z, 0-9 and `-`"]);
        }
        let put = subject.api.json("PUT", "/api/v1/endpoints/a.B", &json!({"model": "m/1"}));
        refused(&put, 400, "endpoint", &["`B`", "environment"]);
        let texts = json!({"name": "m", "tags": {"a\u{202e}": "b"}});
        refused(&subject.api.json("POST", "/api/v1/models", &texts), 400, "tags", &["U+202E"]);
    });
    subject.api.json("POST", "/api/v1/models", &json!({"name": "credit risk"})).expect(201);
    assert_eq!(
        subject.api.ask("GET", "/api/v1/models/credit%20risk").expect(200)["name"],
        "credit risk"
    );
    subject.unchanged_by(|| {
        for alias in ["latest", "v1", "V17"] {
            let path = format!("/api/v1/models/credit%20risk/aliases/{alias}");
            let put = subject.api.json("PUT", &path, &json!({"version": 1}));
            refused(&put, 400, "alias", &["reserved", "`latest`", "look like a version"]);
        }
        let path = "/api/v1/models/credit%20risk/aliases/a%20b";
        let put = subject.api.json("PUT", path, &json!({"version": 1}));
        refused(&put, 400, "alias", &["'a b'", "letters, digits"]);
    });
}
