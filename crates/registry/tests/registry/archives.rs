//! `/archives`

use std::io::{Cursor, Write as _};

use actix_web::http::Method;
use flate2::{Compression, write::GzEncoder};
use registry::Limits;
use serde_json::{Value, json};
use tar::{EntryType, Header};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{
    onnx,
    platform::{Answer, Platform},
};

/// One entry of a tar: its name, kind and content.
type Entry<'a> = (&'a str, EntryType, &'a [u8]);

fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    (name, EntryType::Regular, content)
}

/// A tar whose names are written as they are, checked by nobody.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name_literal("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        match name.strip_suffix('/') {
            Some(folder) => {
                writer.add_directory(folder, SimpleFileOptions::default()).unwrap();
            }
            None => {
                writer.start_file(*name, SimpleFileOptions::default()).unwrap();
                writer.write_all(content).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

async fn unpack(platform: &Platform, format: &str, archive: Vec<u8>) -> Answer {
    let path = format!("/archives?format={format}");
    platform.send(platform.request(Method::POST, &path).set_payload(archive)).await
}

fn paths(answer: &Value) -> Vec<String> {
    let files = answer["files"].as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn an_archive_of_each_kind_becomes_blobs_that_a_version_can_name() {
    let platform = Platform::start().await;
    let (model, notes) = (onnx::model(1), vec![b'n'; 700_000]);
    let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(120));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("./model.onnx", &model), (&*long, &notes)] {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &content[..]).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    let zipped = zip(&[("model.onnx", &model), (&long, &notes)]);
    let mut digests = Vec::new();
    for (format, archive) in [("tar.gz", gzip(&plain)), ("tar", plain), ("zip", zipped)] {
        let unpacked = unpack(&platform, format, archive).await.expect(201);
        assert_eq!(paths(&unpacked), [long.clone(), "model.onnx".to_owned()], "{format}");
        let new = json!({"files": unpacked["files"]});
        let answer = platform.post("/models/fraud/versions", new).await;
        digests.push(answer.json()["digest"].clone());
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}

#[actix_web::test]
async fn a_folder_that_everything_stands_in_is_left_out() {
    let platform = Platform::start().await;
    let folder = ("net/", EntryType::Directory, &b""[..]);
    let archive = tar(&[folder, file("net/model.onnx", b"1"), file("net/data/w.bin", b"2")]);
    let unpacked = unpack(&platform, "tar", archive).await.expect(201);
    assert_eq!(paths(&unpacked), ["data/w.bin", "model.onnx"]);
    let archive = tar(&[file("net/model.onnx", b"1"), file("readme", b"2")]);
    let unpacked = unpack(&platform, "tar", archive).await.expect(201);
    assert_eq!(paths(&unpacked), ["net/model.onnx", "readme"]);
    let zipped = zip(&[("net/", b""), ("net/a", b"1"), ("net/b", b"2")]);
    let unpacked = unpack(&platform, "zip", zipped).await.expect(201);
    assert_eq!(paths(&unpacked), ["a", "b"]);
}

#[actix_web::test]
async fn pax_names_and_sizes_are_understood() {
    let platform = Platform::start().await;
    let long = format!("{}.txt", "é".repeat(100));
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_pax_extensions([("path", long.as_bytes()), ("size", b"3"), ("mtime", b"1.5")])
        .unwrap();
    let mut header = Header::new_ustar();
    header.set_path("short").unwrap();
    // What pax says counts.
    header.set_size(3);
    header.set_cksum();
    builder.append(&header, &b"abc"[..]).unwrap();
    let unpacked = unpack(&platform, "tar", builder.into_inner().unwrap()).await.expect(201);
    assert_eq!((paths(&unpacked), &unpacked["files"][0]["size"]), (vec![long], &json!(3)));
}

#[actix_web::test]
async fn what_leads_out_of_the_folder_or_is_no_file_is_refused() {
    let platform = Platform::start().await;
    let device = ("dev", EntryType::Char, &b""[..]);
    let fifo = ("pipe", EntryType::Fifo, &b""[..]);
    let symlink = ("link", EntryType::Symlink, &b""[..]);
    let hard_link = ("hard", EntryType::Link, &b""[..]);
    let escaping_folder = ("../up/", EntryType::Directory, &b""[..]);
    for (entries, message) in [
        (vec![file("/etc/passwd", b"x")], "the path `/etc/passwd` is absolute"),
        (vec![file("a/../../x", b"x")], "holds an empty part, `.` or `..`"),
        (vec![file(".//etc/passwd", b"x")], "is absolute"),
        (vec![file("a\\..\\x", b"x")], "holds a backslash"),
        (vec![escaping_folder], "holds an empty part, `.` or `..`"),
        (vec![symlink], "`link` is a link"),
        (vec![hard_link], "`hard` is a link"),
        (vec![device], "`dev` is neither a file nor a folder"),
        (vec![fifo], "`pipe` is neither a file nor a folder"),
        (vec![file("a", b"1"), file("./a", b"2")], "the path `a` stands twice"),
        (vec![file("a", b"1"), file("a/b", b"2")], "`a` is a file and the folder of `a/b`"),
        (vec![], "0 files: expected 1 to 10000"),
    ] {
        let refused = unpack(&platform, "tar", tar(&entries)).await;
        let found = refused.refusal(400, Some("files"));
        assert!(found.contains(message), "{found}");
    }
}

#[actix_web::test]
async fn zips_are_held_to_the_same_rules() {
    let platform = Platform::start().await;
    let with_link = {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        writer.finish().unwrap().into_inner()
    };
    // The crate makes no two entries of one name: one of two is renamed in the finished archive.
    let twice = {
        let mut archive = zip(&[("aa", b"1"), ("ab", b"2")]);
        for at in 0..archive.len() - 2 {
            if &archive[at..at + 2] == b"ab" {
                archive[at + 1] = b'a';
            }
        }
        archive
    };
    for (archive, message) in [
        (zip(&[("../x", b"1")]), "holds an empty part, `.` or `..`"),
        (zip(&[("/etc/passwd", b"1")]), "is absolute"),
        (with_link, "`link` is a link"),
        (twice, "the path `aa` stands twice"),
    ] {
        let refused = unpack(&platform, "zip", archive).await;
        let found = refused.refusal(400, Some("files"));
        assert!(found.contains(message), "{found}");
    }
}

#[actix_web::test]
async fn what_is_damaged_or_cut_short_is_refused() {
    let platform = Platform::start().await;
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let plain = tar(&[file("a", &content), file("b", &content)]);
    let (packed, zipped) = (gzip(&plain), zip(&[("a", &content), ("b", &content)]));
    let flipped = |archive: &[u8], at: usize| {
        let mut archive = archive.to_vec();
        archive[at] ^= 0xff;
        archive
    };
    // A tar without the two empty blocks at its end may lack files.
    let without_end = plain[..plain.len() - 1024].to_vec();
    for (format, archive) in [
        ("tar", plain[..100].to_vec()),
        ("tar", plain[..5000].to_vec()),
        ("tar", without_end),
        ("tar", flipped(&plain, 10)),
        ("tar.gz", packed[..packed.len() / 2].to_vec()),
        ("tar.gz", packed[..packed.len() - 4].to_vec()),
        ("tar.gz", flipped(&packed, packed.len() - 6)),
        ("tar.gz", plain.clone()),
        ("zip", zipped[..zipped.len() / 2].to_vec()),
        ("zip", flipped(&zipped, 1000)),
        ("zip", plain.clone()),
        ("tar", zipped.clone()),
        ("zip", Vec::new()),
        ("tar", Vec::new()),
    ] {
        let refused = unpack(&platform, format, archive).await;
        let found = refused.refusal(400, None);
        assert!(found.starts_with("the archive cannot be read"), "{found}");
    }
    platform.post("/archives", json!({})).await.refusal(400, Some("format"));
    unpack(&platform, "rar", plain).await.refusal(400, Some("format"));
}

/// A `tar.gz` and a zip that unpack to 80 MiB of nothing, out of a part that is packed once.
fn bombs() -> [(&'static str, Vec<u8>); 2] {
    const PART: usize = 4 << 20;
    const PARTS: usize = 20;
    let zeros = vec![0; PART];
    let mut header = Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_size((PART * PARTS) as u64);
    header.set_cksum();
    let packed = [gzip(header.as_bytes()), gzip(&zeros).repeat(PARTS)].concat();

    let mut one = ZipArchive::new(Cursor::new(zip(&[("a", &zeros)]))).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..PARTS {
        let part = one.by_index_raw(0).unwrap();
        writer.raw_copy_file_rename(part, format!("{at}")).unwrap();
    }
    [("tar.gz", packed), ("zip", writer.finish().unwrap().into_inner())]
}

#[actix_web::test]
async fn an_archive_that_explodes_is_refused_before_it_does() {
    let platform = Platform::start().await;
    for (format, archive) in bombs() {
        assert!(archive.len() < 200_000, "{}", archive.len());
        let refused = unpack(&platform, format, archive).await;
        let message = "the archive unpacks to more than 200 times its size";
        assert_eq!(refused.refusal(413, None), message, "{format}");
    }
}

#[actix_web::test]
async fn archives_that_are_too_large_or_hold_too_much_are_refused() {
    let limits = Limits { archive_bytes: 100_000, ..Limits::default() };
    let platform = Platform::with_limits(limits).await;
    let refused = unpack(&platform, "tar", vec![0; 100_001]).await;
    assert_eq!(refused.refusal(413, None), "the archive has more than 100000 bytes");
    let content = vec![b'a'; 150_000];
    let refused = unpack(&platform, "zip", zip(&[("a", &content)])).await;
    assert_eq!(refused.refusal(413, None), "the archive unpacks to more than 100000 bytes");
}

#[actix_web::test]
async fn an_archive_of_too_many_entries_is_refused() {
    let platform = Platform::start().await;
    let names: Vec<String> = (0..10_001).map(|at| format!("d{at}/")).collect();
    let folders: Vec<Entry<'_>> =
        names.iter().map(|name| (name.as_str(), EntryType::Directory, &b""[..])).collect();
    let zipped: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    for (format, archive) in [("tar", tar(&folders)), ("zip", zip(&zipped))] {
        let refused = unpack(&platform, format, archive).await;
        assert_eq!(refused.refusal(413, None), "the archive has more than 10000 entries");
    }
}

#[actix_web::test]
async fn names_and_extensions_without_measure_are_refused() {
    let platform = Platform::start().await;
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        let long = vec![b'a'; (1 << 20) + 1];
        let refused = unpack(&platform, "tar", tar(&[("x", kind, &long), file("a", b"1")])).await;
        assert!(refused.refusal(400, None).contains("longer than 1 MiB"));
    }
    let malformed = tar(&[("x", EntryType::XHeader, b"99 path=a\n"), file("a", b"1")]);
    let refused = unpack(&platform, "tar", malformed).await;
    assert!(refused.refusal(400, None).contains("a pax extension is malformed"));
}
