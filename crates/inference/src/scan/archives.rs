//! Archives: torch's, skops', Keras', archives of arrays, and whatever was packed by zip or tar.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use domain::{
    pickle::{Format, Layout, Report, named},
    zip::{self, Entry},
};
use serde_json::Value;
use tar::{EntryType, Header};

use super::{
    closed, keras,
    search::{Found, Place, Search},
    unpack,
};

/// The most entries of an archive that is looked into.
const MOST_ENTRIES: usize = 100_000;
/// The longest JSON text within an archive that is read.
const LONGEST_TEXT: u64 = 16 << 20;

/// What can be read from any place.
pub(super) trait Seekable: Read + Seek {}

impl<T: Read + Seek> Seekable for T {}

/// Looks into a zip archive. Absent where nothing is within that has to do with pickles.
pub(super) fn zip(
    search: &Search,
    mut file: &mut dyn Seekable,
    place: Place<'_>,
) -> io::Result<Found> {
    let entries = match zip::entries(&mut file, MOST_ENTRIES) {
        Ok(entries) => entries,
        Err(zip::Error::Io(error)) if error.raw_os_error().is_some() => return Err(error),
        Err(error) => {
            let why = format!("the archive cannot be read: {error}");
            return Ok(Some((Format::Archive, closed(why))));
        }
    };
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    let is_keras = has("config.json") && (has("metadata.json") || has("model.weights.h5"));
    let is_torch =
        entries.iter().any(|entry| entry.name == "data.pkl" || entry.name.ends_with("/data.pkl"));
    let place = if is_torch { Place { layout: Layout::Torch, ..place } } else { place };
    let (mut format, mut found) = (Format::Archive, None::<Report>);
    for entry in entries.iter().filter(|entry| !entry.name.ends_with('/')) {
        let content = match open(search, &mut *file, entry) {
            Ok(content) => content,
            Err(why) => {
                found.get_or_insert_default().merge(closed(why));
                continue;
            }
        };
        let (as_text, report) = match entry.name.as_str() {
            "schema.json" => (Format::Skops, json(content, &entry.name, types)?),
            "config.json" if is_keras => {
                (Format::Keras, json(content, &entry.name, keras::config)?)
            }
            name => {
                let mut content = content;
                let found = search.stream(&mut content, place.within(name))?;
                (format, found.map(|(_, report)| report))
            }
        };
        let Some(report) = report else { continue };
        format = as_text;
        let all = found.get_or_insert_default();
        all.merge(report);
        if entry.is_encrypted {
            all.merge(closed(format!("`{}` says that it takes a password", entry.name)));
        }
    }
    Ok(found.map(|report| (format, report)))
}

/// The content of an entry; why there is none to be had.
fn open<'a>(
    search: &'a Search,
    mut file: &'a mut dyn Seekable,
    entry: &Entry,
) -> Result<Box<dyn BufRead + 'a>, String> {
    let name = &entry.name;
    let unreadable = |error: &dyn std::fmt::Display| format!("`{name}` cannot be read: {error}");
    let begin = entry.begin(&mut file).map_err(|error| unreadable(&error))?;
    file.seek(SeekFrom::Start(begin)).map_err(|error| unreadable(&error))?;
    // A password may be claimed where there is none, for some readers do not care: it is read as
    // it stands. So is what has another checksum than it says.
    let packed = BufReader::new(file).take(entry.packed);
    unpack::entry(entry.method, packed, search.meter()).ok_or_else(|| {
        format!("`{name}` is packed by method {}, which is not looked into", entry.method)
    })
}

/// What a JSON text within an archive says.
fn json(
    content: impl Read,
    name: &str,
    read: fn(&Value) -> Option<Report>,
) -> io::Result<Option<Report>> {
    let mut text = Vec::new();
    match content.take(LONGEST_TEXT + 1).read_to_end(&mut text) {
        Err(error) if error.raw_os_error().is_some() => return Err(error),
        Err(_) => return Ok(Some(closed(format!("`{name}` ends early")))),
        Ok(_) => {}
    }
    if text.len() as u64 > LONGEST_TEXT {
        return Ok(Some(closed(format!("`{name}` is too large to be scanned"))));
    }
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(read(&value)),
        Err(_) => Ok(Some(closed(format!("`{name}` is no JSON that can be followed")))),
    }
}

/// The types that a skops file names; absent where it is none.
fn types(schema: &Value) -> Option<Report> {
    let mut report = Report::default();
    for fields in objects(schema) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        if let (Some(module), Some(class)) = (text("__module__"), text("__class__")) {
            report.merge(named(module, class));
        }
    }
    (!report.imports.is_empty()).then_some(report)
}

/// All objects within a JSON value.
pub(super) fn objects(value: &Value) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
    let mut waiting = vec![value];
    std::iter::from_fn(move || {
        loop {
            match waiting.pop()? {
                Value::Object(fields) => {
                    waiting.extend(fields.values());
                    return Some(fields);
                }
                Value::Array(items) => waiting.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    })
}

/// Whether a block is tar's header of something: its sum is right, and it is not empty.
pub(super) fn is_header(block: &[u8; 512]) -> bool {
    // The sum is taken as if its own field were spaces.
    let counted =
        |(at, &byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { byte });
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    block[0] != 0 && Header::from_byte_slice(block).cksum().is_ok_and(|claimed| claimed == sum)
}

/// Looks into a tar archive. Absent where nothing is within that has to do with pickles.
pub(super) fn tar(
    search: &Search,
    content: &mut dyn BufRead,
    place: Place<'_>,
) -> io::Result<Found> {
    let (mut found, mut entries) = (None::<Report>, 0);
    let broken = loop {
        let mut block = [0; 512];
        match content.read_exact(&mut block) {
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) => break Some("it ends early"),
            Ok(()) if block == [0; 512] => break None,
            Ok(()) => {}
        }
        entries += 1;
        if entries > MOST_ENTRIES {
            break Some("it has too many entries");
        }
        let header = Header::from_byte_slice(&block);
        let (true, Ok(size)) = (is_header(&block), header.entry_size()) else {
            break Some("a header in it is damaged");
        };
        if header.entry_type() == EntryType::GNUSparse {
            break Some("it holds a sparse file");
        }
        let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        let mut entry = (&mut *content).take(size);
        if let Some((_, report)) = search.stream(&mut entry, place.within(&path))? {
            found.get_or_insert_default().merge(report);
        }
        let padded = entry.limit() + (512 - size % 512) % 512;
        match io::copy(&mut (&mut *content).take(padded), &mut io::sink()) {
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) => break Some("it ends early"),
            Ok(_) => {}
        }
    };
    if let Some(why) = broken {
        found.get_or_insert_default().merge(closed(format!("the archive cannot be read: {why}")));
    }
    Ok(found.map(|report| (Format::Archive, report)))
}
