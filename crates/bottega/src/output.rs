//! How answers and failures are written: a table for people, JSON for programs; one renderer.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use client::{ApiError, Progress};
use comfy_table::{ContentArrangement, Table, presets};
use domain::{ErrorCode, Problem, contract::Line, promotion::Outcome};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde_json::{Value, json};

use crate::cli::Format;

/// Exit codes that scripts rely on.
pub mod exit {
    /// It failed.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// A promotion rule or an endpoint's contract said no.
    pub const GATE: u8 = 3;
    /// A quota is spent.
    pub const QUOTA: u8 = 4;
    /// It took longer than allowed.
    pub const TIMEOUT: u8 = 5;
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// In the API's words.
    pub error: Box<ApiError>,
    /// What scripts see.
    exit: u8,
}

impl Failure {
    /// The operating system's doing.
    pub fn io(error: std::io::Error) -> Self {
        Self::from(Problem::new(ErrorCode::Internal, error.to_string()))
    }

    /// The command line is wrong.
    pub fn usage(field: &str, message: impl Into<String>) -> Self {
        Self { exit: exit::USAGE, ..Self::from(Problem::invalid(field, message)) }
    }

    /// The same, with this exit code.
    #[must_use]
    pub const fn exiting(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let error = error.as_api_error();
        let exit = match error.code.as_str() {
            "gate_refused" => exit::GATE,
            "quota_exceeded" | "rate_limited" => exit::QUOTA,
            "timeout" => exit::TIMEOUT,
            _ => exit::FAILED,
        };
        Self { error: Box::new(error), exit }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::from(client::Error::Local(problem))
    }
}

/// Writes answers.
pub struct Output {
    format: Format,
}

/// A column of a table: its heading, and where its value is in each item.
pub type Column<'a> = (&'a str, &'a str);

impl Output {
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One object: its fields below each other, or as JSON.
    pub fn object(&self, value: &Value, fields: &[Column<'_>]) -> ExitCode {
        match self.format {
            Format::Json => print_json(value),
            Format::Table => {
                let width = fields.iter().map(|(heading, _)| heading.len()).max().unwrap_or(0);
                for (heading, pointer) in fields {
                    if let Some(text) = cell(value, pointer) {
                        anstream::println!("{:width$}  {text}", heading.dimmed());
                    }
                }
            }
        }
        ExitCode::SUCCESS
    }

    /// A list: a table, or `{"items": […]}`. `empty` teaches what fills an empty one.
    pub fn list(&self, items: &[Value], columns: &[Column<'_>], empty: &str) -> ExitCode {
        match self.format {
            Format::Json => print_json(&json!({"items": items})),
            Format::Table if items.is_empty() => anstream::println!("{empty}"),
            Format::Table => {
                let mut table = Table::new();
                table
                    .load_style(presets::NOTHING)
                    .set_content_arrangement(ContentArrangement::Dynamic);
                table.set_header(columns.iter().map(|(heading, _)| heading.to_uppercase()));
                for item in items {
                    table.add_row(
                        columns.iter().map(|(_, pointer)| {
                            cell(item, pointer).unwrap_or_else(|| "–".to_owned())
                        }),
                    );
                }
                anstream::println!("{table}");
            }
        }
        ExitCode::SUCCESS
    }

    /// An object whose list at that pointer is what people read; programs get all of it.
    pub fn sheet(&self, value: &Value, items: &str, columns: &[Column<'_>]) -> ExitCode {
        if self.is_json() {
            print_json(value);
            return ExitCode::SUCCESS;
        }
        let items = value.pointer(items).and_then(Value::as_array).cloned().unwrap_or_default();
        self.list(&items, columns, "Nothing.")
    }

    /// What was done: a sentence for people, the object for programs.
    pub fn done(&self, value: &Value, sentence: &str) -> ExitCode {
        match self.format {
            Format::Json => print_json(value),
            Format::Table => anstream::println!("{} {sentence}", "✓".green()),
        }
        ExitCode::SUCCESS
    }

    /// What went wrong, on stderr; answers the exit code.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        let error = &failure.error;
        match self.format {
            Format::Json => anstream::eprintln!("{:#}", json!({"error": error})),
            Format::Table => {
                anstream::eprintln!("{} {}", "error:".red().bold(), error.message);
                if !error.rules.is_empty() {
                    anstream::eprintln!("{}", rules(&error.rules));
                }
                if let Some(contract) = &error.contract {
                    anstream::eprintln!("{}", side_by_side(&contract.lines));
                }
                if let Some(hint) = &error.hint {
                    anstream::eprintln!("{} {hint}", " hint:".cyan());
                }
                if let Some(id) = &error.request_id {
                    anstream::eprintln!("{} {id}", "request:".dimmed());
                }
            }
        }
        ExitCode::from(failure.exit)
    }

    /// A bar on stderr, if a person is watching.
    pub fn progress(&self) -> Bar {
        let bar = ProgressBar::hidden();
        if self.format == Format::Table && std::io::stderr().is_terminal() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Bar(bar)
    }
}

/// What each promotion rule found.
fn rules(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "RULE", "VALUE", "REQUIRED"]);
    for outcome in outcomes {
        let sign = if outcome.ok { "✓" } else { "✗" };
        let value = visible(outcome.value.as_deref().unwrap_or("no value"));
        table.add_row([sign, &visible(&outcome.rule), &value, &visible(&outcome.required)]);
    }
    table
}

/// An endpoint's contract beside the version that does not fit it.
fn side_by_side(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "", "EXPECTED", "GOT"]);
    for line in lines {
        let sign = if line.ok { "✓" } else { "✗" };
        let told = |side: &Option<String>| side.as_deref().map_or_else(|| "–".to_owned(), visible);
        table.add_row([sign, &visible(&line.what), &told(&line.expected), &told(&line.got)]);
    }
    table
}

fn print_json(value: &Value) {
    anstream::println!("{value:#}");
}

/// The value at a JSON pointer (`/live/release`), as one line of text; absent where it is null.
fn cell(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(local_time(text).unwrap_or_else(|| visible(text))),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(|item| cell(item, "")).collect();
            (!items.is_empty()).then(|| items.join(", "))
        }
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key}={}", cell(value, "").unwrap_or_default()))
                .collect();
            (!pairs.is_empty()).then(|| pairs.join(", "))
        }
        other @ (Value::Bool(_) | Value::Number(_)) => Some(other.to_string()),
    }
}

/// Whoever named a model must not be able to steer the reader's terminal.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// An instant in the reader's zone.
fn local_time(text: &str) -> Option<String> {
    let looks_so =
        text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
    let at = chrono::DateTime::parse_from_rfc3339(text).ok().filter(|_| looks_so)?;
    Some(at.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A progress bar of bytes.
pub struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&self, what: &str, bytes: u64) {
        let style = ProgressStyle::with_template(
            "{msg:11} {bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        );
        if let Ok(style) = style {
            self.0.set_style(style);
        }
        self.0.set_length(bytes);
        self.0.set_position(0);
        self.0.set_message(what.to_owned());
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Bar {
    /// Shows how many of them there are done.
    pub fn counted(&self, what: &str, done: u64, of: u64) {
        if self.0.length() != Some(of) {
            let style =
                ProgressStyle::with_template("{msg:11} {bar:32} {pos} of {len}, {eta} left");
            if let Ok(style) = style {
                self.0.set_style(style);
            }
            self.0.set_length(of);
            self.0.set_message(what.to_owned());
        }
        self.0.set_position(done);
    }

    /// Waits with words in place of a bar.
    pub fn waiting(&self, what: &str) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            self.0.set_style(style);
        }
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
