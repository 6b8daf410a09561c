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
    /// Whether a whole part came before.
    is_long: bool,
}

impl<'s, S, E> Parts<'s, S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Error>,
{
    pub fn new(stream: Pin<&'s mut S>, size: usize) -> Self {
        Self { stream, size, rest: Bytes::new(), is_long: false }
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
                // Small bodies take little more than they need; of long ones each part comes full.
                let enough = (part.len() + taken.len()).max(self.size.min(2 * part.len()));
                let mut larger = aligned(if self.is_long { self.size } else { enough });
                larger.extend_from_slice(&part);
                part = larger;
            }
            part.extend_from_slice(&taken);
        }
        self.is_long = part.len() == self.size;
        Ok(part.freeze())
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
    async fn an_error_ends_the_part_that_it_comes_in() {
        let problem = || domain::Problem::invalid("body", "too short");
        let stream = pin!(stream::iter([Ok(Bytes::from("abc")), Err(problem())]));
        let error = Parts::new(stream, 4).next().await.unwrap_err();
        assert_eq!(domain::Problem::from(error), problem());
    }
}
