//! Walks a zip archive by its central directory.
//!
//! Readers for general use trust the directory's own word for how long it is before anybody can
//! ask; this one bounds it first. What is understood: stored and deflated files, zip64, names in
//! UTF-8. Bytes before the first or behind the last record are not, nor are passwords.

use std::io::{self, Read, Seek, SeekFrom};

use domain::{ErrorCode, Problem};
use flate2::{Crc, read::DeflateDecoder};

use super::{
    damaged,
    outbox::{Budget, MOST_ENTRIES, Outbox},
    unreadable,
};

const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const LOCAL_HEADER: u32 = 0x0403_4b50;
/// The end record without its comment, which may have 65,535 bytes.
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
/// The longest central directory that is read.
const LONGEST_DIRECTORY: u64 = 32 << 20;

/// Hands all files of the archive out.
pub(super) fn walk(
    mut file: impl Read + Seek,
    out: &mut Outbox,
    budget: &mut Budget,
) -> Result<(), Problem> {
    let directory = Directory::find(&mut file)?;
    let content = part(&mut file, directory.offset, directory.length)?;
    let mut rest = Fields(&content);
    for _ in 0..directory.entries {
        let (entry, next) = Entry::read(rest)?;
        rest = next;
        out.entry()?;
        deliver(&mut file, &entry, directory.offset, out, budget)?;
    }
    Ok(())
}

fn deliver(
    file: &mut (impl Read + Seek),
    entry: &Entry,
    end: u64,
    out: &mut Outbox,
    budget: &mut Budget,
) -> Result<(), Problem> {
    if entry.name.ends_with('/') {
        return out.folder(&entry.name);
    }
    entry.must_be_a_file()?;
    let header = part(file, entry.offset, 30)?;
    let header = Fields(&header);
    if header.u32(0)? != LOCAL_HEADER {
        return Err(damaged("a file is not where the directory says"));
    }
    let start = entry.offset + 30 + u64::from(header.u16(26)?) + u64::from(header.u16(28)?);
    if start.checked_add(entry.packed).is_none_or(|packed_end| packed_end > end) {
        return Err(damaged("a file is longer than the archive"));
    }
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

/// Where the central directory is.
struct Directory {
    offset: u64,
    length: u64,
    entries: u64,
}

impl Directory {
    fn find(file: &mut (impl Read + Seek)) -> Result<Self, Problem> {
        let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let longest = (END_LENGTH + usize::from(u16::MAX) + LOCATOR_LENGTH) as u64;
        let tail_start = length.saturating_sub(longest);
        let tail = part(file, tail_start, length - tail_start)?;
        let at = (0..=tail.len().saturating_sub(END_LENGTH))
            .rev()
            .find(|&at| is_end(Fields(&tail[at..])))
            .ok_or_else(|| damaged("it has no end as zip archives have, or ends early"))?;
        let end = Fields(&tail[at..]);
        let mut found = Self {
            offset: end.u32(16)?.into(),
            length: end.u32(12)?.into(),
            entries: end.u16(10)?.into(),
        };
        if let Some(locator) = at.checked_sub(LOCATOR_LENGTH).map(|at| Fields(&tail[at..]))
            && locator.u32(0)? == END64_LOCATOR
        {
            found = Self::read64(file, locator.u64(8)?)?;
        }
        if found.entries > MOST_ENTRIES as u64 || found.length > LONGEST_DIRECTORY {
            let message = format!("the archive has more than {MOST_ENTRIES} entries");
            return Err(Problem::new(ErrorCode::TooLarge, message));
        }
        Ok(found)
    }

    fn read64(file: &mut (impl Read + Seek), at: u64) -> Result<Self, Problem> {
        let end = part(file, at, 56)?;
        let end = Fields(&end);
        if end.u32(0)? != END64 {
            return Err(damaged("its zip64 end is not where it should be"));
        }
        Ok(Self { offset: end.u64(48)?, length: end.u64(40)?, entries: end.u64(32)? })
    }
}

/// Whether the end record begins here: its comment ends where the file does.
fn is_end(tail: Fields<'_>) -> bool {
    let comment = tail.u16(20).map_or(usize::MAX, usize::from);
    tail.u32(0).is_ok_and(|signature| signature == END) && tail.0.len() == END_LENGTH + comment
}

/// One entry of the central directory.
struct Entry {
    name: String,
    method: u16,
    is_encrypted: bool,
    /// Unix's file type and permissions; 0 where the archive was not made there.
    mode: u32,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

impl Entry {
    fn read(fields: Fields<'_>) -> Result<(Self, Fields<'_>), Problem> {
        if fields.u32(0)? != DIRECTORY_ENTRY {
            return Err(damaged("its directory is not where it should be"));
        }
        let lengths = [fields.u16(28)?, fields.u16(30)?, fields.u16(32)?].map(usize::from);
        let [name, extra, comment] = lengths;
        let (name_bytes, rest) = fields.skip(46)?.split(name)?;
        let (extra, rest) = rest.split(extra)?;
        let made_on_unix = matches!(fields.u16(4)? >> 8, 3 | 19);
        let mut entry = Self {
            name: String::from_utf8(name_bytes.0.to_vec())
                .map_err(|_| Problem::invalid("files", "a path in the archive is not UTF-8"))?,
            method: fields.u16(10)?,
            is_encrypted: fields.u16(8)? & 1 != 0,
            mode: if made_on_unix { fields.u32(38)? >> 16 } else { 0 },
            crc: fields.u32(16)?,
            packed: fields.u32(20)?.into(),
            size: fields.u32(24)?.into(),
            offset: fields.u32(42)?.into(),
        };
        entry.widen(extra)?;
        Ok((entry, rest.skip(comment)?))
    }

    /// Takes the sizes that do not fit 32 bits from the zip64 extension.
    fn widen(&mut self, mut extra: Fields<'_>) -> Result<(), Problem> {
        const SATURATED: u64 = u32::MAX as u64;
        while extra.0.len() >= 4 {
            let (kind, length) = (extra.u16(0)?, extra.u16(2)?);
            let (mut content, rest) = extra.skip(4)?.split(length.into())?;
            if kind == 1 {
                for field in [&mut self.size, &mut self.packed, &mut self.offset] {
                    if *field == SATURATED {
                        *field = content.u64(0)?;
                        content = content.skip(8)?;
                    }
                }
            }
            extra = rest;
        }
        Ok(())
    }

    fn must_be_a_file(&self) -> Result<(), Problem> {
        let shown: String = self.name.chars().take(120).flat_map(char::escape_default).collect();
        let refusal = |what: &str| Err(Problem::invalid("files", format!("`{shown}` is {what}")));
        match self.mode & 0o170_000 {
            _ if self.is_encrypted => refusal("encrypted: pack without a password"),
            0 | 0o100_000 => Ok(()),
            0o120_000 => refusal("a link: expected regular files and folders only"),
            _ => refusal("neither a file nor a folder: expected regular files and folders only"),
        }
    }
}

/// Bytes with numbers in them, the lower byte first.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Problem> {
        let bytes = self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| damaged("a record is cut short"))
    }

    fn u16(self, at: usize) -> Result<u16, Problem> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, Problem> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: usize) -> Result<u64, Problem> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn split(self, at: usize) -> Result<(Self, Self), Problem> {
        let (first, rest) =
            self.0.split_at_checked(at).ok_or_else(|| damaged("a record is cut short"))?;
        Ok((Fields(first), Fields(rest)))
    }

    fn skip(self, length: usize) -> Result<Self, Problem> {
        self.split(length).map(|(_, rest)| rest)
    }
}

/// The bytes at this place, of a length that is bounded by the caller.
fn part(file: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Vec<u8>, Problem> {
    file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(length).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 == length {
        Ok(content)
    } else {
        Err(unreadable(io::ErrorKind::UnexpectedEof.into()))
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
