//! Walks a tar archive, block by block.
//!
//! The crate `tar` reads long names and extensions of any length into memory before anybody can
//! look at them; so only its view of a header is used here. What is understood: POSIX ustar and
//! pax (`path`, `size`), GNU's long names, and the old format.

use std::{
    io::{self, Read},
    mem,
};

use ::tar::{EntryType, Header};
use domain::Problem;

use super::{
    damaged,
    outbox::{Outbox, fill},
    unreadable,
};

const BLOCK: usize = 512;
/// The longest name or extension that is read.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// What extensions say of the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    size: Option<u64>,
}

/// Hands all files of the archive out.
pub(super) fn walk(mut input: impl Read, out: &mut Outbox) -> Result<(), Problem> {
    let mut extension = Extension::default();
    while let Some(block) = next_header(&mut input)? {
        let header = Header::from_byte_slice(&block);
        let size = header.entry_size().map_err(|error| damaged(&error.to_string()))?;
        let kind = header.entry_type();
        if kind.is_pax_local_extensions() {
            let content = read_extension(&mut input, size)?;
            pax(&content, &mut extension)?;
        } else if kind.is_gnu_longname() {
            let content = read_extension(&mut input, size)?;
            let name = content.split(|&byte| byte == 0).next().unwrap_or_default();
            extension.path = Some(text(name)?);
        } else if kind.is_pax_global_extensions() || kind.is_gnu_longlink() {
            // Neither a comment nor the target of a link, which is refused when it comes.
            skip(&mut input, size)?;
        } else {
            out.entry()?;
            let Extension { path, size: given } = mem::take(&mut extension);
            let path = path.map_or_else(|| text(&header.path_bytes()), Ok)?;
            entry(&mut input, out, kind, &path, given.unwrap_or(size))?;
        }
    }
    // Whatever follows is read as well, since gzip keeps its checksum at the very end.
    io::copy(&mut input, &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

fn entry(
    input: &mut impl Read,
    out: &mut Outbox,
    kind: EntryType,
    path: &str,
    size: u64,
) -> Result<(), Problem> {
    // The old format has no kind for folders.
    if kind.is_dir() || (kind.is_file() && path.ends_with('/')) {
        out.folder(path)?;
        return skip(input, size);
    }
    if kind.is_file() || kind.is_contiguous() {
        let delivery = out.begin(path)?;
        delivery.deliver(WholeOf(&mut input.take(size)))?;
        return skip_padding(input, size);
    }
    let what = if kind.is_symlink() || kind.is_hard_link() {
        "a link"
    } else if kind.is_gnu_sparse() {
        "a sparse file"
    } else {
        "neither a file nor a folder"
    };
    let shown: String = path.chars().take(120).flat_map(char::escape_default).collect();
    let message = format!("`{shown}` is {what}: expected regular files and folders only");
    Err(Problem::invalid("files", message)
        .hint("pack the files themselves, e.g. tar --dereference --hard-dereference"))
}

/// The next header; absent at the end of the archive, which says so.
fn next_header(input: &mut impl Read) -> Result<Option<[u8; BLOCK]>, Problem> {
    let mut block = [0; BLOCK];
    input.read_exact(&mut block).map_err(unreadable)?;
    if block == [0; BLOCK] {
        return Ok(None);
    }
    // The sum is taken as if its own field were spaces.
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte }))
        .sum();
    match Header::from_byte_slice(&block).cksum() {
        Ok(claimed) if claimed == sum => Ok(Some(block)),
        Ok(_) | Err(_) => Err(damaged("a header's checksum is wrong")),
    }
}

fn read_extension(input: &mut impl Read, size: u64) -> Result<Vec<u8>, Problem> {
    if size > LONGEST_EXTENSION {
        return Err(damaged("a name or an extension is longer than 1 MiB"));
    }
    let mut content = Vec::new();
    input.take(size).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 != size {
        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    skip_padding(input, size)?;
    Ok(content)
}

/// Reads pax records: `LENGTH KEY=VALUE\n`, the length being that of the whole record.
fn pax(mut records: &[u8], extension: &mut Extension) -> Result<(), Problem> {
    let malformed = || damaged("a pax extension is malformed");
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ').ok_or_else(malformed)?;
        let length: usize = text(&records[..space])?.parse().map_err(|_| malformed())?;
        if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
            return Err(malformed());
        }
        let record = &records[space + 1..length - 1];
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key == b"path" {
            extension.path = Some(text(value)?);
        } else if key == b"size" {
            extension.size = Some(text(value)?.parse().map_err(|_| malformed())?);
        } else if key.starts_with(b"GNU.sparse.") {
            return Err(damaged("it holds a sparse file").hint("pack without --sparse"));
        }
        records = &records[length..];
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<String, Problem> {
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let shown: String = shown.chars().take(120).flat_map(char::escape_default).collect();
        Problem::invalid("files", format!("the path `{shown}` is not UTF-8"))
    })
}

fn skip(input: &mut impl Read, size: u64) -> Result<(), Problem> {
    io::copy(&mut WholeOf(&mut input.take(size)), &mut io::sink()).map_err(unreadable)?;
    skip_padding(input, size)
}

/// Contents fill whole blocks.
fn skip_padding(input: &mut impl Read, size: u64) -> Result<(), Problem> {
    let block = BLOCK as u64;
    let padding = (block - size % block) % block;
    let skipped = io::copy(&mut input.take(padding), &mut io::sink()).map_err(unreadable)?;
    if skipped == padding { Ok(()) } else { Err(unreadable(io::ErrorKind::UnexpectedEof.into())) }
}

/// A part whose end before its size is an error.
struct WholeOf<'a, R>(&'a mut io::Take<R>);

impl<R: Read> Read for WholeOf<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match fill(self.0, buffer)? {
            0 if self.0.limit() > 0 && !buffer.is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            read => Ok(read),
        }
    }
}
