//! Bodies that are packed on their way: gzip, deflate and zstd.
//!
//! What comes in packed is unpacked up to the limit for bodies and no further, so that a few bytes
//! cannot become many. What goes out is packed only for callers who ask for it by name, and only if
//! it is long enough to gain by it.

use std::io::{self, Read, Write as _};

use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap};
use domain::{ErrorCode, Problem};
use flate2::{
    Compression,
    bufread::{MultiGzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use ruzstd::{decoding::StreamingDecoder, encoding::CompressionLevel};

use crate::refusal::too_large;

/// Shorter answers fit one packet anyway.
const WORTH_PACKING: usize = 1024;

/// What any zstd stream may look back on, which is what its makers are to keep to (RFC 8878, 3.1.1.1.2);
/// a longer one may only where bodies may be as long.
const WINDOW: u64 = 8 << 20;

/// A way to pack a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    /// Zlib's format, as HTTP means it.
    Deflate,
    Zstd,
}

impl Encoding {
    /// All, the best first.
    const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Deflate];

    /// Its name in headers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    fn named(name: &str) -> Option<Self> {
        // The old name of gzip means the same (RFC 9110, 8.4.1.3).
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.into_iter().find(|encoding| name.eq_ignore_ascii_case(encoding.name()))
    }

    /// How a request's body is packed, if it is.
    ///
    /// # Errors
    /// One that is not known, or several.
    pub(super) fn of_body(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let refused = |found: &str| {
            let field = CONTENT_ENCODING.as_str();
            let message =
                format!("the body is encoded as `{found}`: expected gzip, deflate or zstd");
            Problem::invalid(field, message).hint("one of them, or no `content-encoding`")
        };
        let mut given = headers.get_all(CONTENT_ENCODING);
        let name = match (given.next(), given.next()) {
            (None, _) => return Ok(None),
            (Some(name), None) => name.to_str().map_err(|_| refused("?"))?.trim(),
            (Some(_), Some(_)) => return Err(refused("several")),
        };
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            return Ok(None);
        }
        let shown = name.chars().take(40).collect::<String>();
        Self::named(name).map(Some).ok_or_else(|| refused(&shown))
    }

    /// How the caller wants an answer of this length packed: what they like best, of those the best.
    pub(super) fn of_answer(headers: &HeaderMap, length: usize) -> Option<Self> {
        if length < WORTH_PACKING {
            return None;
        }
        let asked = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        let liking = |encoding: Self| {
            let mut asked = asked.split(',').filter_map(|choice| {
                let (name, quality) = choice.split_once(';').unwrap_or((choice, "q=1"));
                (Self::named(name.trim()) == Some(encoding)).then(|| thousandths(quality))
            });
            asked.next().unwrap_or(0)
        };
        // Of equals the last is the greatest.
        let best = Self::ALL.into_iter().rev().max_by_key(|&encoding| liking(encoding))?;
        (liking(best) > 0).then_some(best)
    }

    /// What was packed.
    ///
    /// # Errors
    /// More than `limit` bytes, or no such packing.
    pub(super) fn unpack(self, mut packed: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
        let (mut plain, most) = (Vec::new(), limit as u64 + 1);
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(&mut packed).take(most).read_to_end(&mut plain),
            Self::Deflate => ZlibDecoder::new(&mut packed).take(most).read_to_end(&mut plain),
            Self::Zstd => unpack_zstd(&mut packed, most, &mut plain),
        };
        if plain.len() > limit {
            return Err(too_large(limit));
        }
        if read.is_ok() && packed.is_empty() {
            return Ok(plain);
        }
        let name = self.name();
        let message = format!("the body is said to be {name}, but cannot be read as such");
        Err(Problem::new(ErrorCode::Invalid, message).at(CONTENT_ENCODING.as_str()))
    }

    /// What is packed as fast as may be.
    pub(super) fn pack(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(plain)?;
                packed.finish()
            }
            Self::Deflate => {
                let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(plain)?;
                packed.finish()
            }
            Self::Zstd => Ok(ruzstd::encoding::compress_to_vec(plain, CompressionLevel::Fastest)),
        }
    }
}

/// All frames, one after the other, up to so many bytes.
fn unpack_zstd(packed: &mut &[u8], most: u64, plain: &mut Vec<u8>) -> io::Result<usize> {
    while !packed.is_empty() {
        let left = most.saturating_sub(plain.len() as u64);
        if left == 0 {
            break;
        }
        let frame = StreamingDecoder::new_with_max_window_size(&mut *packed, WINDOW.max(most))
            .map_err(io::Error::other)?;
        frame.take(left).read_to_end(plain)?;
    }
    Ok(plain.len())
}

/// `q=0.5`, in thousandths; what is no such thing counts as wanted.
fn thousandths(quality: &str) -> u32 {
    let value =
        quality.trim().strip_prefix("q=").and_then(|value| value.trim().parse::<f32>().ok());
    value.map_or(1000, |value| (value.clamp(0.0, 1.0) * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(name: actix_web::http::header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for plain in [Vec::new(), b"a".repeat(100_000), (0..=255).collect()] {
            for encoding in Encoding::ALL {
                let packed = encoding.pack(&plain).unwrap();
                assert_eq!(encoding.unpack(&packed, 100_000), Ok(plain.clone()), "{encoding:?}");
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = vec![0; 4 << 20];
        for encoding in Encoding::ALL {
            let packed = encoding.pack(&bomb).unwrap();
            assert!(packed.len() < 64 << 10, "{encoding:?}: {}", packed.len());
            let refused = encoding.unpack(&packed, 1000).unwrap_err();
            assert_eq!(refused.code, ErrorCode::TooLarge);
            assert_eq!(encoding.unpack(&packed, 4 << 20).map(|it| it.len()), Ok(4 << 20));
        }
    }

    #[test]
    fn what_is_cut_damaged_or_of_another_kind_is_refused() {
        let plain: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        for encoding in Encoding::ALL {
            let packed = encoding.pack(&plain).unwrap();
            for cut in [1, 10, packed.len() / 2, packed.len() - 1] {
                let refused = encoding.unpack(&packed[..cut], 1 << 20);
                assert_eq!(refused.unwrap_err().code, ErrorCode::Invalid, "{encoding:?} {cut}");
            }
            for other in Encoding::ALL.into_iter().filter(|other| *other != encoding) {
                assert!(other.unpack(&packed, 1 << 20).is_err(), "{encoding:?} {other:?}");
            }
            assert!(encoding.unpack(b"{\"inputs\":[]}", 1 << 20).is_err());
            let mut damaged = packed;
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0xff;
            assert_ne!(encoding.unpack(&damaged, 1 << 20), Ok(plain.clone()), "{encoding:?}");
        }
    }

    #[test]
    fn an_unknown_encoding_is_refused_and_none_is_none() {
        let of = |values: &[&str]| Encoding::of_body(&headers(CONTENT_ENCODING, values));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["identity"]), Ok(None));
        assert_eq!(of(&["GZip"]), Ok(Some(Encoding::Gzip)));
        assert_eq!(of(&["x-gzip"]), Ok(Some(Encoding::Gzip)));
        assert_eq!(of(&["zstd"]), Ok(Some(Encoding::Zstd)));
        for wrong in [&["br"][..], &["gzip, deflate"], &["gzip", "gzip"]] {
            let refused = of(wrong).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("content-encoding"));
        }
    }

    #[test]
    fn an_answer_is_packed_as_the_caller_likes_it_best() {
        let of = |asked: &str| Encoding::of_answer(&headers(ACCEPT_ENCODING, &[asked]), 5000);
        assert_eq!(of("gzip"), Some(Encoding::Gzip));
        assert_eq!(of("deflate;q=0.5, gzip;q=0.4"), Some(Encoding::Deflate));
        assert_eq!(of("gzip, deflate, br, zstd"), Some(Encoding::Zstd));
        assert_eq!(of("br, gzip, deflate"), Some(Encoding::Gzip));
        for nothing in ["", "br", "*", "identity", "gzip;q=0", "zstd; q=0.000"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        assert_eq!(Encoding::of_answer(&headers(ACCEPT_ENCODING, &["gzip"]), 1023), None);
        assert_eq!(Encoding::of_answer(&HeaderMap::new(), 5000), None);
    }
}
