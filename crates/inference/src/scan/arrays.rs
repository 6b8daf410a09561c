//! Numpy's arrays.

use std::io::{self, BufRead, Read as _};

use domain::pickle::{Layout, Report, scan};

use super::closed;

/// The longest description of an array that is read.
const LONGEST: u64 = 16 << 20;

/// A pickle follows an array's description where its elements are objects.
pub(super) fn array(mut file: impl BufRead) -> io::Result<Option<Report>> {
    let Some(description) = description(&mut file)? else {
        return Ok(Some(closed("the description of the array ends early")));
    };
    // Wherever an `O` stands: types may lie within types. Other letters that are written large in
    // it (`Fortran_order`, `False`, `True`) are none.
    if description.contains(&b'O') {
        return scan(file, Layout::Plain).map(|walk| Some(walk.report));
    }
    Ok(None)
}

/// The description at an array's beginning; absent where it is not whole.
fn description(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut read = |length: u64| {
        let mut bytes = Vec::new();
        match file.take(length.min(LONGEST)).read_to_end(&mut bytes) {
            Err(error) if error.raw_os_error().is_some() => Err(error),
            _ => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == length)),
        }
    };
    let Some(start) = read(8)? else { return Ok(None) };
    let Some(length) = read(if start.get(6) == Some(&1) { 2 } else { 4 })? else { return Ok(None) };
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | u64::from(*byte));
    read(length)
}
