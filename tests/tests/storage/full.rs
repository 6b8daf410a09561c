//! A disk that is full.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bottega_tests::{Options, Server, model};
use serde_json::json;

use crate::{predict, push};

/// Mounts a small disk, in a namespace that ends with the process, and becomes the command.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=192m,mode=755 tmpfs "$0" && exec "$@""#;

fn on_a_small_disk(data_dir: &Path) -> Vec<String> {
    let unshare: &[&str] = if nix::unistd::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--mount", "--map-current-user", "--keep-caps"]
    };
    let shell = ["sh", "-c", ON_A_SMALL_DISK, data_dir.to_str().unwrap()];
    unshare.iter().chain(&shell).map(|&word| word.to_owned()).collect()
}

/// Takes what is free, but for some room.
fn fill(folder: &Path, room: u64) -> PathBuf {
    let disk = nix::sys::statvfs::statvfs(folder).unwrap();
    let free = disk.blocks_available() * disk.fragment_size();
    let ballast = folder.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    for _ in 0..(free - room) >> 20 {
        file.write_all(&vec![0; 1 << 20]).unwrap();
    }
    ballast
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_file_that_finds_no_room_is_refused_and_nothing_is_left_of_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    let under = on_a_small_disk(&data_dir);
    let server = Server::start_with(Options {
        data_dir: Some(data_dir.clone()),
        under,
        ..Options::default()
    });
    server.serve("cancer", &model("breast_cancer.onnx"));
    let before = predict(&server, "cancer").json();

    // The disk is only there for the server, and in its view of the files.
    let disk = PathBuf::from(format!("/proc/{}/root{}", server.pid(), data_dir.display()));
    assert!(disk.join("artifacts/blobs").is_dir());
    assert!(!data_dir.join("artifacts").exists(), "the small disk is not used");
    let ballast = fill(&disk, 8 << 20);
    let large = folder.path().join("large.bin");
    let content: Vec<u8> =
        (0..24 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&large, &content).unwrap();
    let kept = files(&disk.join("artifacts/blobs"));
    for _ in 0..2 {
        let refused = push(&server, "large", &large).error(1);
        assert_eq!(refused["code"], "unavailable", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("full"), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("make room"), "{refused}");
        assert_eq!(files(&disk.join("artifacts/blobs")), kept, "something half-written was left");
    }
    // Packed, it does not even get that far.
    let packed = folder.path().join("large.tar");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(folder.path()).arg("-cf").arg(&packed).arg("large.bin");
    assert!(tar.status().unwrap().success());
    let refused = push(&server, "large", &packed).error(1);
    assert!(refused["message"].as_str().unwrap().contains("no room to unpack"), "{refused}");
    assert_eq!(files(&disk.join("scratch")), 0);
    assert_eq!(server.cli(["models", "list"]).json()["items"].as_array().unwrap().len(), 1);
    // Others are served meanwhile.
    assert_eq!(predict(&server, "cancer").json(), before);

    std::fs::remove_file(ballast).unwrap();
    let pushed = push(&server, "large", &large).json();
    assert_eq!((&pushed["version"], &pushed["status"]), (&json!(1), &json!("ready")));
    let to = folder.path().join("there");
    server.cli(["pull", "large/1", "--to", to.to_str().unwrap()]).json();
    assert_eq!(std::fs::read(to.join("large.bin")).unwrap(), content);
}
