//! Archives and streams as no honest tool writes them.

use flate2::{Compress, Compression, FlushCompress, write::GzEncoder};

/// An entry of a zip archive, as its directory has it.
pub struct Entry {
    pub name: &'static str,
    pub content: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
}

impl Entry {
    /// Stored as it is, with a checksum that is wrong.
    pub fn stored(name: &'static str, content: &[u8]) -> Self {
        Self { name, content: content.to_vec(), method: 0, flags: 0, crc: 0xdead_beef }
    }
}

/// A zip archive.
pub fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let length = u32::try_from(entry.content.len()).unwrap().to_le_bytes();
        let name = u16::try_from(entry.name.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(file.len()).unwrap().to_le_bytes();
        let shared = [
            &[20, 0],
            &entry.flags.to_le_bytes()[..],
            &entry.method.to_le_bytes(),
            &[0; 4],
            &entry.crc.to_le_bytes(),
            &length,
            &length,
            &name,
            &[0; 2],
        ]
        .concat();
        file.extend([b"PK\x03\x04", &shared[..], entry.name.as_bytes(), &entry.content].concat());
        let rest = [&[0; 10][..], &offset, entry.name.as_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\x00", &shared[..], &rest].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let at = u32::try_from(file.len()).unwrap().to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &length, &at, &[0; 2]].concat();
    [file, directory, end].concat()
}

/// Gzip around something.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut to, content).unwrap();
    to.finish().unwrap()
}

/// So many mebibytes of instructions that do nothing, packed by deflate into about a thousandth.
pub fn idle(mebibytes: usize) -> Vec<u8> {
    let mut piece = Vec::with_capacity(1 << 16);
    let mut deflate = Compress::new(Compression::best(), false);
    // Flushed fully, a piece stands for itself: so may the next one.
    let content = b"N0".repeat(1 << 19);
    deflate.compress_vec(&content, &mut piece, FlushCompress::Full).unwrap();
    let mut all = piece.repeat(mebibytes);
    all.extend([3, 0]);
    all
}

/// A tar header of a file of that name and length, and the file.
pub fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(content.len() as u64);
    header.set_cksum();
    let padding = vec![0; (512 - content.len() % 512) % 512];
    [header.as_bytes(), content, &padding, &[0; 1024]].concat()
}
