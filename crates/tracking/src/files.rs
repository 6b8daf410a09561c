//! Files of runs and logged models, by their paths below `mlflow-artifacts:/`.
//!
//! A file belongs to the experiment under whose artifact location it lies: ask [`home`] whose it
//! is, get a permit for that experiment, and read or write. Bytes go to `artifacts` first, the row
//! that makes them visible comes last: an upload that breaks off is never seen.

use std::ops::Range;

use artifacts::{DirectUpload, Download};
use auth::{Permit, verbs};
use bytes::Bytes;
use domain::{
    ErrorCode, FileEntry, FilePath, Manifest, Problem, UploadId,
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use store::tracking::files;
pub use store::tracking::files::{Listed, Root};

use crate::{Result, State, logged_models, runs};

/// The scheme of what lies here.
const OURS: &str = "mlflow-artifacts:";
/// More layers of percent-encoding than this no honest client writes.
const LAYERS: usize = 8;

/// A path as a caller wrote it, checked: relative, with `/` between its parts, and no way out of
/// its folder, however often it is encoded.
///
/// # Errors
/// Anything else.
pub fn path(text: &str) -> Result<FilePath, Problem> {
    let wrong = |problem: Problem| {
        // To who wants out MLflow says this much, and its tests want no more.
        if text.split(['/', '\\']).any(|part| part == "..") {
            return Problem::invalid("path", "Invalid path");
        }
        let message = format!("Invalid path: {}", problem.message);
        Problem { message, ..problem }.at("path")
    };
    let path: FilePath = text.parse().map_err(wrong)?;
    let mut plain = text.to_owned();
    for _ in 0..LAYERS {
        if plain.contains('#') || has_drive(&plain) {
            let problem = Problem::invalid("path", "it holds `#` or begins with a drive");
            return Err(wrong(problem.hint("rename the file")));
        }
        let decoded = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        if decoded == plain {
            return Ok(path);
        }
        decoded.parse::<FilePath>().map_err(wrong)?;
        plain = decoded;
    }
    Err(wrong(Problem::invalid("path", "it is percent-encoded again and again")))
}

/// Whether it begins as `C:/`.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'/', ..] if letter.is_ascii_alphabetic())
}

/// The path that a URI names below `mlflow-artifacts:/`, whatever host it names; absent if it is of
/// another scheme.
///
/// # Errors
/// A path that [`path`] refuses.
pub fn path_of(uri: &str) -> Result<Option<FilePath>, Problem> {
    let Some(rest) = uri.strip_prefix(OURS) else { return Ok(None) };
    let below = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_host, path)| path),
        None => rest.strip_prefix('/').unwrap_or(rest),
    };
    path(below.strip_suffix('/').unwrap_or(below)).map(Some)
}

/// Whose files at a path are.
///
/// # Errors
/// No experiment keeps its artifacts there.
pub async fn home(state: &State, path: &FilePath) -> Result<ExperimentId> {
    let home = files::home(&state.database, path).await?;
    Ok(home.ok_or_else(|| nowhere(path))?)
}

/// What is told of a path at which no experiment keeps its artifacts.
#[must_use]
pub fn nowhere(path: &FilePath) -> Problem {
    let message = format!("no experiment keeps its artifacts at `mlflow-artifacts:/{path}`");
    Problem::new(ErrorCode::NotFound, message)
        .hint("use the artifact URI that the server gave to the run or the logged model")
}

/// Where a run's files are.
///
/// # Errors
/// No such run.
pub async fn root_of_run(state: &State, run: &str) -> Result<Root> {
    let root = match run.parse::<RunId>() {
        Ok(id) => files::root_of_run(&state.database, id).await?,
        // An id of another form is one that was never given.
        Err(_) => None,
    };
    Ok(root.ok_or_else(|| runs::absent(run))?)
}

/// Where a logged model's files are.
///
/// # Errors
/// No such logged model, or it is deleted.
pub async fn root_of_model(state: &State, model: &str) -> Result<Root> {
    let root = match model.parse::<LoggedModelId>() {
        Ok(id) => files::root_of_model(&state.database, id).await?,
        Err(_) => None,
    };
    Ok(root.ok_or_else(|| logged_models::absent(model))?)
}

/// The file at a path.
///
/// # Errors
/// There is none, or a folder.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::View>,
    path: &FilePath,
) -> Result<FileEntry> {
    let file = files::get(&state.database, path).await?;
    Ok(file
        .ok_or_else(|| Problem::new(ErrorCode::NotFound, format!("No such artifact: '{path}'")))?)
}

/// The bytes of a file, or a range of them.
///
/// # Errors
/// They are gone or damaged; the store is away.
pub async fn open(
    state: &State,
    _permit: &Permit<verbs::View>,
    file: &FileEntry,
    range: Option<Range<u64>>,
) -> Result<Download> {
    Ok(match range {
        Some(range) => state.artifacts.open_range(&file.digest, range).await?,
        None => state.artifacts.open(&file.digest).await?,
    })
}

/// What is right below a folder. A file, or nothing, has nothing below it.
///
/// # Errors
/// The database is away.
pub async fn list(
    state: &State,
    _permit: &Permit<verbs::View>,
    folder: &FilePath,
) -> Result<Vec<Listed>> {
    Ok(files::list(&state.database, folder).await?)
}

/// Takes a file in while it streams, in place of the one that was there. When this answers, it is
/// durable; when it fails, the one that was there still is.
///
/// # Errors
/// A stream that breaks off; a path that would be file and folder at once; a store that is away.
pub async fn put<E: Into<Problem>>(
    state: &State,
    permit: &Permit<verbs::Edit>,
    experiment: ExperimentId,
    path: &FilePath,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<FileEntry> {
    let stored = state.artifacts.upload(permit.actor(), None, body).await?;
    let entry = FileEntry { digest: stored.digest, size: stored.size };
    files::put(&state.database, experiment, path, &entry).await?;
    Ok(entry)
}

/// Whether clients may send and read files straight, past this server.
#[must_use]
pub fn is_direct(state: &State) -> bool {
    state.artifacts.is_direct()
}

/// The address that reads a file for a short while, past this server, under this name. Absent where
/// there is no such way.
///
/// # Errors
/// Its bytes are gone or damaged; the database is away.
pub async fn address(
    state: &State,
    _permit: &Permit<verbs::View>,
    file: &FileEntry,
    name: &str,
    media_type: &str,
) -> Result<Option<String>> {
    Ok(state.artifacts.address(&file.digest, name, media_type).await?)
}

/// Begins an upload of a file in parts that are sent past this server. Absent where there is no
/// such way.
///
/// # Errors
/// So many parts cannot be; a store that is away.
pub async fn begin_direct(
    state: &State,
    permit: &Permit<verbs::Edit>,
    path: &FilePath,
    parts: i64,
) -> Result<Option<DirectUpload>> {
    Ok(state.artifacts.begin_direct(permit.actor(), path, parts).await?)
}

/// Makes the file of parts that were sent, each named by its number and the `ETag` that it got. When
/// this answers, the file is durable, and its bytes were read once.
///
/// # Errors
/// No such upload to that path; parts that are not those that were sent; a path that would be file
/// and folder at once; a store that is away.
pub async fn complete_direct(
    state: &State,
    _permit: &Permit<verbs::Edit>,
    experiment: ExperimentId,
    path: &FilePath,
    upload: UploadId,
    parts: &[(i64, String)],
) -> Result<()> {
    Ok(state.artifacts.complete_direct(upload, experiment, path, parts).await?)
}

/// Gives an upload in parts up.
///
/// # Errors
/// No such upload to that path in progress.
pub async fn abort_direct(
    state: &State,
    _permit: &Permit<verbs::Edit>,
    path: &FilePath,
    upload: UploadId,
) -> Result<()> {
    Ok(state.artifacts.abort_direct(upload, path).await?)
}

/// Deletes a file, or what is below a folder. Nothing there is as good. The bytes stay for whoever
/// else names them.
///
/// # Errors
/// The database is away.
pub async fn delete(state: &State, _permit: &Permit<verbs::Edit>, path: &FilePath) -> Result<()> {
    files::delete(&state.database, path).await?;
    Ok(())
}

/// Whose folder a URI names, to ask for the permit that [`folder`] takes.
///
/// # Errors
/// As [`folder`].
pub async fn owner(state: &State, uri: &str) -> Result<ExperimentId> {
    let path = resolve(state, uri).await?;
    home(state, &path).await
}

/// All files of the folder that a URI names, by their paths inside it, to register them as a
/// version: `mlflow-artifacts:/…`, `runs:/RUN/path` or `models:/m-ID`. Where it names a single file,
/// that one by its name; none where there is nothing. The permit is for the experiment that [`owner`] names.
///
/// # Errors
/// A URI of another scheme; a run or a model that is not there; more files than a version may have.
pub async fn folder(
    state: &State,
    _permit: &Permit<verbs::View>,
    uri: &str,
) -> Result<Vec<(FilePath, FileEntry)>> {
    let path = resolve(state, uri).await?;
    if let Some(file) = files::get(&state.database, &path).await? {
        return Ok(vec![(self::path(path.name())?, file)]);
    }
    let most = i64::try_from(Manifest::MAX_FILES).unwrap_or(i64::MAX);
    let found = files::below(&state.database, &path, most.saturating_add(1)).await?;
    if found.len() > Manifest::MAX_FILES {
        let message = format!("`{uri}` has more than {most} files");
        return Err(Problem::invalid("source", message).into());
    }
    Ok(found)
}

/// The path of the folder that a URI names.
async fn resolve(state: &State, uri: &str) -> Result<FilePath> {
    if let Some(path) = path_of(uri)? {
        return Ok(path);
    }
    if let Some(rest) = uri.strip_prefix("runs:/") {
        let (run, below) = split(rest.trim_start_matches('/'));
        return of_run(state, run, below).await;
    }
    if let Some(rest) = uri.strip_prefix("models:/").filter(|rest| rest.starts_with("m-")) {
        let (model, below) = split(rest);
        return under(&root_of_model(state, model).await?, below);
    }
    let shown: String = uri.chars().take(200).collect();
    Err(Problem::invalid("source", format!("`{shown}` does not lie in this server"))
        .hint("use `mlflow-artifacts:/…`, `runs:/RUN_ID/path` or `models:/m-…`")
        .into())
}

/// What a run logged at a path: files, or since MLflow 3 a logged model of that name.
async fn of_run(state: &State, run: &str, below: &str) -> Result<FilePath> {
    let path = under(&root_of_run(state, run).await?, below)?;
    let is_here = files::get(&state.database, &path).await?.is_some()
        || !files::below(&state.database, &path, 1).await?.is_empty();
    if let (false, Ok(id)) = (is_here, run.parse()) {
        let (name, below) = split(below);
        if let Some(root) = files::root_of_named(&state.database, id, name).await? {
            return under(&root, below);
        }
    }
    Ok(path)
}

/// A path below a root, which must lie here.
///
/// # Errors
/// It lies elsewhere: its bytes never passed through this server.
pub fn under(root: &Root, below: &str) -> Result<FilePath> {
    let Some(root_path) = path_of(&root.uri)? else {
        let message = format!("the files are at `{}`, outside this server", root.uri);
        return Err(Problem::invalid("path", message).hint("read them there").into());
    };
    let below = below.strip_suffix('/').unwrap_or(below);
    if below.is_empty() {
        return Ok(root_path);
    }
    let below = path(below)?;
    Ok(path(&format!("{root_path}/{below}"))?)
}

/// The first part, and what follows it.
fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_its_folder_however_it_is_encoded() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/..",
            "../a",
            "a/../b",
            "a/./b",
            ".",
            "a//b",
            "a/",
            "%2e%2e",
            "a/%2e%2e/b",
            "%252e%252e/a",
            "a%2f..%2fb",
            "%2fetc",
            "a%5c..%5cb",
            "a\\b",
            "..\\a",
            "C:/a",
            "C:\\a",
            "%43:/a",
            "a\0b",
            "a%00b",
            "a\nb",
            "a#b",
            "a%23b",
            "a%2523b",
            "%25252525252525252e",
        ] {
            let problem = path(bad).expect_err(bad);
            assert_eq!(problem.code, ErrorCode::Invalid, "{bad}");
            assert!(problem.message.starts_with("Invalid path"), "{bad}: {}", problem.message);
        }
        for good in ["a", "a/b", "a b/ü.txt", "..a/b..", "50%", "a%20b", "a:b", "0/x/...", "%zz"] {
            assert_eq!(path(good).expect(good).as_str(), good);
        }
    }

    #[test]
    fn a_uri_names_a_path_whatever_its_host() {
        for uri in
            ["mlflow-artifacts:/3/r", "mlflow-artifacts://host:80/3/r", "mlflow-artifacts:///3/r/"]
        {
            assert_eq!(path_of(uri).unwrap().unwrap().as_str(), "3/r", "{uri}");
        }
        assert_eq!(path_of("s3://bucket/3"), Ok(None));
        for bad in [
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "mlflow-artifacts://host",
            "mlflow-artifacts:/a/../b",
        ] {
            assert!(path_of(bad).is_err(), "{bad}");
        }
    }
}
