//! What a file is, by how it begins.

/// How much of a file tells what it is: tar's first header is the longest.
pub(super) const BEGINNING: u64 = 512;

/// Endings of names that pickles bear.
const PICKLES: [&str; 10] =
    ["pkl", "pickle", "joblib", "sav", "cloudpickle", "dill", "p", "pk", "pt", "pth"];
/// Endings of names that compressed files bear on top of their own.
const PACKED: [&str; 8] = ["gz", "z", "bz2", "xz", "lzma", "lz4", "zst", "zstd"];

/// What the beginning says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A pickle that says which protocol it is of.
    Pickle,
    /// Pickles and tensors, as torch wrote them before it wrote archives.
    OldTorch,
    Zip,
    Tar,
    /// A numpy array.
    Array,
    /// What Keras wrote its models to.
    Hdf5,
    Packed(Packing),
    /// An archive of a kind that is not looked into.
    Closed(&'static str),
    /// Anything else; a pickle of an old protocol is among it.
    Other,
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zlib,
    Bzip2,
    Xz,
    Lzma,
    Lz4,
    Zstd,
    /// Zlib behind a length, as joblib wrote it before 0.10.
    OldJoblib,
}

impl Content {
    pub(super) fn of(beginning: &[u8]) -> Self {
        /// The number that torch writes first.
        const TORCH: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
        match beginning {
            [0x80, 0..=8, ..] => {
                let start = beginning.get(..32).unwrap_or(beginning);
                let is_torch = start.windows(TORCH.len()).any(|bytes| bytes == TORCH);
                if is_torch { Self::OldTorch } else { Self::Pickle }
            }
            [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] => Self::Zip,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Array,
            [0x89, b'H', b'D', b'F', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Hdf5,
            [0x1f, 0x8b, 8, ..] => Self::Packed(Packing::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Packed(Packing::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Packed(Packing::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Packed(Packing::Lz4),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Packed(Packing::Zstd),
            [b'Z', b'F', b'0', b'x', ..] => Self::Packed(Packing::OldJoblib),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Self::Closed("a 7z archive"),
            [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => Self::Closed("a rar archive"),
            [0x5d, 0, ..] if is_lzma(beginning) => Self::Packed(Packing::Lzma),
            // The first two bytes of zlib are a multiple of 31.
            [0x78, flags, ..] if (0x7800 + u16::from(*flags)) % 31 == 0 => {
                Self::Packed(Packing::Zlib)
            }
            _ if is_tar(beginning) => Self::Tar,
            _ => Self::Other,
        }
    }
}

/// Whether the header of an LZMA stream makes sense, as Python's reader has it: a dictionary of 2^n or
/// 3 * 2^n bytes, and a length that is unknown or below 256 GiB.
fn is_lzma(beginning: &[u8]) -> bool {
    let dictionary = beginning.get(1..5).and_then(|bytes| bytes.try_into().ok());
    let length = beginning.get(5..13).and_then(|bytes| bytes.try_into().ok());
    let (Some(dictionary), Some(length)) =
        (dictionary.map(u32::from_le_bytes), length.map(u64::from_le_bytes))
    else {
        return false;
    };
    let odd = dictionary.checked_shr(dictionary.trailing_zeros()).unwrap_or_default();
    (matches!(odd, 1 | 3) || dictionary == u32::MAX) && (length == u64::MAX || length < 1 << 38)
}

/// Whether this is a tar header: its sum is right.
fn is_tar(beginning: &[u8]) -> bool {
    let Ok(block) = <&[u8; 512]>::try_from(beginning) else { return false };
    super::archives::is_header(block)
}

/// Whether a file of this name is taken for a pickle, whatever it begins with.
pub(super) fn is_named_pickle(name: &str) -> bool {
    PICKLES.contains(&ending(name).as_str())
}

/// Whether a file of this name is taken for HDF5, whatever it begins with.
pub(super) fn is_named_hdf5(name: &str) -> bool {
    ["h5", "hdf5", "keras"].contains(&ending(name).as_str())
}

/// The name of what is within a compressed file.
pub(super) fn unpacked_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((rest, _)) if PACKED.contains(&ending(name).as_str()) => rest,
        _ => name,
    }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}
