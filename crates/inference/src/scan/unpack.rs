//! Compressed streams, unpacked as they are read.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use super::content::Packing;

/// The most memory that a stream may want to be unpacked with, in KiB: 256 MiB.
const MEMORY_KIB: u32 = 256 << 10;
/// What joblib wrote before the stream: two letters and the length in 19 characters.
const OLD_HEADER: u64 = 21;

/// What has been unpacked of one file.
pub(super) struct Meter {
    /// How much may still be.
    pub(super) left: Cell<u64>,
    /// Whether a stream was damaged.
    pub(super) damaged: Cell<bool>,
}

/// What a compressed stream holds.
pub(super) fn unpacked<'a>(
    packing: Packing,
    mut input: impl BufRead + 'a,
    meter: &'a Meter,
) -> io::Result<Box<dyn BufRead + 'a>> {
    let plain: Box<dyn Read + 'a> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(input)),
        Packing::Zlib => Box::new(ZlibDecoder::new(input)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(input)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(input, true, MEMORY_KIB)),
        Packing::Lzma => match LzmaReader::new_mem_limit(input, MEMORY_KIB, None) {
            Ok(reader) => Box::new(reader),
            Err(error) => Box::new(Broken(error.kind())),
        },
        Packing::Lz4 => Box::new(Lz4(FrameDecoder::new(input))),
        Packing::Zstd => Box::new(Zstd::Between(input)),
        Packing::OldJoblib => {
            io::copy(&mut (&mut input).take(OLD_HEADER), &mut io::sink())?;
            Box::new(ZlibDecoder::new(input))
        }
    };
    Ok(counted(plain, meter))
}

/// What an archive's entry holds, packed by zip's method of this number; absent where it is none
/// that is known.
pub(super) fn entry<'a>(
    method: u16,
    input: impl BufRead + 'a,
    meter: &'a Meter,
) -> Option<Box<dyn BufRead + 'a>> {
    let plain: Box<dyn Read + 'a> = match method {
        0 => Box::new(input),
        8 => Box::new(DeflateDecoder::new(input)),
        12 => Box::new(MultiBzDecoder::new(input)),
        93 => Box::new(Zstd::Between(input)),
        _ => return None,
    };
    Some(counted(plain, meter))
}

fn counted<'a>(plain: Box<dyn Read + 'a>, meter: &'a Meter) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::new(Unpacked { plain, meter }))
}

/// A decoder whose damaged input ends early, since that is a finding about the file and no fault of
/// ours, and that gives no more than is left.
struct Unpacked<'a> {
    plain: Box<dyn Read + 'a>,
    meter: &'a Meter,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.meter.left;
        if left.get() == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.plain.read(buffer).map_err(|error| {
            let is = |kind| error.kind() == kind;
            // The disk's own fault has the system's number.
            if error.raw_os_error().is_some() || is(io::ErrorKind::Interrupted) {
                error
            } else if is(io::ErrorKind::OutOfMemory) || is(io::ErrorKind::FileTooLarge) {
                io::ErrorKind::FileTooLarge.into()
            } else {
                self.meter.damaged.set(true);
                io::ErrorKind::UnexpectedEof.into()
            }
        })?;
        left.set(left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

/// A stream whose header is no good already.
struct Broken(io::ErrorKind);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

/// All frames of a stream, as Python's readers go through them.
struct Lz4<R: Read>(FrameDecoder<R>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(read);
            }
        }
    }
}

/// All frames of a stream.
enum Zstd<R: Read> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Over,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut frame = match std::mem::replace(self, Self::Over) {
                Self::Over => return Ok(0),
                Self::Within(frame) => frame,
                Self::Between(mut rest) => {
                    if rest.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let window = u64::from(MEMORY_KIB) << 10;
                    let frame = StreamingDecoder::new_with_max_window_size(rest, window);
                    Box::new(frame.map_err(io::Error::other)?)
                }
            };
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                *self = Self::Within(frame);
                return Ok(read);
            }
            *self = Self::Between(frame.into_inner());
        }
    }
}
