//! `bottega audit …`

mod archive;
mod export;
mod list;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use client::{Connection, path};
use serde_json::{Map, Value};

use super::Done;
use crate::output::{Column, Failure, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List what was done and what was refused, newest first
    List {
        #[command(flatten)]
        which: Which,
        /// The most events to list [default: all]
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
    },
    /// Show the newest events; with --follow also what comes
    #[command(after_help = "bottega audit tail -f --decision refused")]
    Tail {
        #[command(flatten)]
        which: Which,
        /// Go on with what comes, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
        /// How many to begin with
        #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT")]
        lines: usize,
    },
    /// Show that no event was changed, removed, inserted or moved: exit code 1 if one was
    #[command(after_help = "bottega audit verify --checkpoint checkpoints.json")]
    Verify {
        /// A file of checkpoints that was kept elsewhere: shows that the chain was cut or written anew
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Verify this archive in place of the trail
        #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
        archive: Option<PathBuf>,
    },
    /// Write events to stdout or a file, one a line
    #[command(
        after_help = "bottega audit export --format cef --since 2026-11-01T00:00:00Z --to events.cef"
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// How events are written
        #[arg(long, value_enum, default_value_t = Format::Ndjson, value_name = "FORMAT")]
        format: Format,
        /// The file; stdout unless given
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Tell what answered an inference: the version, where that comes from, and who released it
    #[command(after_help = "bottega audit inference 0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    Inference {
        /// What the answer's header x-bottega-inference-id said
        inference: String,
    },
    /// Sign how far the chain has come, as JSON to keep elsewhere
    #[command(after_help = "bottega audit checkpoint >> checkpoints.json")]
    Checkpoint,
    /// Move old events into a file that can be verified, and delete them here
    #[command(
        after_help = "bottega audit archive --before 2026-01-01T00:00:00Z --to audit-2025.ndjson.gz"
    )]
    Archive {
        /// What was sealed before this instant
        #[arg(long, value_name = "INSTANT")]
        before: String,
        /// The file: lines of JSON, compressed by gzip; it must not be there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Write the file, and delete nothing here
        #[arg(long)]
        keep: bool,
    },
}

/// How exported events are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// Lines of canonical JSON
    Ndjson,
    /// ArcSight's Common Event Format
    Cef,
}

/// Which events.
#[derive(Args, Clone)]
pub struct Which {
    /// Only by this actor, like user:admin
    #[arg(long)]
    actor: Option<String>,
    /// Only to this, like model:fraud
    #[arg(long)]
    resource: Option<String>,
    /// Only in this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only under this permission, like promote
    #[arg(long)]
    action: Option<String>,
    /// Only this change, like alias.moved
    #[arg(long)]
    change: Option<String>,
    /// Only what was allowed, or refused
    #[arg(long)]
    decision: Option<String>,
    /// Only with this text in the facts
    #[arg(long)]
    text: Option<String>,
    /// Not before this instant, like 2026-11-17T14:00:00Z
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// Before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
}

impl Which {
    fn query(self) -> Vec<(&'static str, String)> {
        let fields = [
            ("actor", self.actor),
            ("resource", self.resource),
            ("request_id", self.request),
            ("action", self.action),
            ("change", self.change),
            ("decision", self.decision),
            ("text", self.text),
            ("since", self.since),
            ("until", self.until),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn body(self) -> Value {
        let fields = self.query().into_iter().map(|(key, value)| (key.to_owned(), value.into()));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

const INFERENCE: &[Column<'_>] = &[
    ("inference", "/inference_id"),
    ("endpoint", "/endpoint"),
    ("at", "/at"),
    ("caller", "/caller"),
    ("protocol", "/protocol"),
    ("model", "/version/model"),
    ("version", "/version/version"),
    ("digest", "/version/digest"),
    ("run", "/version/run_id"),
    ("data", "/version/dataset_digest"),
    ("commit", "/version/git_commit"),
    ("registered by", "/version/registered_by"),
    ("release", "/release/release"),
    ("released by", "/release/created_by"),
    ("released", "/release/created_at"),
    ("reason", "/release/reason"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Inference { inference } => {
            let found: Value = server.get(&path(&["inferences", &inference]), &[]).await?;
            Ok(output.object(&found, INFERENCE))
        }
        Verb::List { which, limit } => list::list(server, which, limit, output).await,
        Verb::Tail { which, follow, lines } => {
            list::tail(server, which, follow, lines, output).await
        }
        Verb::Verify { archive: Some(file), .. } => verify::archive(server, &file, output).await,
        Verb::Verify { checkpoint, .. } => {
            verify::trail(server, checkpoint.as_deref(), output).await
        }
        Verb::Export { which, format, to } => {
            export::run(server, which, format, to.as_deref(), output).await
        }
        Verb::Checkpoint => verify::checkpoint(server, output).await,
        Verb::Archive { before, to, keep } => archive::run(server, before, &to, keep, output).await,
    }
}

/// What the operating system says about a file.
fn file(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| {
        Failure::usage("file", format!("{path}: {error}")).exiting(crate::output::exit::FAILED)
    }
}
