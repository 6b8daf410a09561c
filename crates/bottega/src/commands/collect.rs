//! `bottega collect`: deletes for good what was deleted long ago, and the bytes that nothing names.

use std::process::ExitCode;

use clap::Args;
use client::Connection;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Done;
use crate::output::{Output, exit};

#[derive(Args)]
pub struct Options {
    /// What was deleted longer ago than this, like 30d or 0s [default: the server's retention time]
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// How long bytes stay that nothing names any more; 0s only while nobody pushes or pulls
    /// [default: 24h since they were sent or asked for, and 1h before they go]
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

/// The counts that are added up where one call does not do it all.
const SUMS: [&str; 7] = [
    "/objects",
    "/bytes_freed",
    "/purged/experiments",
    "/purged/runs",
    "/purged/logged_models",
    "/purged/models",
    "/purged/versions",
];

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let Options { older_than, grace, dry_run } = options;
    let body = json!({"older_than": older_than, "grace": grace, "dry_run": dry_run});
    let bar = output.progress();
    bar.waiting("collecting");
    let mut all: Value = server.post("/collections", &body).await?;
    while all["complete"] == false {
        let mut next: Value = server.post("/collections", &body).await?;
        for pointer in SUMS {
            let sum = count(&all, pointer) + count(&next, pointer);
            if let Some(field) = next.pointer_mut(pointer) {
                *field = json!(sum);
            }
        }
        all = next;
    }
    drop(bar);
    output.done(&all, &sentence(&all));
    let is_whole = count(&all, "/failed") == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn sentence(done: &Value) -> String {
    let kinds = ["experiment", "run", "logged_model", "model", "version"];
    let purged: Vec<_> = kinds
        .iter()
        .map(|kind| (kind.replace('_', " "), count(&done["purged"], &format!("/{kind}s"))))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| counted(count, &kind))
        .collect();
    let purged = if purged.is_empty() { "nothing".to_owned() } else { purged.join(", ") };
    let objects = counted(count(done, "/objects"), "object");
    let bytes = HumanBytes(count(done, "/bytes_freed"));
    let would = if done["dry_run"] == true { "would be " } else { "" };
    let mut sentence =
        format!("{purged} {would}purged; {objects} {would}deleted, {bytes} {would}freed");
    let waiting = count(done, "/waiting/objects");
    if waiting > 0 {
        let bytes = HumanBytes(count(done, "/waiting/bytes"));
        sentence += &format!("; {} ({bytes}) still in grace", counted(waiting, "object"));
    }
    let failed = count(done, "/failed");
    if failed > 0 {
        let objects = counted(failed, "object");
        sentence += &format!("; {objects} could not be deleted: the server's log says why");
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_told_in_a_sentence() {
        let mut done = json!({
            "dry_run": false, "objects": 3, "bytes_freed": 2048, "failed": 0,
            "purged": {"experiments": 0, "runs": 2, "logged_models": 1, "models": 0, "versions": 0},
            "waiting": {"objects": 1, "bytes": 10},
        });
        assert_eq!(
            sentence(&done),
            "2 runs, 1 logged model purged; 3 objects deleted, 2.00 KiB freed; 1 object (10 B) still in grace"
        );
        done["dry_run"] = json!(true);
        assert!(sentence(&done).contains("objects would be deleted"), "{}", sentence(&done));
    }
}
