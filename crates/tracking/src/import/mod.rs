//! Importing from an MLflow server: what comes keeps its ids and its times, as far as they are free.
//!
//! Everything here can be repeated: what is there already becomes what the source says now. What was
//! not imported from that very source is never touched: it is a conflict, to be told by name.
//! An item's mark is set last, by [`mark`]: until then it counts as missing in parts.

mod experiments;
mod logged_models;
mod runs;

use auth::{Permit, verbs};
use domain::{ErrorCode, ImportKind, ImportSourceId, Problem};
use serde_json::json;
pub use store::imports::{Imported, Source};
use store::{Change, imports};

pub use self::{
    experiments::{ImportedExperiment, experiment},
    logged_models::{ImportedModel, logged_model},
    runs::{ImportedRun, Tally, files, links, points, put_files, run},
};
use crate::{Result, State};

/// The most items that are asked for, or marked, at once.
pub const AT_ONCE: usize = 1000;

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What it is called here.
    pub ours: String,
    /// Whether it was made just now; else it was here before.
    pub created: bool,
}

/// The source at an address, if something was imported from there before.
///
/// # Errors
/// The database is away.
pub async fn source_at(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    url: &str,
) -> Result<Option<Source>> {
    Ok(imports::by_url(&state.database, url).await?)
}

/// Remembers a server to import from. One that is known is as good.
///
/// # Errors
/// An address that is none.
pub async fn begin(state: &State, permit: &Permit<verbs::Administer>, url: &str) -> Result<Source> {
    check_url(url)?;
    let mut change = Change::begin(&state.database).await?;
    if imports::insert_source(&mut change, url, permit.actor()).await? {
        change.commit(&permit.event("import.begun", json!({"url": url}))).await?;
    }
    let found = imports::by_url(&state.database, url).await?;
    Ok(found.ok_or_else(Problem::internal)?)
}

/// The address is only a name here: nobody connects to it from the server.
fn check_url(url: &str) -> Result<(), Problem> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_fine = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.ends_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c))
    });
    if is_fine && url.chars().count() <= 1000 {
        return Ok(());
    }
    let message = "expected http://HOST:PORT, without a user, a query or a slash at the end";
    Err(Problem::invalid("url", message))
}

/// What is known of these items of a source.
///
/// # Errors
/// Too many at once.
pub async fn known(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    kind: ImportKind,
    theirs: &[String],
) -> Result<Vec<Imported>> {
    few(theirs.len())?;
    Ok(imports::find(&state.database, source, kind, theirs).await?)
}

/// Notes that all of these items is carried, each with what the source said of it.
///
/// # Errors
/// Too many at once; one of them was never carried.
pub async fn mark(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    kind: ImportKind,
    marks: &[(String, String)],
) -> Result<()> {
    few(marks.len())?;
    for (_, mark) in marks {
        domain::tracking::check_length("mark", mark, 200)?;
    }
    let known = imports::mark(&state.database, source, kind, marks).await?;
    if known == marks.len() as u64 {
        return Ok(());
    }
    let message = format!("only {known} of these {} items were carried", marks.len());
    Err(Problem::conflict(message).at("marks").into())
}

fn few(count: usize) -> Result<(), Problem> {
    if count <= AT_ONCE {
        return Ok(());
    }
    Err(Problem::invalid("items", format!("{count} items: expected at most {AT_ONCE}")))
}

/// Begins a change of what comes from a source; one at a time.
async fn open(state: &State, source: ImportSourceId) -> Result<(Change, Source)> {
    let mut change = Change::begin(&state.database).await?;
    let source = imports::lock(&mut change, source).await?.ok_or_else(|| absent(source))?;
    Ok((change, source))
}

/// A source that nobody named.
#[must_use]
pub fn absent(source: ImportSourceId) -> Problem {
    Problem::not_found("import source", source)
        .at("source")
        .hint("POST /api/v1/import/sources names one")
}

/// Something of ours stands where the source's would go.
async fn occupied(
    change: &mut Change,
    kind: ImportKind,
    what: String,
    ours: &str,
) -> Result<Problem> {
    let why = match imports::origin(change, kind, ours).await? {
        Some(url) => format!("it was imported from {url}"),
        None => "it was not imported".to_owned(),
    };
    Ok(Problem::conflict(format!("{what} is here already: {why}")))
}

/// An instant that the source tells in milliseconds since 1970.
///
/// # Errors
/// It is none.
pub fn instant(field: &str, milliseconds: i64) -> Result<domain::Timestamp, Problem> {
    // What Postgres keeps, and no calendar of MLflow's ever leaves.
    let year_10000 = 253_402_300_800_000;
    let found = (0..year_10000).contains(&milliseconds).then_some(milliseconds);
    found.and_then(domain::Timestamp::from_timestamp_millis).ok_or_else(|| {
        let message = format!("`{milliseconds}`: expected milliseconds since 1970");
        Problem::invalid(field, message)
    })
}

/// Something that must have been carried before.
fn missing(kind: &str, theirs: impl std::fmt::Display) -> Problem {
    Problem::new(
        ErrorCode::Conflict,
        format!(
            "the {kind} `{theirs}` of the source is not here: it was not carried, or was deleted since"
        ),
    )
}
