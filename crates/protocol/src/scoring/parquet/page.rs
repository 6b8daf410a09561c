//! The pages of a column in a group of rows, unpacked.

use std::{borrow::Cow, io::Read as _};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::{
    Budget, Odd,
    footer::Chunk,
    odd,
    schema::{Column, What},
    thrift::{Kind, Reader},
};

/// What we keep of a page, roughly.
const PAGE: usize = 64;
/// What any zstd stream may look back on (RFC 8878, 3.1.1.1.2).
const WINDOW: u64 = 8 << 20;
/// No byte of these becomes more.
const SNAPPY: usize = 24;
const LZ4: usize = 256;
/// The encoding of levels.
const RUNS: i64 = 3;

/// A page.
pub(super) struct Page<'a> {
    /// How many values; for lists, levels.
    pub count: usize,
    pub encoding: i64,
    pub place: Place<'a>,
    pub bytes: Cow<'a, [u8]>,
}

/// What a page is, and where its levels are.
pub(super) enum Place<'a> {
    Dictionary,
    /// Before its values, each with its length.
    Within,
    /// Apart: of repetition, and of definition.
    Apart(&'a [u8], &'a [u8]),
}

/// What stands before a page.
#[derive(Default)]
struct Head {
    kind: i64,
    plain: usize,
    packed: usize,
    count: usize,
    encoding: i64,
    /// How its levels are written, of definition and of repetition.
    levels: [i64; 2],
    /// How long they are, where they are apart.
    definition: usize,
    repetition: usize,
    is_plain: bool,
}

/// Reads the pages of a column.
pub(super) fn read<'a>(
    chunk: &Chunk<'a>,
    column: &Column<'_>,
    budget: &mut Budget,
) -> Result<Vec<Page<'a>>, Odd> {
    let (mut pages, mut seen, mut bytes) = (Vec::new(), 0_usize, Reader(chunk.bytes));
    while seen < chunk.values {
        budget.take(PAGE)?;
        let head = Head::read(&mut bytes)?;
        let packed = bytes.take(head.packed)?;
        let place = match head.kind {
            0 => {
                let are_there = [!column.steps.is_empty(), column.is_list()];
                if head.levels.iter().zip(are_there).any(|(how, are)| are && *how != RUNS) {
                    return Err(odd("its levels are written as nobody does any more"));
                }
                Place::Within
            }
            2 => Place::Dictionary,
            3 => {
                let mut levels = Reader(packed);
                Place::Apart(levels.take(head.repetition)?, levels.take(head.definition)?)
            }
            // An index of the column.
            1 => continue,
            _ => return Err(odd("a page is of no known kind")),
        };
        if head.kind != 2 {
            seen = seen.saturating_add(head.count);
        }
        budget.take(head.plain.max(head.count.saturating_mul(room(column))))?;
        let apart =
            if head.kind == 3 { head.repetition.saturating_add(head.definition) } else { 0 };
        let (packed, plain) = (packed.get(apart..), head.plain.checked_sub(apart));
        let (packed, plain) =
            packed.zip(plain).ok_or(odd("a page has other lengths than it says"))?;
        let codec = if head.is_plain { 0 } else { chunk.codec };
        let bytes = unpack(codec, packed, plain, column)?;
        pages.push(Page { count: head.count, encoding: head.encoding, place, bytes });
    }
    Ok(pages)
}

/// What a value counts for at least, however few bytes the file needs for it.
fn room(column: &Column<'_>) -> usize {
    if column.is_list() {
        return 16;
    }
    let is_wide = matches!(column.what, What::Int64 | What::Unsigned64 | What::Double);
    if is_wide { 8 } else { 4 }
}

impl Head {
    fn read(bytes: &mut Reader<'_>) -> Result<Self, Odd> {
        let mut head = Self { kind: -1, levels: [RUNS; 2], ..Self::default() };
        bytes.fields(|page, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => head.kind = page.integer()?,
                (2, Kind::Integer) => head.plain = page.count()?,
                (3, Kind::Integer) => head.packed = page.count()?,
                // A page of values, a dictionary.
                (5 | 7, Kind::Struct) => page.fields(|page, number, kind| {
                    match (number, kind) {
                        (1, Kind::Integer) => head.count = page.count()?,
                        (2, Kind::Integer) => head.encoding = page.integer()?,
                        (3, Kind::Integer) => head.levels[0] = page.integer()?,
                        (4, Kind::Integer) => head.levels[1] = page.integer()?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                (8, Kind::Struct) => page.fields(|page, number, kind| {
                    match (number, kind) {
                        (1, Kind::Integer) => head.count = page.count()?,
                        (4, Kind::Integer) => head.encoding = page.integer()?,
                        (5, Kind::Integer) => head.definition = page.count()?,
                        (6, Kind::Integer) => head.repetition = page.count()?,
                        (7, Kind::Bool(is_packed)) => head.is_plain = !is_packed,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(head)
    }
}

/// What was packed, which has so many bytes.
fn unpack<'a>(
    codec: i64,
    packed: &'a [u8],
    length: usize,
    column: &Column<'_>,
) -> Result<Cow<'a, [u8]>, Odd> {
    let wrong = odd("a page cannot be unpacked");
    let most = length as u64 + 1;
    // Room for as much as may become of so few bytes, and no more.
    let zeros = |each: usize| {
        let fits = length <= packed.len().saturating_mul(each);
        fits.then(|| vec![0; length]).ok_or(odd("a page cannot be unpacked"))
    };
    let mut plain = Vec::new();
    match codec {
        0 => return if packed.len() == length { Ok(packed.into()) } else { Err(wrong) },
        1 => {
            plain = zeros(SNAPPY)?;
            let unpacked = snap::raw::Decoder::new().decompress(packed, &mut plain);
            plain.truncate(unpacked.map_err(|_| odd("a page cannot be unpacked"))?);
        }
        2 => {
            let read = MultiGzDecoder::new(packed).take(most).read_to_end(&mut plain);
            read.map_err(|_| odd("a page cannot be unpacked"))?;
        }
        6 => {
            let frame = StreamingDecoder::new_with_max_window_size(packed, WINDOW.max(most));
            let frame = frame.map_err(|_| odd("a page cannot be unpacked"))?;
            let read = frame.take(most).read_to_end(&mut plain);
            read.map_err(|_| odd("a page cannot be unpacked"))?;
        }
        7 => {
            plain = zeros(LZ4)?;
            let unpacked = lz4_flex::block::decompress_into(packed, &mut plain);
            plain.truncate(unpacked.map_err(|_| odd("a page cannot be unpacked"))?);
        }
        other => {
            let name = match other {
                3 => "LZO",
                4 => "Brotli",
                5 => "LZ4 in its old form",
                _ => "an unknown codec",
            };
            let what = format!("column `{}` is packed by {name}", column.name);
            return Err(Odd::Unsupported(what, "use Snappy, gzip, zstd, LZ4 or none"));
        }
    }
    if plain.len() == length { Ok(plain.into()) } else { Err(wrong) }
}
