//! How a file is read: out of the kernel's cache what is there, and long files past it otherwise.
//!
//! To fill the cache takes longer than to read, and the cache keeps what others read. What waits for the
//! disk runs on the pool for blocking work.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use bytes::Bytes;
use nix::fcntl::OFlag;
use rustix::io::{ReadWriteFlags, preadv2};

/// How much is read at once: one piece while the one before it is sent. Two at a time would look to
/// the kernel like reading here and there, and it would not read ahead.
pub(crate) const CHUNK: usize = 2 << 20;
/// What is as long as this is long.
const LONG: u64 = 32 << 20;
/// What goes past the cache begins at multiples of this, in the file and in memory.
const BLOCK: usize = 4096;

/// A part of a file, to be read from its beginning to its end.
pub(crate) struct Reading {
    file: File,
    /// The same file past the cache, where that is worth while and its file system can do it.
    direct: Option<File>,
    /// The bytes of the whole file.
    pub size: u64,
    /// Those that are wanted.
    pub range: Range<u64>,
}

impl Reading {
    /// Opens the file for these bytes of it, or all.
    pub fn open(path: &Path, range: Option<Range<u64>>) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let range = range.unwrap_or(0..size);
        let length = range.end.saturating_sub(range.start);
        let is_whole = range.start.is_multiple_of(BLOCK as u64);
        let direct = (length >= LONG && is_whole && !is_cached(&file, range.start + length / 2))
            .then(|| past_the_cache_of(path))
            .and_then(Result::ok);
        Ok(Self { file, direct, size, range })
    }

    /// The first bytes of what is left. A file that ends too early ends the stream too early, which whoever
    /// verifies it sees.
    pub fn chunk(&self, from: u64) -> io::Result<Bytes> {
        let length = usize::try_from(self.range.end - from).unwrap_or(CHUNK).min(CHUNK);
        if let Some(direct) = &self.direct {
            match past_the_cache(direct, from, length) {
                // A file system may think otherwise of where blocks begin.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                read => return read,
            }
        }
        let mut chunk = vec![0; length];
        let filled = fill(&self.file, &mut chunk, from, 1)?;
        chunk.truncate(filled);
        Ok(chunk.into())
    }
}

fn past_the_cache_of(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECT.bits()).open(path)
}

/// Whether what is there can be read without waiting for the disk.
fn is_cached(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
    matches!(read, Ok(1))
}

fn past_the_cache(file: &File, from: u64, length: usize) -> io::Result<Bytes> {
    let whole = length.next_multiple_of(BLOCK);
    let mut buffer = vec![0; whole + BLOCK];
    let begin = buffer.as_ptr().align_offset(BLOCK);
    let filled = match buffer.get_mut(begin..begin + whole) {
        Some(aligned) => fill(file, aligned, from, BLOCK)?,
        None => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Ok(Bytes::from(buffer).slice(begin..begin + filled.min(length)))
}

/// Reads until it is full, or the file ends: where whole blocks are read, with one that is not whole.
fn fill(file: &File, buffer: &mut [u8], from: u64, block: usize) -> io::Result<usize> {
    let mut filled: usize = 0;
    while filled.is_multiple_of(block)
        && let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty())
    {
        match file.read_at(rest, from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(reading: &Reading) -> Vec<u8> {
        let (mut all, mut at) = (Vec::new(), reading.range.start);
        while at < reading.range.end {
            let chunk = reading.chunk(at).unwrap();
            assert!(!chunk.is_empty(), "it ended at {at}");
            at += chunk.len() as u64;
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[test]
    fn long_files_are_read_whole_past_the_cache_and_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        for odd in [0, 1, BLOCK - 1, CHUNK - 1] {
            let bytes: Vec<u8> = (0..(LONG as usize + odd)).map(|at| (at / 7) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            File::open(&path).unwrap().sync_all().unwrap();
            let cached = Reading::open(&path, None).unwrap();
            assert!(cached.direct.is_none(), "it was written just now");
            assert!(whole(&cached) == bytes, "{odd}");
            for range in [0..bytes.len(), BLOCK..bytes.len(), 5..bytes.len() - 3, 0..BLOCK + 1] {
                let (start, end) = (range.start as u64, range.end as u64);
                let mut reading = Reading::open(&path, Some(start..end)).unwrap();
                // Whatever the cache holds on this machine.
                reading.direct = past_the_cache_of(&path).ok();
                assert!(whole(&reading) == bytes[range.clone()], "{odd}: {range:?}");
            }
        }
    }
}
