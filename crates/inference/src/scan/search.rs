//! The way into a file: archives and streams within each other, to a bounded depth and length.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read as _, Seek as _, SeekFrom},
};

use domain::{
    pickle::{Format, Layout, Report, scan},
    zip,
};

use super::{
    archives, arrays, closed,
    content::{BEGINNING, Content, Packing, is_named_hdf5, is_named_pickle, unpacked_name},
    keras,
    unpack::{self, Meter},
};

/// How deep archives and streams may lie in each other.
const DEEPEST: usize = 8;
/// The largest archive within another that is looked into: it is held in memory.
const LARGEST_NESTED: u64 = 512 << 20;

/// What is found, and how the pickle is packed.
pub(super) type Found = Option<(Format, Report)>;

/// Where a part of a file is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// In how many archives and streams it lies.
    pub(super) depth: usize,
    /// What reads pickles there.
    pub(super) layout: Layout,
}

impl Place<'_> {
    /// A place within this one.
    pub(super) fn within(self, name: &str) -> Place<'_> {
        Place { name, depth: self.depth + 1, layout: self.layout }
    }
}

/// The search through one file.
pub(super) struct Search {
    meter: Meter,
}

impl Search {
    /// A search that unpacks this much at most.
    pub(super) fn new(most: u64) -> Self {
        Self { meter: Meter { left: Cell::new(most), damaged: Cell::new(false) } }
    }

    /// What it has unpacked.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Looks into a file on disk.
    pub(super) fn file(&self, mut file: File, name: &str) -> io::Result<Found> {
        let place = Place { name, depth: 0, layout: Layout::Plain };
        let beginning = held(&mut file, BEGINNING)?;
        let found = if Content::of(&beginning) == Content::Zip {
            archives::zip(self, &mut file, place)?
        } else {
            // Python's reader of archives takes no notice of what stands before one.
            let trails = zip::has_end(&mut file)?;
            file.seek(SeekFrom::Start(0))?;
            let found = self.stream(&mut BufReader::new(file), place)?;
            let behind = || closed("a zip archive stands in it behind other bytes");
            if trails { with(found, behind()) } else { found }
        };
        // Some decoder on the way may have taken it for damage.
        let too_large = || closed("it is too large to be scanned: too much is packed in it");
        Ok(if self.meter.left.get() == 0 { with(found, too_large()) } else { found })
    }

    /// Looks into whatever this is.
    pub(super) fn stream(&self, content: &mut dyn BufRead, place: Place<'_>) -> io::Result<Found> {
        let beginning = held(&mut *content, BEGINNING)?;
        let kind = Content::of(&beginning);
        let is_named = is_named_pickle(place.name);
        let is_container = matches!(kind, Content::Zip | Content::Tar | Content::Packed(_));
        if is_container && place.depth >= DEEPEST {
            let text = format!("`{}` lies too deep in archives to be looked into", place.name);
            return Ok(Some((Format::Archive, closed(text))));
        }
        // Whoever gives the file to a loader of pickles executes what stands at its beginning,
        // whatever else it is.
        let is_disguised = !matches!(kind, Content::Pickle | Content::OldTorch)
            && scan(beginning.as_slice(), place.layout)?.is_pickle(true);
        let whole = &mut Cursor::new(beginning).chain(content);
        match kind {
            _ if is_disguised => self.pickle(whole, place, true, true),
            Content::Pickle => self.pickle(whole, place, false, is_named),
            Content::OldTorch => {
                let walk = scan(whole, Layout::OldTorch)?;
                Ok(Some((Format::Pickle, walk.report)))
            }
            Content::Zip => self.nested(whole, place),
            Content::Tar => archives::tar(self, whole, place),
            Content::Array => Ok(arrays::array(whole)?.map(|report| (Format::Array, report))),
            Content::Hdf5 => keras::hdf5(whole),
            Content::Packed(packing) => self.packed(packing, whole, place),
            Content::Closed(what) => {
                let text = format!("`{}` is {what}, which is not looked into", place.name);
                Ok(Some((Format::Archive, closed(text))))
            }
            Content::Other if is_named_hdf5(place.name) => keras::hdf5(whole),
            Content::Other => self.pickle(whole, place, true, is_named),
        }
    }

    /// A compressed stream. Zlib's beginning is too short to tell that it is one.
    fn packed(
        &self,
        packing: Packing,
        content: &mut dyn BufRead,
        place: Place<'_>,
    ) -> io::Result<Found> {
        self.meter.damaged.set(false);
        let mut plain = unpack::unpacked(packing, content, &self.meter)?;
        let found = self.stream(&mut plain, place.within(unpacked_name(place.name)))?;
        let report = match found {
            Some((_, report)) => Some(report),
            None if self.meter.damaged.get() && packing != Packing::Zlib => {
                Some(closed(format!("`{}` is compressed, and damaged", place.name)))
            }
            None => None,
        };
        Ok(report.map(|report| (Format::Compressed, report)))
    }

    /// Walks pickles. `is_text`: it begins like anything else too; `counts`: it is a pickle whatever
    /// comes of it.
    fn pickle(
        &self,
        content: &mut dyn BufRead,
        place: Place<'_>,
        is_text: bool,
        counts: bool,
    ) -> io::Result<Found> {
        let walk = scan(content, place.layout)?;
        Ok((counts || walk.is_pickle(is_text)).then_some((Format::Pickle, walk.report)))
    }

    /// An archive within another, or in a stream.
    fn nested(&self, content: &mut dyn BufRead, place: Place<'_>) -> io::Result<Found> {
        let held = held(content, LARGEST_NESTED + 1)?;
        if held.len() as u64 > LARGEST_NESTED {
            let text =
                format!("`{}` is too large to be scanned within another archive", place.name);
            return Ok(Some((Format::Archive, closed(text))));
        }
        archives::zip(self, &mut Cursor::new(held), place)
    }
}

/// The beginning of something, of up to so many bytes. What is damaged has a shorter one.
fn held(content: impl io::Read, most: u64) -> io::Result<Vec<u8>> {
    let mut held = Vec::new();
    match content.take(most).read_to_end(&mut held) {
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(_) | Ok(_) => Ok(held),
    }
}

/// Adds to what was found.
fn with(found: Found, report: Report) -> Found {
    let (format, mut all) = found.unwrap_or((Format::Archive, Report::default()));
    all.merge(report);
    Some((format, all))
}
