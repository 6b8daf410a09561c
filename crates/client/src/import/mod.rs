//! Carrying an MLflow server over to Bottega: experiments, runs, logged models, registered models and
//! all files, under the ids that they have.
//!
//! The source is read page by page; what its item says is compared, by a digest, with what it said
//! when it was carried last. An item is marked when all of it is here, so whatever breaks off (this
//! program, the source, Bottega) is carried again from its beginning, and nothing is doubled.
//! What one side refuses is told in the [`Report`], and the rest goes on.

mod files;
mod plan;
mod registry;
mod report;
mod runs;
mod tracking;
mod verify;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use domain::{Digest, ImportKind, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::report::{Counts, Left, Renumbered, Report};
use crate::{
    Connection, Error,
    mlflow::{Source, SourceError},
    path,
};

/// What is carried at once, of runs and logged models.
const AT_ONCE: usize = 4;
/// How many items are asked for, or marked, in one request.
const KNOWN_AT_ONCE: usize = 1000;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// These experiments alone, by name or number.
    pub experiments: Vec<String>,
    /// These registered models alone, with the runs and logged models that their versions are from.
    pub models: Vec<String>,
    /// Only tell what would be carried.
    pub dry_run: bool,
    /// Look at everything again, whatever was carried before.
    pub again: bool,
    /// Read both sides again in the end, and compare.
    pub verify: bool,
}

/// Hears how far it is.
pub trait Watch: Send + Sync {
    /// What is done now, and of how many things; 0 where that is not known.
    fn begin(&self, what: &str, things: u64);
    /// One more of them is done.
    fn done(&self);
    /// So many bytes of files came over.
    fn bytes(&self, count: u64);
}

/// Hears nothing.
impl Watch for crate::Silent {
    fn begin(&self, _what: &str, _things: u64) {}
    fn done(&self) {}
    fn bytes(&self, _count: u64) {}
}

/// What Bottega knows of an item.
#[derive(Debug, Clone, Deserialize)]
struct Known {
    ours: String,
    mark: Option<String>,
}

type KnownItems = HashMap<String, Known>;

/// An import on its way.
struct Import<'a> {
    source: &'a Source,
    server: &'a Connection,
    options: &'a Options,
    watch: &'a dyn Watch,
    /// The source's id in Bottega; absent in a dry run of what was never imported.
    id: Option<String>,
    /// Where files are kept on their way, each for a moment.
    scratch: TempDir,
    counter: AtomicU64,
    report: Mutex<Report>,
    /// Runs and logged models whose files the source cannot read.
    unreadable: Mutex<HashSet<String>>,
}

/// Carries over what is new or changed.
///
/// # Errors
/// One of the two servers is away, or lets nobody in; all that was carried is kept.
pub async fn run(
    source: &Source,
    server: &Connection,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let version = source.greet().await?;
    let report = Report {
        from: source.url().to_owned(),
        version,
        dry_run: options.dry_run,
        ..Report::default()
    };
    let import = Import {
        source,
        server,
        options,
        watch,
        id: begin(source, server, options.dry_run).await?,
        scratch: TempDir::with_prefix("bottega-import-")
            .map_err(Error::file("temporary folder"))?,
        counter: AtomicU64::new(0),
        report: Mutex::new(report),
        unreadable: Mutex::default(),
    };
    let plan = import.plan().await?;
    import.carry_tracking(&plan).await?;
    import.carry_models(&plan).await?;
    if options.verify && !options.dry_run {
        import.verify(&plan).await?;
    }
    Ok(import.report.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The source's id in Bottega.
async fn begin(
    source: &Source,
    server: &Connection,
    dry_run: bool,
) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Begun {
        id: String,
    }
    if !dry_run {
        let begun: Begun = server.post("/import/sources", &json!({"url": source.url()})).await?;
        return Ok(Some(begun.id));
    }
    let query = [("url", source.url().to_owned())];
    match server.get::<Begun>("/import/sources", &query).await {
        Ok(begun) => Ok(Some(begun.id)),
        Err(Error::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What tells whether an item is still what it was.
fn mark(item: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_vec(item).map_err(|_| Problem::internal())?;
    Ok(Digest::of(&text).to_string())
}

impl Import<'_> {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that something could not be carried.
    fn left(&self, kind: &str, name: impl Into<String>, reason: impl std::fmt::Display) {
        let left = Left { kind: kind.to_owned(), name: name.into(), reason: reason.to_string() };
        self.report().not_carried.push(left);
    }

    fn unreadable(&self) -> MutexGuard<'_, HashSet<String>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A path below this source in Bottega.
    fn below(&self, segments: &[&str]) -> String {
        let id = self.id.as_deref().unwrap_or_default();
        format!("{}{}", path(&["import", "sources", id]), path(segments))
    }

    /// What Bottega knows of these.
    async fn known(&self, kind: ImportKind, ids: &[String]) -> Result<KnownItems, Error> {
        #[derive(Deserialize)]
        struct Answer {
            items: KnownItems,
        }
        let mut all = KnownItems::new();
        if self.id.is_none() {
            return Ok(all);
        }
        for ids in ids.chunks(KNOWN_AT_ONCE) {
            let body = json!({"kind": kind, "ids": ids});
            let answer: Answer = self.server.post(&self.below(&["known"]), &body).await?;
            all.extend(answer.items);
        }
        Ok(all)
    }

    /// Whether all of an item is here as the source has it.
    fn is_here(&self, known: Option<&Known>, mark: &str) -> bool {
        !self.options.again && known.is_some_and(|known| known.mark.as_deref() == Some(mark))
    }

    /// Notes that all of these is here.
    async fn mark_all(&self, kind: ImportKind, marks: Vec<(String, String)>) -> Result<(), Error> {
        for marks in marks.chunks(KNOWN_AT_ONCE) {
            let marks: HashMap<&str, &str> =
                marks.iter().map(|(id, mark)| (id.as_str(), mark.as_str())).collect();
            let body = json!({"kind": kind, "marks": marks});
            let _: Value = self.server.post(&self.below(&["marks"]), &body).await?;
        }
        Ok(())
    }
}

/// What Bottega said no to, for a reason that lies in the item; anything else ends the import.
fn refused<T>(answer: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(Error::Refused { status: 400 | 404 | 409 | 413, error }) => {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            Ok(Err(format!("{}{hint}", error.message)))
        }
        Err(error) => Err(error),
    }
}

/// The same, of what the source cannot give.
fn unread<T>(answer: Result<T, SourceError>) -> Result<Result<T, String>, Error> {
    match answer {
        Ok(read) => Ok(Ok(read)),
        Err(error) if error.is_of_item() => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
