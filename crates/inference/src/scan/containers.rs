//! Files that hold pickles within: archives, arrays, compressed streams.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom},
};

use domain::{
    pickle::{Format, Report, named, scan},
    zip::{self, Entry},
};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::{closed, is_named_pickle};

/// The most entries of an archive that is looked into.
const MOST_ENTRIES: usize = 100_000;
/// The longest description of an array, or of a skops file's types.
const LONGEST_TEXT: u64 = 16 << 20;

/// Looks into torch's archives, skops files, archives of arrays. Absent where no pickle is within.
pub(super) fn zip(file: &mut File) -> io::Result<Option<(Format, Report)>> {
    let entries = match zip::entries(file, MOST_ENTRIES) {
        Ok(entries) => entries,
        Err(zip::Error::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(error);
        }
        Err(error) => {
            return Ok(Some((
                Format::Archive,
                closed(format!("the archive cannot be read: {error}")),
            )));
        }
    };
    let (mut format, mut found) = (Format::Archive, None::<Report>);
    for entry in &entries {
        let is_array = entry.name.ends_with(".npy");
        let is_schema = entry.name == "schema.json";
        if !is_array && !is_schema && !is_named_pickle(&entry.name) {
            continue;
        }
        let looked = match open(file, entry) {
            Err(why) => Ok(Some(closed(why))),
            Ok(content) if is_schema => types(content),
            Ok(content) if is_array => array(content),
            Ok(content) => scan(content).map(Some),
        };
        let report = match looked {
            // Damage is a finding about the file, not a fault of ours.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(closed(format!("`{}` ends early", entry.name)))
            }
            looked => looked?,
        };
        if let Some(report) = report {
            if is_schema {
                format = Format::Skops;
            }
            found.get_or_insert_default().merge(report);
        }
    }
    Ok(found.map(|report| (format, report)))
}

/// The content of an entry; why there is none to be had.
fn open<'a>(file: &'a mut File, entry: &Entry) -> Result<Box<dyn BufRead + 'a>, String> {
    let name = &entry.name;
    if entry.is_encrypted {
        return Err(format!("`{name}` takes a password"));
    }
    let begin = entry.begin(file).map_err(|error| format!("`{name}` cannot be read: {error}"))?;
    file.seek(SeekFrom::Start(begin))
        .map_err(|error| format!("`{name}` cannot be read: {error}"))?;
    let packed = BufReader::new(file).take(entry.packed);
    match entry.method {
        0 => Ok(Box::new(packed)),
        8 => Ok(Box::new(BufReader::new(Unpacked(DeflateDecoder::new(packed))))),
        other => Err(format!("`{name}` is packed by method {other}, which is not looked into")),
    }
}

/// A numpy array: a pickle follows its description where its elements are objects.
pub(super) fn array(mut file: impl BufRead) -> io::Result<Option<Report>> {
    let cut = || Ok(Some(closed("the description of the array ends early")));
    let mut start = [0; 8];
    if file.read_exact(&mut start).is_err() {
        return cut();
    }
    let length = if start[6] == 1 {
        let mut length = [0; 2];
        file.read_exact(&mut length).map(|()| u64::from(u16::from_le_bytes(length)))
    } else {
        let mut length = [0; 4];
        file.read_exact(&mut length).map(|()| u64::from(u32::from_le_bytes(length)))
    };
    let Ok(length) = length else { return cut() };
    let mut description = Vec::new();
    (&mut file).take(length.min(LONGEST_TEXT)).read_to_end(&mut description)?;
    if description.len() as u64 != length {
        return cut();
    }
    // Wherever an `O` stands: types may lie within types. Other letters that are written large in
    // it (`Fortran_order`, `False`, `True`) are none.
    if description.contains(&b'O') { scan(file).map(Some) } else { Ok(None) }
}

/// Looks into a stream compressed by zlib or gzip.
pub(super) fn compressed(file: File, beginning: &[u8]) -> io::Result<Report> {
    let file = BufReader::new(file);
    match beginning {
        [0x1f, ..] => scan(BufReader::new(Unpacked(MultiGzDecoder::new(file)))),
        _ => scan(BufReader::new(Unpacked(ZlibDecoder::new(file)))),
    }
}

/// A decoder whose damaged input ends early: that is a finding about the file, not a fault of ours.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let is_damage =
                matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            if is_damage { io::ErrorKind::UnexpectedEof.into() } else { error }
        })
    }
}

/// The types that a skops file names; absent where it is none.
fn types(content: impl Read) -> io::Result<Option<Report>> {
    let mut text = Vec::new();
    content.take(LONGEST_TEXT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_TEXT {
        return Ok(Some(closed("`schema.json` is too long to be looked into")));
    }
    let Ok(schema) = serde_json::from_slice::<serde_json::Value>(&text) else {
        return Ok(Some(closed("`schema.json` is no JSON")));
    };
    let (mut report, mut waiting) = (Report::default(), vec![&schema]);
    while let Some(value) = waiting.pop() {
        match value {
            serde_json::Value::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
                if let (Some(module), Some(class)) = (text("__module__"), text("__class__")) {
                    report.merge(named(module, class));
                }
                waiting.extend(fields.values());
            }
            serde_json::Value::Array(items) => waiting.extend(items),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    Ok((!report.imports.is_empty()).then_some(report))
}
