//! Settings that are wrong stop the start, and name themselves.

use bottega_tests::{Options, Server};

#[test]
fn a_wrong_setting_stops_the_start_and_is_named() {
    let start = |arguments: &[&str], environment: &[(&str, &str)]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let environment =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let data_dir = Some(folder.path().join("data"));
        let refused =
            Server::try_start(Options { arguments, environment, data_dir, ..Options::default() });
        refused.err().expect("it started")
    };
    for (arguments, environment, words) in [
        (&["--trial-timeout", "soon"][..], &[][..], &["trial_timeout", "soon"][..]),
        (&["--http-workers", "0"], &[], &["http_workers", "at least 1"]),
        (&["--grpc-workers", "0"], &[], &["grpc_workers", "at least 1"]),
        (&["--artifacts", "gs://bucket"], &[], &["gs://bucket", "s3://BUCKET/PREFIX"]),
        (&["--onnxruntime", "/nothing.so"], &[], &["/nothing.so"]),
        (&["--pg-bin-dir", "/nothing"], &[], &["/nothing"]),
        (&["--config", "/nothing.toml"], &[], &["/nothing.toml"]),
        (&[], &[("BOTTEGA_SECRET_KEY", "short")], &["secret key", "too short", "openssl rand"]),
        (&[], &[("BOTTEGA_ADMIN_TOKEN", "short")], &["token", "too short", "20 characters"]),
        (&[], &[("BOTTEGA_MAX_BODY_BYTES", "lots")], &["max_body_bytes", "lots"]),
    ] {
        let refused = start(arguments, environment);
        assert_eq!(refused.code, 1, "{arguments:?} {environment:?}: {}", refused.stderr);
        for word in words {
            assert!(refused.stderr.contains(word), "no `{word}` in: {}", refused.stderr);
        }
        for (_, value) in environment.iter().filter(|(name, _)| name.ends_with("_KEY")) {
            assert!(!refused.stderr.contains(&format!("`{value}`")), "{}", refused.stderr);
        }
    }
}
