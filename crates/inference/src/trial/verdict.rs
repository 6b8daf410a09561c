//! What a worker's reports and its end say about the model.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::{Report, TrialLimits, process::Remains};
use crate::Error;

/// Judges what is left of a worker; nothing is left of one that was killed at the time limit.
pub(super) fn judge(
    remains: Option<Remains>,
    limits: &TrialLimits,
) -> Result<Result<Report, String>, Error> {
    let Some(remains) = remains else { return rejected(too_slow(limits)) };
    let mut confined = false;
    for line in remains.reports.split(|&byte| byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Report::Confined) => confined = true,
            Ok(report @ (Report::Ready(_) | Report::Scanned(_))) => return Ok(Ok(report)),
            Ok(Report::Rejected(reason)) => return rejected(reason),
            Ok(Report::Failed(why)) => return Err(Error::Worker(why)),
            // The rest of a worker that died while it wrote.
            Err(_) => {}
        }
    }
    let complaints = remains.complaints.trim();
    tracing::debug!(status = %remains.status, complaints, "a trial worker died");
    if !confined {
        return Err(Error::Worker(format!("it ended early ({}): {complaints}", remains.status)));
    }
    let out_of_memory =
        ["bad_alloc", "memory allocation of"].iter().any(|sign| complaints.contains(sign));
    let signal = remains.status.signal().and_then(|signal| Signal::try_from(signal).ok());
    match signal {
        _ if out_of_memory => rejected(too_large(limits)),
        // Nobody but the kernel, short of memory, kills it before its time.
        Some(Signal::SIGKILL) => rejected(too_large(limits)),
        Some(Signal::SIGXCPU) => rejected(too_slow(limits)),
        Some(signal) => rejected(format!("the model crashed ({signal})")),
        None => rejected(format!("the model broke its worker ({})", remains.status)),
    }
}

/// The reason for a model that did not come to an end.
pub(crate) fn too_slow(limits: &TrialLimits) -> String {
    format!("the model did not finish within {} s", limits.time.as_secs_f64())
}

/// The reason for a model that wants more memory than it may have.
pub(crate) fn too_large(limits: &TrialLimits) -> String {
    format!("the model took more than {} MiB of memory", limits.memory_bytes >> 20)
}

fn rejected(reason: String) -> Result<Result<Report, String>, Error> {
    Ok(Err(reason))
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    /// A status as `wait` gives it: a signal in the low bits, an exit code above them.
    fn judged(
        status: i32,
        reports: &str,
        complaints: &str,
    ) -> Result<Result<Report, String>, Error> {
        let remains = Remains {
            status: ExitStatus::from_raw(status),
            reports: reports.as_bytes().to_vec(),
            complaints: complaints.to_owned(),
        };
        judge(Some(remains), &TrialLimits::default())
    }

    fn reason(status: i32, complaints: &str) -> String {
        match judged(status, "\"confined\"\n", complaints) {
            Ok(Err(reason)) => reason,
            other => panic!("{other:?}"),
        }
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
            assert!(matches!(judged(status, reports, ""), Err(Error::Worker(_))));
        }
    }

    #[test]
    fn a_report_counts_even_if_the_worker_dies_after_it() {
        let reports = "\"confined\"\n{\"rejected\":\"no good\"}\n";
        let outcome = judged(11, reports, "").unwrap();
        assert_eq!(outcome.unwrap_err(), "no good");
        assert!(judged(11, "\"confined\"\n{\"rejec", "").is_ok());
    }

    #[test]
    fn who_was_killed_at_the_limit_was_too_slow() {
        let outcome = judge(None, &TrialLimits::default()).unwrap();
        assert_eq!(outcome.unwrap_err(), "the model did not finish within 60 s");
    }
}
