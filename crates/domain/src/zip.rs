//! The central directory of a zip archive, read with bounds.
//!
//! Readers for general use trust the directory's own word for how long it is before anybody can
//! ask; this one bounds it first, and gives every entry out, also those whose names repeat. What is
//! understood: zip64, names in UTF-8. Bytes before the first or behind the last record are not.

use std::io::{self, Read, Seek, SeekFrom};

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

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not as zip archives are.
    #[error("{0}")]
    Damaged(&'static str),
    /// It has more entries than its reader takes.
    #[error("it has more than {0} entries")]
    TooMany(usize),
    /// Its bytes could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// Where the central directory is.
struct Directory {
    offset: u64,
    length: u64,
    entries: u64,
}

/// All entries of an archive, in the directory's order.
///
/// # Errors
/// A directory that is damaged, cut short or longer than `most` entries take.
pub fn entries(file: &mut (impl Read + Seek), most: usize) -> Result<Vec<Entry>> {
    let directory = Directory::find(file, most)?;
    let content = part(file, directory.offset, directory.length)?;
    let (mut rest, mut entries) = (Fields(&content), Vec::new());
    for _ in 0..directory.entries {
        let (mut entry, next) = Entry::read(rest)?;
        entry.end = directory.offset;
        entries.push(entry);
        rest = next;
    }
    // Some readers count entries, others go on while there are bytes: both must see the same.
    if !rest.0.is_empty() {
        return Err(Error::Damaged("its directory holds more than it says"));
    }
    Ok(entries)
}

/// Whether a file ends as archives do, whatever it begins with.
///
/// # Errors
/// It could not be read.
pub fn has_end(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    match tail(file) {
        Ok(tail) => Ok(end_in(&tail).is_some()),
        Err(Error::Io(error)) => Err(error),
        Err(Error::Damaged(_) | Error::TooMany(_)) => Ok(false),
    }
}

/// As much of a file's end as may hold the end record.
fn tail(file: &mut (impl Read + Seek)) -> Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    let longest = (END_LENGTH + usize::from(u16::MAX) + LOCATOR_LENGTH) as u64;
    let start = length.saturating_sub(longest);
    part(file, start, length - start)
}

/// Where the end record is.
fn end_in(tail: &[u8]) -> Option<usize> {
    (0..=tail.len().checked_sub(END_LENGTH)?).rev().find(|&at| is_end(Fields(&tail[at..])))
}

impl Directory {
    fn find(file: &mut (impl Read + Seek), most: usize) -> Result<Self> {
        let tail = tail(file)?;
        let at = end_in(&tail)
            .ok_or(Error::Damaged("it has no end as zip archives have, or ends early"))?;
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
        if found.entries > most as u64 || found.length > LONGEST_DIRECTORY {
            return Err(Error::TooMany(most));
        }
        Ok(found)
    }

    fn read64(file: &mut (impl Read + Seek), at: u64) -> Result<Self> {
        let end = part(file, at, 56)?;
        let end = Fields(&end);
        if end.u32(0)? != END64 {
            return Err(Error::Damaged("its zip64 end is not where it should be"));
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
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path; a folder's ends with `/`.
    pub name: String,
    /// How it is packed: 0 not at all, 8 by deflate.
    pub method: u16,
    /// Whether it takes a password.
    pub is_encrypted: bool,
    /// Unix's file type and permissions; 0 where the archive was not made there.
    pub mode: u32,
    /// The checksum of its content.
    pub crc: u32,
    /// Its length in the archive.
    pub packed: u64,
    /// The length of its content.
    pub size: u64,
    offset: u64,
    /// Where the directory begins: no content lies behind it.
    end: u64,
}

impl Entry {
    fn read(fields: Fields<'_>) -> Result<(Self, Fields<'_>)> {
        if fields.u32(0)? != DIRECTORY_ENTRY {
            return Err(Error::Damaged("its directory is not where it should be"));
        }
        let lengths = [fields.u16(28)?, fields.u16(30)?, fields.u16(32)?].map(usize::from);
        let [name, extra, comment] = lengths;
        let (name_bytes, rest) = fields.skip(46)?.split(name)?;
        let (extra, rest) = rest.split(extra)?;
        let made_on_unix = matches!(fields.u16(4)? >> 8, 3 | 19);
        let mut entry = Self {
            name: String::from_utf8(name_bytes.0.to_vec())
                .map_err(|_| Error::Damaged("a path in it is not UTF-8"))?,
            method: fields.u16(10)?,
            is_encrypted: fields.u16(8)? & 1 != 0,
            mode: if made_on_unix { fields.u32(38)? >> 16 } else { 0 },
            crc: fields.u32(16)?,
            packed: fields.u32(20)?.into(),
            size: fields.u32(24)?.into(),
            offset: fields.u32(42)?.into(),
            end: 0,
        };
        entry.widen(extra)?;
        Ok((entry, rest.skip(comment)?))
    }

    /// Takes the sizes that do not fit 32 bits from the zip64 extension.
    fn widen(&mut self, mut extra: Fields<'_>) -> Result<()> {
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

    /// Where the entry's packed bytes begin, by its local header.
    ///
    /// # Errors
    /// They are not where the directory says.
    pub fn begin(&self, file: &mut (impl Read + Seek)) -> Result<u64> {
        let header = part(file, self.offset, 30)?;
        let header = Fields(&header);
        if header.u32(0)? != LOCAL_HEADER {
            return Err(Error::Damaged("a file is not where the directory says"));
        }
        let start = self.offset + 30 + u64::from(header.u16(26)?) + u64::from(header.u16(28)?);
        if start.checked_add(self.packed).is_none_or(|packed_end| packed_end > self.end) {
            return Err(Error::Damaged("a file is longer than the archive"));
        }
        Ok(start)
    }
}

/// Bytes with numbers in them, the lower byte first.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N]> {
        let bytes = self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(Error::Damaged("a record is cut short"))
    }

    fn u16(self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn split(self, at: usize) -> Result<(Self, Self)> {
        let (first, rest) =
            self.0.split_at_checked(at).ok_or(Error::Damaged("a record is cut short"))?;
        Ok((Fields(first), Fields(rest)))
    }

    fn skip(self, length: usize) -> Result<Self> {
        self.split(length).map(|(_, rest)| rest)
    }
}

/// The bytes at this place, of a length that is bounded by the caller.
fn part(file: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut content = Vec::new();
    file.take(length).read_to_end(&mut content)?;
    if content.len() as u64 == length {
        Ok(content)
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}
