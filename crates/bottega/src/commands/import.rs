//! `bottega import mlflow`: carries an MLflow server over.

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use clap::{Args, Subcommand};
use client::{
    Connection,
    import::{self, Counts, Left, Report, Watch},
    mlflow::{Credentials, Source},
};
use domain::Problem;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secrecy::SecretString;
use serde_json::json;

use super::Done;
use crate::output::{Failure, Output, exit, visible};

#[derive(Subcommand)]
pub enum Verb {
    /// Carry what an MLflow server has (2.x or 3.x) over to Bottega; again, for what is new since
    Mlflow(Options),
}

#[derive(Args)]
pub struct Options {
    /// The MLflow server's address, as MLFLOW_TRACKING_URI names it
    #[arg(long, value_name = "URL")]
    from: String,
    /// A token of the MLflow server
    #[arg(long, env = "BOTTEGA_IMPORT_TOKEN", hide_env_values = true, conflicts_with_all = ["username", "password"])]
    token: Option<SecretString>,
    /// A user of the MLflow server
    #[arg(long, env = "BOTTEGA_IMPORT_USERNAME", requires = "password")]
    username: Option<String>,
    /// That user's password
    #[arg(long, env = "BOTTEGA_IMPORT_PASSWORD", hide_env_values = true, requires = "username")]
    password: Option<SecretString>,
    /// Only this experiment, by name or number; may be given several times
    #[arg(long = "experiment", value_name = "NAME_OR_ID")]
    experiments: Vec<String>,
    /// Only this registered model, with the runs that its versions come from; may be given several times
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Only tell what would be carried
    #[arg(long)]
    dry_run: bool,
    /// Look at everything again, whatever was carried before
    #[arg(long)]
    again: bool,
    /// In the end read both sides again, and compare them field by field and file by file
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
}

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    let Verb::Mlflow(options) = verb;
    let credentials = match (options.token, options.username, options.password) {
        (Some(token), _, _) => Credentials::Token(token),
        (None, Some(user), Some(password)) => Credentials::Password(user, password),
        _ => Credentials::None,
    };
    let source = Source::new(&options.from, credentials).map_err(client::Error::from)?;
    if source.url() == server.base() {
        let message = format!("{} is this Bottega itself", source.url());
        return Err(Failure::usage("from", message));
    }
    let wanted = import::Options {
        experiments: options.experiments,
        models: options.models,
        dry_run: options.dry_run,
        again: options.again,
        verify: options.verify,
    };
    let teller = Teller::new(output);
    let report = import::run(&source, server, &wanted, &teller).await;
    teller.bar.finish_and_clear();
    Ok(tell(&report?, output))
}

/// Tells how far it is: a bar where a person is watching, else a line for each part.
struct Teller {
    bar: ProgressBar,
    lines: bool,
    bytes: AtomicU64,
}

impl Teller {
    fn new(output: &Output) -> Self {
        let bar = ProgressBar::hidden();
        let is_watched = std::io::stderr().is_terminal();
        if !output.is_json() && is_watched {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let lines = !output.is_json() && !is_watched;
        Self { bar, lines, bytes: AtomicU64::new(0) }
    }
}

impl Watch for Teller {
    fn begin(&self, what: &str, things: u64) {
        if self.lines {
            anstream::eprintln!("{what}");
        }
        let template = match things {
            0 => "{spinner} {msg}: {pos} done ({prefix}, {elapsed})",
            _ => "{msg} {bar:32} {pos} of {len} ({elapsed})",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_length(things);
        self.bar.set_position(0);
        self.bar.set_message(what.to_owned());
        self.bytes(0);
    }

    fn done(&self) {
        self.bar.inc(1);
    }

    fn bytes(&self, count: u64) {
        let bytes = self.bytes.fetch_add(count, Ordering::Relaxed) + count;
        self.bar.set_prefix(indicatif::HumanBytes(bytes).to_string());
    }
}

/// The report: JSON for programs, a table and sentences for people. What was left behind makes it a
/// failure, so that a script sees it.
fn tell(report: &Report, output: &Output) -> ExitCode {
    if output.is_json() {
        output.done(&json!(report), "");
    } else {
        table(report);
    }
    if report.is_whole() {
        return ExitCode::SUCCESS;
    }
    let differences = report.verified.as_ref().map_or(0, |verified| verified.differences.len());
    let mut message = match report.not_carried.len() {
        0 => "everything was carried".to_owned(),
        1 => "1 thing could not be carried".to_owned(),
        many => format!("{many} things could not be carried"),
    };
    if differences > 0 {
        message = format!("{message}; the two sides differ in {differences}");
    }
    let problem = Problem::conflict(message)
        .hint("the report names each with the reason; everything else is here");
    output.failure(&Failure::from(problem).exiting(exit::FAILED))
}

fn table(report: &Report) {
    let version = report.version.as_deref().unwrap_or("of an unknown version");
    let done = if report.dry_run { "would be carried" } else { "carried" };
    anstream::println!("MLflow {version} at {}: {done}\n", report.from);
    anstream::println!("{:18}{:>12}{:>12}{:>12}", "", "new", "changed", "here before");
    for (name, counts) in [
        ("experiments", report.experiments),
        ("runs", report.runs),
        ("logged models", report.logged_models),
        ("registered models", report.models),
        ("versions", report.versions),
    ] {
        let Counts { carried, changed, here } = counts;
        anstream::println!("{name:18}{carried:>12}{changed:>12}{here:>12}");
    }
    if !report.dry_run {
        let files = report.files;
        let read = indicatif::HumanBytes(files.bytes_read);
        let sent = indicatif::HumanBytes(files.bytes_sent);
        anstream::println!("{:18}{:>12}{:>12}{:>12}", "files", files.carried, "", files.here);
        anstream::println!("{:18}{:>12}", "metric points", report.points);
        anstream::println!("{:18}{:>12}", "aliases moved", report.aliases);
        anstream::println!("\n{read} read, {sent} of them were not here yet");
    }
    for moved in &report.renumbered {
        let (name, from, to) = (visible(&moved.name), &moved.from, &moved.to);
        anstream::println!("experiment `{name}` has the number {to} here, {from} there");
    }
    if let Some(verified) = &report.verified {
        anstream::println!(
            "compared: {} items, {} points, {} files: {} differences",
            verified.compared,
            verified.points,
            verified.files,
            verified.differences.len()
        );
        leavings("different:", &verified.differences);
    }
    leavings("not carried:", &report.not_carried);
}

fn leavings(heading: &str, all: &[Left]) {
    if !all.is_empty() {
        anstream::println!("\n{heading}");
    }
    for left in all {
        let (kind, name, reason) =
            (visible(&left.kind), visible(&left.name), visible(&left.reason));
        anstream::println!("  {kind} {name}: {reason}");
    }
}
