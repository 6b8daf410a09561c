//! Looking for pickles in a version's files, and for what they would do.
//!
//! What a file is tells its content, not its name: only a name that pickles bear makes a pickle of
//! what begins like none. Nothing is unpacked to disk, and nothing is executed. It is meant for the
//! confined worker: a file that takes it more memory or time than it may have ends the worker, and
//! that is a finding too.
//!
//! What a pickle means is not here (`domain::pickle`).

mod containers;

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _},
    path::{Path, PathBuf},
};

use domain::{
    FilePath,
    pickle::{FileFindings, Findings, Format, Note, Report, Verdict, scan},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    trial::{self, TrialLimits, Work},
};

/// How much of a file tells what it is.
const BEGINNING: u64 = 8;
/// Endings of names that pickles bear.
const ENDINGS: [&str; 8] = ["pkl", "pickle", "joblib", "sav", "cloudpickle", "dill", "p", "pk"];

/// What to look into.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScanJob {
    /// The folder on this machine.
    pub folder: PathBuf,
    /// The files in it.
    pub files: Vec<FilePath>,
}

/// Looks into files in a worker, as [`trial::run`] tries a version. A worker that the files ended
/// is a finding. Dropping the future kills the worker.
///
/// # Errors
/// [`Error::Worker`]: the process could not be started or confined, or could not read the files.
pub async fn run(exe: &Path, job: ScanJob, limits: TrialLimits) -> Result<Findings, Error> {
    match trial::work(exe, Work::Scan(job), limits).await? {
        Ok(trial::Report::Scanned(files)) => Ok(Findings::of(files)),
        Ok(_) => Err(Error::Worker("it answered something else".to_owned())),
        Err(reason) => Ok(Findings::unfinished(reason)),
    }
}

/// What was found in one file; absent where it has nothing to do with pickles.
///
/// # Errors
/// It could not be read.
pub fn look(folder: &Path, path: &FilePath) -> io::Result<Option<FileFindings>> {
    let mut file = File::open(folder.join(path.as_str()))?;
    let mut beginning = Vec::new();
    (&mut file).take(BEGINNING).read_to_end(&mut beginning)?;
    file.rewind()?;
    let is_named = is_named_pickle(path.as_str());
    let found = match beginning.as_slice() {
        [0x80, 2..=5, ..] => (Format::Pickle, scan(BufReader::new(file))?),
        [b'P', b'K', 3, 4, ..] => match containers::zip(&mut file)? {
            Some(found) => found,
            None => return Ok(None),
        },
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            let Some(report) = containers::array(BufReader::new(file))? else { return Ok(None) };
            (Format::Array, report)
        }
        _ if !is_named => return Ok(None),
        [0x78, ..] | [0x1f, 0x8b, ..] => {
            (Format::Compressed, containers::compressed(file, &beginning)?)
        }
        [b'B', b'Z', b'h', ..]
        | [0xfd, b'7', b'z', ..]
        | [0x5d, 0, 0, ..]
        | [4, 0x22, 0x4d, 0x18, ..] => {
            (Format::Compressed, closed("it is compressed in a way that is not looked into"))
        }
        _ => (Format::Pickle, scan(BufReader::new(file))?),
    };
    let (format, report) = found;
    Ok(Some(FileFindings { path: path.to_string(), format, verdict: report.verdict(), report }))
}

/// Whether a file of this name is taken for a pickle, whatever it begins with.
fn is_named_pickle(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// What is found in a file that cannot be looked into.
fn closed(why: impl Into<String>) -> Report {
    let note = Note { verdict: Verdict::Unknown, text: why.into() };
    Report { imports: Vec::new(), notes: vec![note] }
}

#[cfg(test)]
mod tests;
