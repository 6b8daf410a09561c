//! Files that are no model, or that try to reach out of their folder.

use std::path::Path;

use bottega_tests::{Reply, model};
use domain::Digest;
use serde_json::{Value, json};

use crate::{Subject, refused};

impl Subject {
    /// Uploads files and registers them as a version.
    fn register(&self, name: &str, files: &[(&str, &[u8])]) -> Reply {
        let upload = |&(path, bytes): &(&str, &[u8])| {
            let digest = Digest::of(bytes);
            let uploaded =
                self.api.send("PUT", &format!("/api/v1/blobs/{digest}"), &[], bytes.to_vec());
            assert!(matches!(uploaded.status, 200 | 201), "{uploaded:?}");
            json!({"path": path, "digest": digest.to_string(), "size": bytes.len()})
        };
        let files: Vec<Value> = files.iter().map(upload).collect();
        self.api.json("POST", &format!("/api/v1/models/{name}/versions"), &json!({"files": files}))
    }

    fn is_here(&self, bytes: &[u8]) -> bool {
        let body = json!({"digests": [Digest::of(bytes).to_string()]});
        let missing = self.api.json("POST", "/api/v1/blobs/missing", &body);
        missing.expect(200)["missing"] == json!([])
    }

    /// How many objects the artifact store holds, with a row or without.
    fn objects(&self) -> usize {
        std::fs::read_dir(self.server.data_dir().join("artifacts/blobs")).unwrap().count()
    }
}

#[test]
fn files_and_archives_that_are_no_model_are_refused_and_no_version_is_made() {
    let subject = Subject::start(&[]);
    archives_that_reach_out_or_blow_up(&subject);
    files_that_are_no_model(&subject);
}

fn files_that_are_no_model(subject: &Subject) {
    let bytes = |name: &str| std::fs::read(model(name)).unwrap();
    let good = bytes("breast_cancer.onnx");
    let cases: &[(&str, Vec<u8>, &str, &[&str])] = &[
        ("m.onnx", bytes("not_onnx.onnx"), "files", &["`m.onnx`", "not ONNX", "export the model"]),
        ("m.onnx", bytes("truncated.onnx"), "files", &["ends early, at byte 521", "whole file"]),
        ("m.onnx", Vec::new(), "files", &["`m.onnx`", "empty"]),
        (
            "m.onnx",
            bytes("external_parent.onnx"),
            "files",
            &["`../secret.bin`", "save the model with its external data in the model's own folder"],
        ),
        ("m.onnx", bytes("external_absolute.onnx"), "files", &["`/etc/passwd`", "absolute"]),
        ("m.onnx", bytes("external/model.onnx"), "files", &["weights.bin", "whole folder"]),
        ("../m.onnx", good.clone(), "files[0].path", &["`../m.onnx`", "use relative paths"]),
        (
            "/m.onnx",
            good.clone(),
            "files[0].path",
            &["`/m.onnx`", "absolute", "use relative paths"],
        ),
        ("a\\b.onnx", good.clone(), "files[0].path", &["backslash"]),
    ];
    subject.unchanged_by(|| {
        for (path, content, field, words) in cases {
            refused(&subject.register("bad", &[(path, content)]), 400, field, words);
        }
        refused(&subject.register("bad", &[]), 400, "files", &["expected 1 to"]);
        let twice = [("m.onnx", &good[..]), ("m.onnx", &good)];
        refused(&subject.register("bad", &twice), 400, "files", &["`m.onnx` stands twice"]);
        let two = [("a.onnx", &good[..]), ("b.onnx", &good)];
        refused(
            &subject.register("bad", &two),
            400,
            "files",
            &["a.onnx", "b.onnx", "`model.onnx`"],
        );
    });
    // The same by the command line.
    let pushed =
        subject.server.cli(["push", model("truncated.onnx").to_str().unwrap(), "--name", "bad"]);
    let error = pushed.error(1);
    assert!(error["message"].as_str().unwrap().contains("truncated.onnx"), "{error}");
    subject.api.ask("GET", "/api/v1/models/bad").refusal(404);
}

#[test]
fn bytes_that_are_too_many_or_not_what_was_promised_are_not_kept() {
    let subject = Subject::start(&["--max-artifact-bytes", "1000"]);
    uploads_that_are_too_large(&subject);
    other_bytes_than_promised(&subject);
}

fn other_bytes_than_promised(subject: &Subject) {
    let promised = Digest::of(b"promised");
    subject.unchanged_by(|| {
        let sent = subject.api.send("PUT", &format!("/api/v1/blobs/{promised}"), &[], "sent");
        let words = [Digest::of(b"sent").to_string(), promised.to_string()];
        refused(&sent, 400, "digest", &[&words[0], &words[1], "again"]);
        let short = subject.api.send("PUT", "/api/v1/blobs/sha256:00", &[], "sent");
        refused(&short, 400, "digest", &["`sha256:00`", "64 hex digits"]);
        let nowhere =
            json!({"files": [{"path": "m.onnx", "digest": promised.to_string(), "size": 8}]});
        let absent = subject.api.json("POST", "/api/v1/models/bad/versions", &nowhere);
        refused(&absent, 400, "files", &["`m.onnx`", &words[1], "upload them first"]);
    });
    assert!(!subject.is_here(b"promised") && !subject.is_here(b"sent"));
    assert_eq!(subject.objects(), 0);
    subject.register("good", &[("notes.txt", b"promised")]).expect(201);
    let larger = json!({"files": [{"path": "m.txt", "digest": promised.to_string(), "size": 9}]});
    let wrong = subject.api.json("POST", "/api/v1/models/bad/versions", &larger);
    refused(&wrong, 400, "files", &["`m.txt`", "8 bytes", "not 9"]);
}

fn archives_that_reach_out_or_blow_up(subject: &Subject) {
    let bytes = |name: &str| std::fs::read(model(name)).unwrap();
    let unpack = |format: &str, content: &[u8]| {
        subject.api.send(
            "POST",
            &format!("/api/v1/archives?format={format}"),
            &[],
            content.to_vec(),
        )
    };
    subject.unchanged_by(|| {
        for (format, name, status, field, words) in [
            ("tar", "evil-absolute.tar", 400, "files", &["`/tmp/bottega-evil`", "relative"][..]),
            ("tar", "evil-parent.tar", 400, "files", &["`a/../../bottega-evil`", "relative"]),
            ("tar", "evil-link.tar", 400, "files", &["`weights.bin`", "link", "regular files"]),
            ("tar", "evil-hardlink.tar", 400, "files", &["`weights.bin`", "link", "dereference"]),
            ("zip", "evil-parent.zip", 400, "files", &["`../bottega-evil`", "relative"]),
            ("zip", "bomb.zip", 413, "", &["more than 200 times its size"]),
            ("tar", "bomb.zip", 400, "", &["cannot be read", "tar, tar.gz or zip"]),
            ("zip", "good.tar", 400, "", &["cannot be read", "tar, tar.gz or zip"]),
            ("rar", "good.zip", 400, "format", &["`rar`", "`tar`, `tar.gz`, `zip`"]),
        ] {
            refused(&unpack(format, &bytes(name)), status, field, words);
        }
        for (format, name) in [("tar", "good.tar"), ("tar.gz", "good.tar.gz"), ("zip", "good.zip")]
        {
            let whole = bytes(name);
            for cut in [whole.len().min(1000) / 2, 1, 0] {
                refused(&unpack(format, &whole[..cut]), 400, "", &["cannot be read", "early"]);
            }
        }
    });
    assert!(!subject.is_here(b"evil\n"), "an evil file was stored");
    for outside in ["/tmp/bottega-evil", "/bottega-evil"] {
        assert!(!Path::new(outside).exists(), "{outside} was written");
    }
    let scratch = subject.server.data_dir().join("scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "scratch files were left");
}

fn uploads_that_are_too_large(subject: &Subject) {
    let large = vec![7; 1001];
    subject.unchanged_by(|| {
        let put = format!("/api/v1/blobs/{}", Digest::of(&large));
        refused(&subject.api.send("PUT", &put, &[], large.clone()), 413, "", &["1000 bytes"]);
        // Without a length that would tell it in advance.
        let pieces = large.chunks(100).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
        let pieces: Vec<_> = pieces.collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        refused(&subject.api.send("PUT", &put, &[], body), 413, "", &["1000 bytes"]);
        let archive = subject.api.send("POST", "/api/v1/archives?format=tar", &[], large.clone());
        refused(&archive, 413, "", &["1000 bytes"]);
    });
    assert!(!subject.is_here(&large));
    assert_eq!(subject.objects(), 0);
}
