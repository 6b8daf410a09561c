//! Walks a zip archive by its central directory. What is understood: what [`domain::zip`] reads,
//! stored and deflated; no passwords.

use std::io::{self, Read, Seek, SeekFrom};

use domain::{
    ErrorCode, Problem,
    zip::{self, Entry},
};
use flate2::{Crc, read::DeflateDecoder};

use super::{
    damaged,
    outbox::{Budget, MOST_ENTRIES, Outbox},
    unreadable,
};

/// Hands all files of the archive out.
pub(super) fn walk(
    mut file: impl Read + Seek,
    out: &mut Outbox,
    budget: &mut Budget,
) -> Result<(), Problem> {
    for entry in zip::entries(&mut file, MOST_ENTRIES).map_err(problem)? {
        out.entry()?;
        deliver(&mut file, &entry, out, budget)?;
    }
    Ok(())
}

fn problem(error: zip::Error) -> Problem {
    match error {
        zip::Error::Damaged(why) => damaged(why),
        zip::Error::TooMany(most) => {
            let message = format!("the archive has more than {most} entries");
            Problem::new(ErrorCode::TooLarge, message)
        }
        zip::Error::Io(error) => unreadable(error),
    }
}

fn deliver(
    file: &mut (impl Read + Seek),
    entry: &Entry,
    out: &mut Outbox,
    budget: &mut Budget,
) -> Result<(), Problem> {
    if entry.name.ends_with('/') {
        return out.folder(&entry.name);
    }
    must_be_a_file(entry)?;
    let start = entry.begin(file).map_err(problem)?;
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let packed = file.take(entry.packed);
    let delivery = out.begin(&entry.name)?;
    match entry.method {
        0 => delivery.deliver(budget.meter(Verified::new(packed, entry)))?,
        8 => delivery.deliver(budget.meter(Verified::new(DeflateDecoder::new(packed), entry)))?,
        method => {
            let problem = damaged(&format!("`{}` is packed by method {method}", entry.name));
            return Err(delivery.fail(problem.hint("pack with deflate, as zip does by itself")));
        }
    };
    Ok(())
}

fn must_be_a_file(entry: &Entry) -> Result<(), Problem> {
    let shown: String = entry.name.chars().take(120).flat_map(char::escape_default).collect();
    let refusal = |what: &str| Err(Problem::invalid("files", format!("`{shown}` is {what}")));
    match entry.mode & 0o170_000 {
        _ if entry.is_encrypted => refusal("encrypted: pack without a password"),
        0 | 0o100_000 => Ok(()),
        0o120_000 => refusal("a link: expected regular files and folders only"),
        _ => refusal("neither a file nor a folder: expected regular files and folders only"),
    }
}

/// A file's content, whose end is an error where length or checksum are not what they should be.
struct Verified<R> {
    inner: R,
    crc: Crc,
    left: u64,
    expected: u32,
}

impl<R: Read> Verified<R> {
    fn new(inner: R, entry: &Entry) -> Self {
        Self { inner, crc: Crc::new(), left: entry.size, expected: entry.crc }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wrong = || io::Error::other(damaged("a file's length or checksum is wrong"));
        let read = self.inner.read(buffer)?;
        self.crc.update(&buffer[..read]);
        self.left = self.left.checked_sub(read as u64).ok_or_else(wrong)?;
        let is_over = read == 0 && !buffer.is_empty();
        if is_over && (self.left > 0 || self.crc.sum() != self.expected) {
            return Err(wrong());
        }
        Ok(read)
    }
}
