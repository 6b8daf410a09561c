//! What a worker's reports and its end say about the model.

use std::os::unix::process::ExitStatusExt;

use domain::{FilePath, pickle::FileFindings};
use nix::sys::signal::Signal;

use super::{Report, TrialLimits, process::Remains};
use crate::{Error, process::is_out_of_memory};

/// What came of a worker.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it found in files.
    pub(crate) found: Vec<FileFindings>,
    /// The file that it looked into last.
    pub(crate) looking: Option<FilePath>,
    /// Its last report, or what ended it: the files, and not we.
    pub(crate) end: Result<Report, Fault>,
}

/// What the files did to a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It took too long.
    TooSlow,
    /// It took too much memory.
    TooLarge,
    /// It died.
    Crashed(String),
    /// It said itself that they are no good.
    Rejected(String),
}

impl Fault {
    /// In words for the author of a model that was tried.
    pub(crate) fn of_model(self, limits: &TrialLimits) -> String {
        match self {
            Self::TooSlow => too_slow(limits),
            Self::TooLarge => too_large(limits),
            Self::Crashed(how) => format!("the model {how}"),
            Self::Rejected(reason) => reason,
        }
    }
}

/// Judges what is left of a worker.
pub(super) fn judge(remains: &Remains) -> Result<Outcome, Error> {
    let (mut confined, mut found, mut looking) = (false, Vec::new(), None);
    for line in remains.reports.split(|&byte| byte == b'\n') {
        let end = match serde_json::from_slice(line) {
            Ok(report @ (Report::Ready(_) | Report::Scanned)) => Ok(report),
            Ok(Report::Rejected(reason)) => Err(Fault::Rejected(reason)),
            Ok(Report::Failed(why)) => return Err(Error::Worker(why)),
            Ok(Report::Confined) => {
                confined = true;
                continue;
            }
            Ok(Report::Looking(path)) => {
                looking = Some(path);
                continue;
            }
            Ok(Report::Found(findings)) => {
                found.push(findings);
                continue;
            }
            // The rest of a worker that died while it wrote.
            Err(_) => continue,
        };
        return Ok(Outcome { found, looking, end });
    }
    let Some(status) = remains.status else {
        return Ok(Outcome { found, looking, end: Err(Fault::TooSlow) });
    };
    let complaints = String::from_utf8_lossy(&remains.complaints);
    let complaints = complaints.trim();
    tracing::debug!(%status, complaints, "a trial worker died");
    if !confined {
        return Err(Error::Worker(format!("it ended early ({status}): {complaints}")));
    }
    let out_of_memory = is_out_of_memory(complaints);
    let signal = status.signal().and_then(|signal| Signal::try_from(signal).ok());
    let fault = match signal {
        _ if out_of_memory => Fault::TooLarge,
        // Nobody but the kernel, short of memory, kills it before its time.
        Some(Signal::SIGKILL) => Fault::TooLarge,
        Some(Signal::SIGXCPU) => Fault::TooSlow,
        Some(signal) => Fault::Crashed(format!("crashed ({signal})")),
        None => Fault::Crashed(format!("broke its worker ({status})")),
    };
    Ok(Outcome { found, looking, end: Err(fault) })
}

/// The reason for a model that did not come to an end.
pub(crate) fn too_slow(limits: &TrialLimits) -> String {
    format!("the model did not finish within {} s", limits.time.as_secs_f64())
}

/// The reason for a model that wants more memory than it may have.
pub(crate) fn too_large(limits: &TrialLimits) -> String {
    format!("the model took more than {} MiB of memory", limits.memory_bytes >> 20)
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    /// A status as `wait` gives it: a signal in the low bits, an exit code above them.
    fn judged(status: Option<i32>, reports: &str, complaints: &str) -> Result<Outcome, Error> {
        judge(&Remains {
            status: status.map(ExitStatus::from_raw),
            reports: reports.as_bytes().to_vec(),
            complaints: complaints.as_bytes().to_vec(),
        })
    }

    fn reason(status: i32, complaints: &str) -> String {
        let outcome = judged(Some(status), "\"confined\"\n", complaints).unwrap();
        outcome.end.unwrap_err().of_model(&TrialLimits::default())
    }

    #[test]
    fn a_death_is_read_for_its_reason() {
        assert_eq!(reason(11, ""), "the model crashed (SIGSEGV)");
        assert_eq!(reason(6, "corrupted size"), "the model crashed (SIGABRT)");
        let too_large = "the model took more than 2048 MiB of memory";
        assert_eq!(reason(9, ""), too_large);
        assert_eq!(reason(6, "terminate called, what(): std::bad_alloc"), too_large);
        assert_eq!(reason(6, "memory allocation of 1073741824 bytes failed"), too_large);
        assert_eq!(reason(24, ""), "the model did not finish within 60 s");
        assert_eq!(reason(101 << 8, ""), "the model broke its worker (exit status: 101)");
    }

    #[test]
    fn a_worker_that_never_touched_the_model_is_our_fault() {
        for (status, reports) in [(11, ""), (1 << 8, ""), (0, "{\"failed\":\"no library\"}\n")] {
            assert!(matches!(judged(Some(status), reports, ""), Err(Error::Worker(_))));
        }
    }

    #[test]
    fn a_report_counts_even_if_the_worker_dies_after_it() {
        let reports = "\"confined\"\n{\"rejected\":\"no good\"}\n";
        let outcome = judged(Some(11), reports, "").unwrap();
        assert_eq!(outcome.end.unwrap_err(), Fault::Rejected("no good".to_owned()));
        assert!(judged(Some(11), "\"confined\"\n{\"rejec", "").is_ok());
    }

    #[test]
    fn who_was_killed_at_the_limit_was_too_slow_and_what_it_had_found_counts() {
        let found = r#"{"found":{"path":"a.pkl","format":"pickle","verdict":"safe","imports":[],"notes":[]}}"#;
        let reports = format!("\"confined\"\n{found}\n{{\"looking\":\"b.pkl\"}}\n");
        let outcome = judged(None, &reports, "").unwrap();
        assert_eq!(outcome.end.unwrap_err(), Fault::TooSlow);
        assert_eq!(outcome.looking.unwrap().as_str(), "b.pkl");
        assert_eq!(outcome.found[0].path, "a.pkl");
    }
}
