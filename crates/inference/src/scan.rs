//! Looking for pickles in a version's files, and for what they would do.
//!
//! What a file is tells its content, not its name: only a name that pickles bear makes a pickle of
//! what begins like none. Archives and compressed streams are looked into to a certain depth and a
//! certain length. Nothing is unpacked to disk, and nothing is executed. It is meant for the
//! confined worker: a file that takes it more memory or time than it may have ends the worker, and
//! that is a finding too.
//!
//! What a pickle means is not here (`domain::pickle`).

mod archives;
mod arrays;
mod content;
mod keras;
mod search;
mod unpack;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use domain::{
    FilePath,
    pickle::{FileFindings, Findings, Note, Report, Verdict},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    trial::{self, Fault, TrialLimits, Work},
};

/// The most that is unpacked of one file.
const MOST_UNPACKED: u64 = 8 << 30;

/// What to look into.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScanJob {
    /// The folder on this machine.
    pub folder: PathBuf,
    /// The files in it.
    pub files: Vec<FilePath>,
}

/// Looks into files in a worker, as [`trial::run`] tries a version. A worker that the files ended
/// is a finding, beside what it had found till then. Dropping the future kills the worker.
///
/// # Errors
/// [`Error::Worker`]: the process could not be started or confined, or could not read the files.
pub async fn run(exe: &Path, job: ScanJob, limits: TrialLimits) -> Result<Findings, Error> {
    let outcome = trial::work(exe, Work::Scan(job), limits.clone()).await?;
    match outcome.end {
        Ok(trial::Report::Scanned) => Ok(Findings::of(outcome.found)),
        Ok(_) => Err(Error::Worker("it answered something else".to_owned())),
        Err(fault) => {
            let why = reason(&fault, outcome.looking.as_ref(), &limits);
            Ok(Findings::unfinished(why, outcome.found))
        }
    }
}

/// Why a scan did not come to its end.
fn reason(fault: &Fault, file: Option<&FilePath>, limits: &TrialLimits) -> String {
    let file = file.map_or_else(|| "a file".to_owned(), |path| format!("`{path}`"));
    match fault {
        Fault::TooSlow => {
            let seconds = limits.time.as_secs_f64();
            format!("{file} is too large to be scanned: it takes more than {seconds} s")
        }
        Fault::TooLarge => {
            let most = limits.memory_bytes >> 20;
            format!("{file} is too large to be scanned: it takes more than {most} MiB of memory")
        }
        Fault::Crashed(how) => format!("{file} ended its scan, which {how}"),
        Fault::Rejected(why) => format!("{file}: {why}"),
    }
}

/// What was found in one file; absent where it has nothing to do with pickles.
///
/// # Errors
/// It could not be read.
pub fn look(folder: &Path, path: &FilePath) -> io::Result<Option<FileFindings>> {
    look_at_most(folder, path, MOST_UNPACKED)
}

fn look_at_most(folder: &Path, path: &FilePath, most: u64) -> io::Result<Option<FileFindings>> {
    let file = File::open(folder.join(path.as_str()))?;
    let found = search::Search::new(most).file(file, path.as_str())?;
    Ok(found.map(|(format, report)| FileFindings {
        path: path.to_string(),
        format,
        verdict: report.verdict(),
        report,
    }))
}

/// What is found in something that cannot be looked into.
fn closed(why: impl Into<String>) -> Report {
    let note = Note { verdict: Verdict::Unknown, text: why.into() };
    Report { imports: Vec::new(), notes: vec![note] }
}

#[cfg(test)]
mod tests;
