//! Kept rows: read, and deleted.

use auth::{Permit, verbs};
use bytes::Bytes;
use domain::{Actor, Cursor, EndpointRef, Limit, Page, Problem, Timestamp};
use futures_util::{TryStreamExt as _, stream};
use serde_json::{Map, Value, json};
use store::{
    Change,
    capture::{
        self, Captured,
        segments::{self, Hash, Segment},
    },
    versions,
};

use crate::{
    Result, State,
    segment::{INPUT, OUTPUT, Table},
    settings::absent,
};

/// Files that are looked into for one page.
const AT_A_PAGE: usize = 64;

/// Files that are written anew in one change.
const AT_ONCE: usize = 16;

/// How often a deletion begins anew, since others changed the same files.
const TRIES: usize = 20;

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those of an inference.
    Inference(String),
    /// Those that are about somebody.
    Subject(String),
}

impl Which {
    fn hash(&self, state: &State) -> Hash {
        match self {
            Self::Inference(id) => Hash::Inference(state.hashes.inference(id)),
            Self::Subject(value) => Hash::Subject(state.hashes.subject(value)),
        }
    }

    /// The place of each row that it is, in a table.
    fn marks(&self, table: &Table, state: &State) -> Vec<bool> {
        match self {
            Self::Inference(id) => {
                let ids = table.texts(crate::segment::ID).unwrap_or_default();
                ids.iter().map(|it| it == id).collect()
            }
            Self::Subject(value) => {
                let hash = state.hashes.subject(value);
                let subjects = table.longs(crate::segment::SUBJECT).unwrap_or_default();
                subjects.iter().map(|it| *it == hash).collect()
            }
        }
    }

    /// As the audit trail tells it: who somebody is does not stand there for good.
    fn describe(&self, state: &State) -> Value {
        match self {
            Self::Inference(id) => json!({"inference": id}),
            Self::Subject(value) => json!({"subject_hash": state.hashes.subject(value)}),
        }
    }
}

/// A kept row: what it was, with `inputs` and `outputs`.
pub type Row = Map<String, Value>;

/// Which rows are read.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of an inference or about somebody; absent: all.
    pub which: Option<Which>,
    /// Not before then.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    /// Only what callers were answered: no failures, and nothing of shadows.
    pub answered: bool,
}

/// Reads kept rows of an endpoint, those of the newest files first; the audit trail is told.
///
/// # Errors
/// The endpoint is not there; the cursor is of another list; a file is damaged.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::ViewData>,
    endpoint: &EndpointRef,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Row>> {
    let found = find(state, endpoint).await?;
    let (files, mut seen) = files(state, &found, filter, cursor).await?;
    let wanted = usize::try_from(limit.get()).unwrap_or_default();
    let mut page = Page { items: Vec::new(), next: None };
    for (at, file) in files.iter().enumerate() {
        // Whether there is more is known only by looking: so it looks one row further.
        let left = wanted + 1 - page.items.len();
        let rows = rows(state, file, filter).await?;
        page.items.extend(rows.into_iter().skip(seen).take(left));
        if page.items.len() > wanted {
            page.items.truncate(wanted);
            let upto = seen + left - 1;
            page.next = Some(Cursor::after(&format!("{}/{upto}", file.id)));
            break;
        }
        seen = 0;
        if at + 1 == AT_A_PAGE {
            page.next = files.get(at + 1).map(|next| Cursor::after(&format!("{}/0", next.id)));
            break;
        }
    }
    let mut detail = json!({
        "endpoint": endpoint, "rows": page.items.len(), "since": filter.since, "until": filter.until,
    });
    if let (Some(which), Value::Object(detail)) = (&filter.which, &mut detail)
        && let Value::Object(described) = which.describe(state)
    {
        detail.extend(described);
    }
    state.trail.record(permit.event("captured.read", detail));
    Ok(page)
}

/// The files to look into, and how many rows of the first were seen on the page before.
async fn files(
    state: &State,
    found: &Captured,
    filter: &Filter,
    cursor: Option<&Cursor>,
) -> Result<(Vec<Segment>, usize)> {
    let foreign = || Problem::invalid("cursor", "the cursor is not of this list");
    let after = match cursor {
        None => None,
        Some(cursor) => {
            let (file, seen) = cursor.key_as_pair()?;
            let file: uuid::Uuid = file.parse().map_err(|_| foreign())?;
            Some((file, seen.parse::<usize>().map_err(|_| foreign())?))
        }
    };
    let files = match &filter.which {
        Some(which) => {
            segments::holding(&state.database, Some(found.endpoint), which.hash(state)).await?
        }
        None => {
            let since = filter.since.unwrap_or_default();
            let until = filter.until.unwrap_or(Timestamp::MAX_UTC);
            let (behind, limit) = (after.map(|(file, _)| file), AT_A_PAGE as i64 + 1);
            segments::between(&state.database, found.endpoint, (since, until), behind, limit)
                .await?
        }
    };
    let Some((file, seen)) = after else { return Ok((files, 0)) };
    // Of a file that was written anew or deleted since the page before, the next ones follow.
    let files: Vec<_> = files.into_iter().filter(|it| it.id <= file).collect();
    let seen = if files.first().is_some_and(|it| it.id == file) { seen } else { 0 };
    Ok((files, seen))
}

/// The rows of a file that the filter takes.
async fn rows(state: &State, file: &Segment, filter: &Filter) -> Result<Vec<Row>> {
    let mut table = read(state, file).await?;
    let times = table.times(crate::segment::AT).unwrap_or_default().to_vec();
    let mut keep = match &filter.which {
        Some(which) => which.marks(&table, state),
        None => vec![true; table.rows],
    };
    if filter.answered {
        keep.iter_mut().zip(table.answered()).for_each(|(keep, answered)| *keep &= answered);
    }
    let since = filter.since.map_or(i64::MIN, |it| it.timestamp_micros());
    let until = filter.until.map_or(i64::MAX, |it| it.timestamp_micros());
    for (keep, at) in keep.iter_mut().zip(times) {
        *keep &= at >= since && at < until;
    }
    table.retain(&keep);
    let version = versions::load(&state.database, &[file.version]).await?;
    let mut rows = table.json(&[(INPUT, "inputs"), (OUTPUT, "outputs")]);
    for row in &mut rows {
        row.remove(crate::segment::SUBJECT);
        let named = version.first().map(|version| (version.model.to_string(), version.number));
        let (model, number) = named.unzip();
        row.insert("model".to_owned(), json!(model));
        row.insert("version".to_owned(), json!(number));
    }
    Ok(rows)
}

/// A file's rows.
async fn read(state: &State, file: &Segment) -> Result<Table> {
    let download = state.artifacts.open(&file.digest).await?;
    let parts: Vec<Bytes> = download.body.try_collect().await?;
    let read = tokio::task::spawn_blocking(move || Table::read(parts.concat().into()));
    Ok(read.await??)
}

/// What a deletion did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The rows that are gone.
    pub rows: usize,
    /// The files that were written anew without them.
    pub files: usize,
}

/// Deletes kept rows: files are written anew without them, and the old ones go. Rows that a gateway
/// holds and has not written yet are not among them.
///
/// # Errors
/// The endpoint is not there; a file is damaged; others changed the same files again and again.
pub async fn delete(
    state: &State,
    permit: &Permit<verbs::Configure>,
    endpoint: &EndpointRef,
    which: &Which,
) -> Result<Deleted> {
    let found = find(state, endpoint).await?;
    let hash = which.hash(state);
    let mut deleted = Deleted::default();
    for _ in 0..TRIES {
        let holding = segments::holding(&state.database, Some(found.endpoint), hash).await?;
        let mut is_done = true;
        for files in holding.chunks(AT_ONCE) {
            match delete_from(state, permit, which, files).await? {
                Some(gone) => {
                    deleted.rows += gone.rows;
                    deleted.files += gone.files;
                }
                None => is_done = false,
            }
        }
        if is_done {
            if deleted.rows == 0 {
                record(Change::begin(&state.database).await?, state, permit, which, deleted)
                    .await?;
            }
            return Ok(deleted);
        }
    }
    let message = "others change the same files all the time: try again in a moment";
    Err(Problem::conflict(message).into())
}

/// Deletes rows from some files, in one change; absent if somebody else changed one of them.
async fn delete_from(
    state: &State,
    permit: &Permit<verbs::Configure>,
    which: &Which,
    files: &[Segment],
) -> Result<Option<Deleted>> {
    let mut anew = Vec::new();
    let mut deleted = Deleted::default();
    for file in files {
        let mut table = read(state, file).await?;
        let marks = which.marks(&table, state);
        let gone = marks.iter().filter(|mark| **mark).count();
        // Another name may have the same hash.
        if gone == 0 {
            continue;
        }
        deleted.rows += gone;
        deleted.files += 1;
        table.retain(&marks.iter().map(|mark| !mark).collect::<Vec<_>>());
        anew.push((file, write(state, file, table).await?));
    }
    if anew.is_empty() {
        return Ok(Some(deleted));
    }
    let mut change = Change::begin(&state.database).await?;
    for (old, new) in &anew {
        if !segments::replace(&mut change, old, new.as_ref()).await? {
            return Ok(None);
        }
    }
    record(change, state, permit, which, deleted).await?;
    Ok(Some(deleted))
}

/// A file of what is left, or none where nothing is.
async fn write(state: &State, old: &Segment, table: Table) -> Result<Option<Segment>> {
    if table.rows == 0 {
        return Ok(None);
    }
    let bytes = Bytes::from(table.write()?);
    let body = stream::iter([Ok::<_, Problem>(bytes)]);
    let stored = state.artifacts.upload(&Actor::system("capture"), None, body).await?;
    let place = (old.endpoint, old.version);
    Ok(Some(table.describe(place, (stored.digest, stored.size), &state.hashes)))
}

async fn record(
    change: Change,
    state: &State,
    permit: &Permit<verbs::Configure>,
    which: &Which,
    deleted: Deleted,
) -> Result<()> {
    let mut detail = which.describe(state);
    if let Value::Object(detail) = &mut detail {
        detail.insert("rows".to_owned(), json!(deleted.rows));
        detail.insert("files".to_owned(), json!(deleted.files));
    }
    change.commit(&permit.event("captured.deleted", detail)).await?;
    Ok(())
}

async fn find(state: &State, endpoint: &EndpointRef) -> Result<Captured> {
    Ok(capture::get(&state.database, endpoint).await?.ok_or_else(|| absent(endpoint))?)
}
