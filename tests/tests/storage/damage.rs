//! Bytes that changed on the disk.

use std::{os::unix::fs::FileExt as _, path::PathBuf, time::Duration};

use bottega_tests::{Caller, Server, model, wait_until};
use nix::sys::signal::Signal;

use crate::{predict, push};

/// The files of the artifact store.
fn blobs(server: &Server) -> Vec<PathBuf> {
    let blobs = server.data_dir().join("artifacts/blobs");
    std::fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn changed_bytes_are_never_served_and_the_same_file_heals_them() {
    let mut server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let before = predict(&server, "cancer").json();
    let [blob] = &blobs(&server)[..] else { panic!("one file makes one blob") };
    // In the weights: what is left is a model, and a wrong one.
    let file = std::fs::OpenOptions::new().write(true).open(blob).unwrap();
    file.write_all_at(&[0x40; 8], 500).unwrap();

    // It is found by whoever reads it, and not handed out.
    let to = tempfile::tempdir().unwrap();
    let there = to.path().join("there");
    let pulled = server.cli(["pull", "cancer/1", "--to", there.to_str().unwrap()]);
    assert_eq!(pulled.code, 1, "{}", pulled.stdout);
    assert!(
        pulled.stderr.contains("damaged") && pulled.stderr.contains("sha256:"),
        "{}",
        pulled.stderr
    );
    assert!(!there.join("breast_cancer.onnx").exists(), "damaged bytes were kept");
    wait_until("the log says so", Duration::from_secs(2), || {
        server.log().contains("upload the same file again to repair it")
    });
    // What is loaded was sound when it was loaded.
    assert_eq!(predict(&server, "cancer").json(), before);

    server.signal(Signal::SIGKILL);
    std::fs::remove_dir_all(server.data_dir().join("cache")).unwrap();
    let server = server.restart();
    let refused = predict(&server, "cancer").error(1);
    assert_eq!(refused["code"], "unavailable", "{refused}");
    let status = server.cli(["status"]).json();
    assert!(status.to_string().contains("damaged"), "{status}");
    // Nor does it go live elsewhere.
    let deployed =
        server.cli(["deploy", "other", "--model", "cancer/1", "--wait", "--timeout", "20s"]);
    assert_eq!(deployed.code, 1, "{}{}", deployed.stdout, deployed.stderr);
    assert!(deployed.stderr.contains("damaged"), "{}", deployed.stderr);

    // The same file again.
    let again = push(&server, "cancer", &model("breast_cancer.onnx")).json();
    assert_eq!((&again["version"], &again["created"]), (&1.into(), &false.into()));
    wait_until("the endpoint answers again", Duration::from_secs(15), || {
        predict(&server, "cancer").code == 0
    });
    assert_eq!(predict(&server, "cancer").json(), before);
    server.cli(["pull", "cancer/1", "--to", there.to_str().unwrap()]).json();
    let whole = std::fs::read(there.join("breast_cancer.onnx")).unwrap();
    assert_eq!(whole, std::fs::read(model("breast_cancer.onnx")).unwrap());
}

#[test]
fn bytes_that_are_cut_short_or_gone_are_not_handed_out() {
    let server = Server::start();
    let caller = Caller::of(&server);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.bin");
    let content: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
    std::fs::write(&file, &content).unwrap();
    let damages: [fn(&std::path::Path); 3] = [
        |blob| std::fs::File::options().write(true).open(blob).unwrap().set_len(1 << 20).unwrap(),
        |blob| std::fs::remove_file(blob).unwrap(),
        |blob| std::fs::File::options().append(true).open(blob).unwrap().set_len(4 << 20).unwrap(),
    ];
    for damage in damages {
        push(&server, "notes", &file).json();
        let to = folder.path().join("there");
        server.cli(["pull", "notes/1", "--to", to.to_str().unwrap()]).json();
        std::fs::remove_dir_all(&to).unwrap();
        // Healed blobs get new keys; the newest is the one.
        let newest = blobs(&server).into_iter().max().unwrap();
        damage(&newest);
        let pulled = server.cli(["pull", "notes/1", "--to", to.to_str().unwrap()]);
        assert_eq!(pulled.code, 1, "{}", pulled.stdout);
        assert!(!to.join("notes.bin").exists(), "damaged bytes were kept");
        let again = server.cli(["pull", "notes/1", "--to", to.to_str().unwrap()]).error(1);
        assert!(again["message"].as_str().unwrap().contains("damaged"), "{again}");
        assert!(again["hint"].as_str().unwrap().contains("push the same file again"), "{again}");
        caller.ask("GET", "/health/ready").expect(200);
    }
}
