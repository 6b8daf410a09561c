//! The bytes of a pickle: numbers, counted strings and lines, of which little is kept.

use std::io::{self, BufRead, Read as _};

use super::{End, Step, malformed};

/// The longest text that is kept: names of modules and classes are shorter.
const LONGEST_TEXT: u64 = 255;

pub(super) struct Source<R> {
    file: R,
    position: u64,
}

impl<R: BufRead> Source<R> {
    pub(super) const fn new(file: R) -> Self {
        Self { file, position: 0 }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn is_over(&mut self) -> io::Result<bool> {
        loop {
            match self.file.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(<[u8]>::is_empty),
            }
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(End::Io)?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Step<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Step<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Step<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length that some instructions write with a sign.
    pub(super) fn signed_length(&mut self) -> Step<u64> {
        let length = self.array().map(i32::from_le_bytes)?;
        u64::try_from(length).or_else(|_| malformed("a length is negative"))
    }

    pub(super) fn skip(&mut self, length: u64) -> Step {
        let skipped =
            io::copy(&mut (&mut self.file).take(length), &mut io::sink()).map_err(End::Io)?;
        self.position += skipped;
        if skipped == length { Ok(()) } else { Err(End::Io(io::ErrorKind::UnexpectedEof.into())) }
    }

    /// A text of that length, unless it is too long to be a name or no UTF-8.
    pub(super) fn text(&mut self, length: u64) -> Step<Option<String>> {
        if length > LONGEST_TEXT {
            self.skip(length)?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut bytes).map_err(End::Io)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < length {
            return Err(End::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(String::from_utf8(bytes).ok())
    }

    /// The text up to the end of the line, unless it is too long to be a name or no UTF-8.
    pub(super) fn line(&mut self) -> Step<Option<String>> {
        let mut bytes = Vec::new();
        let kept = (&mut self.file).take(LONGEST_TEXT).read_until(b'\n', &mut bytes);
        self.position += kept.map_err(End::Io)? as u64;
        if bytes.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(String::from_utf8(bytes).ok());
        }
        let rest = self.file.skip_until(b'\n').map_err(End::Io)?;
        self.position += rest as u64;
        if rest == 0 { Err(End::Io(io::ErrorKind::UnexpectedEof.into())) } else { Ok(None) }
    }
}
