//! The files of experiments: which path below `mlflow-artifacts:/` holds which blob.
//!
//! They are data of runs, not governed objects: writing one is one statement.

use domain::{
    FileEntry, FilePath, Problem, Timestamp,
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use sqlx::PgConnection;

use crate::{Database, Error, Result, audit::digest, error::breaks, versions::size};

/// Something right below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, without the folder's.
    pub name: String,
    /// How many bytes a file has; absent for a folder.
    pub size: Option<u64>,
}

/// A run's or a logged model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Whose it is.
    pub experiment: ExperimentId,
    /// Where it is, as a URI.
    pub uri: String,
}

/// The experiment under whose artifact location a path lies. Where several claim it, the one that
/// was there first: nobody gets rights over files by making an experiment around or below them.
///
/// # Errors
/// The database is away.
pub async fn home(database: &Database, path: &FilePath) -> Result<Option<ExperimentId>> {
    let mut connection = database.pool().acquire().await?;
    home_within(&mut connection, path).await
}

/// Does what [`home`] does, as a part of a transaction.
pub(crate) async fn home_within(
    tx: &mut PgConnection,
    path: &FilePath,
) -> Result<Option<ExperimentId>> {
    let locations: Vec<String> = folders(path)
        .chain([path.as_str()])
        .map(|folder| format!("mlflow-artifacts:/{folder}"))
        .collect();
    let row = sqlx::query!(
        "SELECT id FROM experiments WHERE artifact_location = ANY($1) ORDER BY id LIMIT 1",
        &locations
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| ExperimentId(row.id)))
}

/// Where a run's files are.
///
/// # Errors
/// The database is away.
pub async fn root_of_run(database: &Database, run: RunId) -> Result<Option<Root>> {
    let row = sqlx::query!("SELECT experiment_id, artifact_uri FROM runs WHERE id = $1", run.0)
        .fetch_optional(database.pool())
        .await?;
    Ok(row.map(|row| Root { experiment: ExperimentId(row.experiment_id), uri: row.artifact_uri }))
}

/// Where a logged model's files are.
///
/// # Errors
/// The database is away.
pub async fn root_of_model(database: &Database, model: LoggedModelId) -> Result<Option<Root>> {
    let row = sqlx::query!(
        "SELECT experiment_id, artifact_uri FROM logged_models WHERE id = $1 AND deleted_at IS NULL",
        model.0
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Root { experiment: ExperimentId(row.experiment_id), uri: row.artifact_uri }))
}

/// Where the files of the newest model are that a run logged under a name.
///
/// # Errors
/// The database is away.
pub async fn root_of_named(database: &Database, run: RunId, name: &str) -> Result<Option<Root>> {
    let row = sqlx::query!(
        "SELECT experiment_id, artifact_uri FROM logged_models
         WHERE source_run_id = $1 AND name = $2 AND deleted_at IS NULL
         ORDER BY created_at DESC, id DESC LIMIT 1",
        run.0,
        name
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Root { experiment: ExperimentId(row.experiment_id), uri: row.artifact_uri }))
}

/// The file at a path.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, path: &FilePath) -> Result<Option<FileEntry>> {
    let row = sqlx::query!("SELECT digest, size FROM tracked_files WHERE path = $1", path.as_str())
        .fetch_optional(database.pool())
        .await?;
    row.map(|row| entry(path.as_str(), &row.digest, row.size)).transpose()
}

/// What is right below a folder, by name. An absent folder is an empty one.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, folder: &FilePath) -> Result<Vec<Listed>> {
    let (first, end) = below_range(folder);
    let rows = sqlx::query!(
        r#"SELECT split_part(rest, '/', 1) COLLATE "C" AS "name!",
                  max(size) FILTER (WHERE position('/' in rest) = 0) AS size
           FROM (SELECT substr(path, char_length($1) + 1) AS rest, size
                 FROM tracked_files WHERE path > $1 AND path < $2) AS below
           GROUP BY 1 ORDER BY 1"#,
        first,
        end
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let size = row.size.map(|size| unsigned(&row.name, size)).transpose()?;
            Ok(Listed { name: row.name, size })
        })
        .collect()
}

/// All files below a folder at any depth, by path relative to it; at most `limit`.
///
/// # Errors
/// The database is away.
pub async fn below(
    database: &Database,
    folder: &FilePath,
    limit: i64,
) -> Result<Vec<(FilePath, FileEntry)>> {
    let (first, end) = below_range(folder);
    let rows = sqlx::query!(
        r#"SELECT substr(path, char_length($1) + 1) AS "path!", digest, size
           FROM tracked_files WHERE path > $1 AND path < $2 ORDER BY path LIMIT $3"#,
        first,
        end,
        limit
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let path = row
                .path
                .parse()
                .map_err(|_| Error::inconsistent("tracked_files", "path", folder))?;
            Ok((path, entry(folder.as_str(), &row.digest, row.size)?))
        })
        .collect()
}

/// Puts a file at a path, in place of the one that was there.
///
/// # Errors
/// A file stands where the path needs a folder, or a folder where it needs a file; the experiment
/// or the blob is gone; the database is away.
pub async fn put(
    database: &Database,
    experiment: ExperimentId,
    path: &FilePath,
    entry: &FileEntry,
) -> Result<()> {
    let mut connection = database.pool().acquire().await?;
    put_within(&mut connection, database.now(), experiment, path, entry).await
}

/// Does what [`put`] does, as a part of a transaction.
pub(crate) async fn put_within(
    tx: &mut PgConnection,
    now: Timestamp,
    experiment: ExperimentId,
    path: &FilePath,
    entry: &FileEntry,
) -> Result<()> {
    let (first, end) = below_range(path);
    let above: Vec<String> = folders(path).map(str::to_owned).collect();
    let done = sqlx::query!(
        "INSERT INTO tracked_files (path, experiment_id, digest, size, updated_at)
         SELECT $1, $2, $3, $4, $5
         WHERE NOT EXISTS (SELECT FROM tracked_files WHERE path = ANY($6))
           AND NOT EXISTS (SELECT FROM tracked_files WHERE path > $7 AND path < $8)
         ON CONFLICT (path) DO UPDATE
         SET digest = excluded.digest, size = excluded.size, updated_at = excluded.updated_at",
        path.as_str(),
        experiment.0,
        entry.digest.as_bytes().as_slice(),
        size(entry.size)?,
        now,
        &above,
        first,
        end
    )
    .execute(tx)
    .await
    .map_err(|error| {
        if breaks(&error, "tracked_files_digest_fkey") {
            // Between the upload and this row, collection took the blob.
            Problem::unavailable("the file's bytes are not here any more").into()
        } else if breaks(&error, "tracked_files_experiment_id_fkey") {
            Problem::not_found("experiment", experiment).into()
        } else {
            Error::from(error)
        }
    })?;
    if done.rows_affected() == 0 {
        let message = format!("`{path}` would be a file and a folder at once");
        return Err(Problem::invalid("path", message)
            .hint("choose another name, or delete what is there first")
            .into());
    }
    Ok(())
}

/// Deletes the file at a path and all files below it. Answers how many there were.
///
/// # Errors
/// The database is away.
pub async fn delete(database: &Database, path: &FilePath) -> Result<u64> {
    let (first, end) = below_range(path);
    let done = sqlx::query!(
        "DELETE FROM tracked_files WHERE path = $1 OR (path > $2 AND path < $3)",
        path.as_str(),
        first,
        end
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

/// The folders that a path lies in, outermost first.
fn folders(path: &FilePath) -> impl Iterator<Item = &str> {
    let path = path.as_str();
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// Everything below a folder lies between these two: `0` is what follows `/`.
fn below_range(folder: &FilePath) -> (String, String) {
    (format!("{folder}/"), format!("{folder}0"))
}

fn entry(id: &str, bytes: &[u8], size: i64) -> Result<FileEntry> {
    Ok(FileEntry { digest: digest("tracked_files", id, bytes)?, size: unsigned(id, size)? })
}

fn unsigned(id: &str, size: i64) -> Result<u64> {
    u64::try_from(size).map_err(|_| Error::inconsistent("tracked_files", "size", id))
}
