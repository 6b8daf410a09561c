//! A stream of chunks, as parts of one size.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

use crate::{Error, Result};

/// Where parts begin in memory: what goes past the cache of the file system must begin so.
const ALIGNMENT: usize = 4096;

/// Gathers chunks into parts. They are copied into one piece, so that a body of many tiny chunks
/// costs no more memory than any other.
pub(crate) struct Parts<'s, S> {
    stream: Pin<&'s mut S>,
    size: usize,
    rest: Bytes,
    /// Parts that were given out, for their memory: what the system gives anew it has to clear first.
    given: Vec<Bytes>,
}

impl<'s, S, E> Parts<'s, S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Error>,
{
    pub fn new(stream: Pin<&'s mut S>, size: usize) -> Self {
        Self { stream, size, rest: Bytes::new(), given: Vec::new() }
    }

    /// The next part; a shorter one at the end of the stream, an empty one after it.
    pub async fn next(&mut self) -> Result<Bytes> {
        let mut part = BytesMut::new();
        while part.len() < self.size {
            if self.rest.is_empty() {
                match self.stream.next().await {
                    Some(chunk) => self.rest = chunk.map_err(Into::into)?,
                    None => break,
                }
            }
            let room = self.size - part.len();
            let taken = self.rest.split_to(self.rest.len().min(room));
            if part.capacity() - part.len() < taken.len() {
                let mut larger = self.room(part.len(), taken.len());
                larger.extend_from_slice(&part);
                part = larger;
            }
            part.extend_from_slice(&taken);
        }
        let part = part.freeze();
        if part.len() == self.size {
            self.given.push(part.clone());
        }
        Ok(part)
    }

    /// Room for a part of which so much is there and so much more comes. Small bodies take little
    /// more than they need; of long ones each part comes full, and takes the place of one that
    /// nobody uses any more.
    fn room(&mut self, there: usize, coming: usize) -> BytesMut {
        if self.given.is_empty() {
            return aligned((there + coming).max(self.size.min(2 * there)));
        }
        // Others that are free are let go: who waits for a slow client should hold little.
        let free = self.given.extract_if(.., |part| part.is_unique()).last();
        match free.map(Bytes::try_into_mut) {
            Some(Ok(mut room)) => {
                room.clear();
                room
            }
            None | Some(Err(_)) => aligned(self.size),
        }
    }
}

/// Room for so many bytes.
fn aligned(capacity: usize) -> BytesMut {
    let mut room = BytesMut::with_capacity(capacity + ALIGNMENT);
    let start = room.as_ptr().addr();
    room.resize(start.next_multiple_of(ALIGNMENT) - start, 0);
    room.split_off(room.len())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn chunks_of_any_size_become_parts_of_one() {
        let chunks = ["a", "", "bcdefgh", "ij", "k"].map(|chunk| Ok::<_, Error>(chunk.into()));
        let stream = stream::iter(chunks).chain(stream::empty()).fuse();
        let stream = pin!(stream);
        let mut parts = Parts::new(stream, 4);
        for expected in ["abcd", "efgh", "ijk", ""] {
            let part = parts.next().await.unwrap();
            assert_eq!(part, expected);
            assert!(part.is_empty() || part.as_ptr().addr().is_multiple_of(ALIGNMENT));
        }
    }

    #[tokio::test]
    async fn the_memory_of_parts_that_nobody_uses_is_used_again() {
        let stream = pin!(stream::iter(["abcdefgh", "ijkl"].map(|c| Ok::<_, Error>(c.into()))));
        let mut parts = Parts::new(stream, 4);
        let first = parts.next().await.unwrap();
        let second = parts.next().await.unwrap();
        assert_eq!((&first[..], &second[..]), (&b"abcd"[..], &b"efgh"[..]));
        let free = first.as_ptr();
        drop(first);
        let third = parts.next().await.unwrap();
        assert_eq!((&third[..], third.as_ptr()), (&b"ijkl"[..], free));
        assert_eq!(second, "efgh");
    }

    #[tokio::test]
    async fn an_error_ends_the_part_that_it_comes_in() {
        let problem = || domain::Problem::invalid("body", "too short");
        let stream = pin!(stream::iter([Ok(Bytes::from("abc")), Err(problem())]));
        let error = Parts::new(stream, 4).next().await.unwrap_err();
        assert_eq!(domain::Problem::from(error), problem());
    }
}
