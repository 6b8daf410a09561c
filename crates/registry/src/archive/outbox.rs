//! What a walker hands the files of an archive to, one after the other.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use bytes::{Bytes, BytesMut};
use domain::{ErrorCode, FilePath, Manifest, Problem};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;

use super::unreadable;

const CHUNK: usize = 256 << 10;
/// Chunks of one file between the walker and the upload.
const AHEAD: usize = 4;
/// How many entries of any kind, folders among them, an archive may have.
pub(super) const MOST_ENTRIES: usize = Manifest::MAX_FILES;
/// Up to here nobody asks how well an archive is packed.
const FREE: u64 = 64 << 20;
/// No honest archive unpacks to more than so many times its own size.
const HIGHEST_RATIO: u64 = 200;

/// One file of an archive.
pub(super) struct Member {
    pub path: FilePath,
    pub body: BoxStream<'static, Result<Bytes, Problem>>,
}

/// How many bytes may still be unpacked.
pub(super) struct Budget {
    left: u64,
    refusal: Problem,
}

impl Budget {
    /// What an archive of this length may unpack to, and never more than `most`.
    pub fn of(length: u64, most: u64) -> Self {
        let by_ratio = length.saturating_mul(HIGHEST_RATIO).max(FREE);
        let too_large = |message: String| Problem::new(ErrorCode::TooLarge, message);
        let refusal = if by_ratio < most {
            too_large(format!("the archive unpacks to more than {HIGHEST_RATIO} times its size"))
        } else {
            too_large(format!("the archive unpacks to more than {most} bytes"))
        };
        Self { left: by_ratio.min(most), refusal }
    }

    /// A reader that takes from this budget.
    pub fn meter<R: Read>(&mut self, inner: R) -> Metered<'_, R> {
        Metered { inner, budget: self }
    }
}

/// Takes the files of one archive.
pub(super) struct Outbox {
    members: mpsc::Sender<Member>,
    entries: usize,
    paths: HashSet<FilePath>,
}

impl Outbox {
    pub fn new(members: mpsc::Sender<Member>) -> Self {
        Self { members, entries: 0, paths: HashSet::new() }
    }

    /// Counts one entry, of whatever kind.
    pub fn entry(&mut self) -> Result<(), Problem> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            let message = format!("the archive has more than {MOST_ENTRIES} entries");
            return Err(Problem::new(ErrorCode::TooLarge, message));
        }
        Ok(())
    }

    /// A folder: only its path matters.
    pub fn folder(&self, path: &str) -> Result<(), Problem> {
        match trimmed(path).trim_end_matches('/') {
            "" | "." => Ok(()),
            path => path.parse::<FilePath>().map(|_| ()),
        }
    }

    /// A file, whose path nobody had before.
    pub fn begin(&mut self, path: &str) -> Result<Delivery, Problem> {
        let path: FilePath = trimmed(path).parse()?;
        if !self.paths.insert(path.clone()) {
            return Err(Problem::invalid("files", format!("the path `{path}` stands twice")));
        }
        let (chunks, receiver) = mpsc::channel(AHEAD);
        let body = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        let member = Member { path, body: body.boxed() };
        self.members.blocking_send(member).map_err(|_| stopped())?;
        Ok(Delivery { chunks })
    }
}

/// A file whose bytes are on their way.
pub(super) struct Delivery {
    chunks: mpsc::Sender<Result<Bytes, Problem>>,
}

impl Delivery {
    /// Passes all bytes on; answers how many there were. A failure breaks the upload off, so that
    /// nothing of the file is kept.
    pub fn deliver(self, mut from: impl Read) -> Result<u64, Problem> {
        let mut total = 0;
        loop {
            let mut chunk = BytesMut::zeroed(CHUNK);
            match fill(&mut from, &mut chunk) {
                Ok(0) => return Ok(total),
                Ok(length) => {
                    total += length as u64;
                    chunk.truncate(length);
                    self.send(Ok(chunk.freeze()))?;
                }
                Err(error) => return Err(self.fail(unreadable(error))),
            }
        }
    }

    /// Breaks the upload off for this reason.
    pub fn fail(self, problem: Problem) -> Problem {
        let _ = self.send(Err(problem.clone()));
        problem
    }

    fn send(&self, chunk: Result<Bytes, Problem>) -> Result<(), Problem> {
        self.chunks.blocking_send(chunk).map_err(|_| stopped())
    }
}

/// Nobody takes the files any more: whoever stopped knows why.
fn stopped() -> Problem {
    Problem::unavailable("unpacking was stopped")
}

/// `tar` writes `./a` for `a`.
fn trimmed(path: &str) -> &str {
    path.trim_start_matches("./")
}

/// Reads until the buffer is full or there is no more.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A reader that takes from the budget what is read through it.
pub(super) struct Metered<'a, R> {
    inner: R,
    budget: &'a mut Budget,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.budget.left.checked_sub(read as u64) {
            Some(left) => self.budget.left = left,
            None => return Err(io::Error::other(self.budget.refusal.clone())),
        }
        Ok(read)
    }
}
