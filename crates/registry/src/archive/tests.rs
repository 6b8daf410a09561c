//! Archives that are almost right: whatever a walker makes of them, it must not panic, and what it
//! hands out must be whole.

use std::{collections::BTreeMap, io::Write as _, thread};

use ::zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
use futures_util::TryStreamExt as _;

use super::*;

/// What a walker handed out, and how it ended. Files whose upload broke off are left out.
fn walked(format: Format, archive: &[u8]) -> (BTreeMap<String, Vec<u8>>, Result<(), Problem>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(archive).unwrap();
    file.rewind().unwrap();
    let (sender, mut members) = mpsc::channel(1);
    let budget = Budget::of(archive.len() as u64, 1 << 30);
    let walking = thread::spawn(move || walk(format, file, Outbox::new(sender), budget));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let files = runtime.block_on(async {
        let mut files = BTreeMap::new();
        while let Some(Member { path, body }) = members.recv().await {
            if let Ok(chunks) = body.try_collect::<Vec<_>>().await {
                files.insert(path.to_string(), chunks.concat());
            }
        }
        files
    });
    (files, walking.join().expect("a walker does not panic"))
}

fn tar_archive() -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", &b"long/a"[..]), ("size", b"5")]).unwrap();
    for (name, content) in [("a", &b"hello"[..]), ("b", b"world")] {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip_archive(options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in [("a", "hello hello hello"), ("b", "world")] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn no_changed_byte_makes_a_walker_panic() {
    let zipped = zip_archive(SimpleFileOptions::default());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (format, archive) in [
        (Format::Tar, tar_archive()),
        (Format::Zip, zipped),
        (Format::Zip, zip_archive(stored.large_file(true))),
    ] {
        let (whole, ended) = walked(format, &archive);
        assert_eq!((whole.len(), ended), (2, Ok(())));
        // Tar is mostly padding: every 5th byte meets each field.
        let step = if format == Format::Tar { 5 } else { 1 };
        for at in (0..archive.len()).step_by(step) {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = archive.clone();
                damaged[at] ^= change;
                let (files, ended) = walked(format, &damaged);
                assert!(ended.is_err() || !files.is_empty(), "{format:?} {at}");
            }
        }
    }
}

#[test]
fn an_archive_that_ends_early_never_passes_for_whole() {
    for (format, archive) in
        [(Format::Tar, tar_archive()), (Format::Zip, zip_archive(SimpleFileOptions::default()))]
    {
        // A tar ends with two empty blocks; one is enough to see the end.
        let shortest = archive.len() - if format == Format::Tar { 512 } else { 0 };
        for length in (0..shortest).step_by(7) {
            let (_, ended) = walked(format, &archive[..length]);
            assert!(ended.is_err(), "{format:?} of {length} bytes");
        }
    }
}

#[test]
fn files_beyond_four_gibibytes_are_found_by_zip64() {
    // What a writer does for a file of unknown length: sizes in the zip64 extension.
    let options = SimpleFileOptions::default().large_file(true);
    let (files, ended) = walked(Format::Zip, &zip_archive(options));
    assert_eq!(ended, Ok(()));
    assert_eq!(files["a"], b"hello hello hello");
}

#[test]
fn a_zip64_end_is_followed() {
    // The crate writes it from 65,536 entries on only: here it is made by hand, between the
    // directory and the end.
    let archive = zip_archive(SimpleFileOptions::default());
    let end = archive.len() - 22;
    let number = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap());
    let (length, offset) = (u64::from(number(end + 12)), u64::from(number(end + 16)));
    let mut wide = archive[..end].to_vec();
    wide.extend_from_slice(&0x0606_4b50_u32.to_le_bytes());
    wide.extend_from_slice(&44_u64.to_le_bytes());
    wide.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for field in [2, 2, length, offset] {
        wide.extend_from_slice(&field.to_le_bytes());
    }
    wide.extend_from_slice(&0x0706_4b50_u32.to_le_bytes());
    wide.extend_from_slice(&0_u32.to_le_bytes());
    wide.extend_from_slice(&(end as u64).to_le_bytes());
    wide.extend_from_slice(&1_u32.to_le_bytes());
    wide.extend_from_slice(&archive[end..end + 8]);
    wide.extend_from_slice(&[0xff; 12]);
    wide.extend_from_slice(&[0, 0]);
    let (files, ended) = walked(Format::Zip, &wide);
    assert_eq!((files.len(), ended), (2, Ok(())));
}
