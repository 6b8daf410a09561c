//! Archives: a whole folder in one upload, unpacked into blobs.
//!
//! An archive comes from strangers and may be built to harm: paths that lead elsewhere, links, a
//! few bytes that unpack to terabytes, lists that fill the memory. Nothing of it ever becomes a
//! file of ours. It is put whole into an unnamed scratch file, read there by one blocking thread,
//! and each of its files streams from there into the artifact store in constant memory.
//!
//! - `tar` and `zip` walk the two formats and hand out files, one after the other.
//! - `outbox` is what both hand them to: it checks paths, counts, and passes the bytes on.
//!
//! Nothing is registered here. What was stored of an archive that failed half-way is named by no
//! version, and is collected in time.

mod outbox;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::{
    fs::File,
    io::{self, BufReader, Seek as _, SeekFrom},
    path::Path,
    pin::pin,
};

use auth::{Permit, verbs};
use bytes::Bytes;
use domain::{FileEntry, FilePath, Manifest, Problem};
use flate2::read::MultiGzDecoder;
use futures_util::{Stream, TryStreamExt as _};
use tokio::{io::AsyncWriteExt as _, sync::mpsc, task::spawn_blocking};

use self::outbox::{Budget, Member, Outbox};
use crate::{
    Result, State,
    blobs::{limited, too_large},
};

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `tar`.
    Tar,
    /// `tar`, compressed by gzip.
    TarGz,
    /// `zip`.
    Zip,
}

/// The files of an archive, whose bytes are blobs now.
pub type Files = Vec<(FilePath, FileEntry)>;

/// Unpacks an archive into blobs. A folder that everything in it stands in is left out of the
/// paths. `length` is how long the caller says that the archive is.
///
/// # Errors
/// An archive that is damaged, cut short or too large; one that holds anything but folders and
/// regular files with paths inside it; no room.
pub async fn unpack<E: Into<Problem>>(
    state: &State,
    permit: &Permit<verbs::Register>,
    format: Format,
    length: Option<u64>,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Files> {
    let most = state.limits.archive_bytes;
    if length.is_some_and(|length| length > most) {
        return Err(too_large("archive", most).into());
    }
    let (file, length) = spool(&state.scratch, limited(body, "archive", most)).await?;
    let budget = Budget::of(length, most);
    let (sender, mut members) = mpsc::channel::<Member>(1);
    let walking = spawn_blocking(move || walk(format, file, Outbox::new(sender), budget));

    let mut files = Vec::new();
    let mut stored = Ok(());
    while let Some(Member { path, body }) = members.recv().await {
        match state.artifacts.upload(permit.actor(), None, body).await {
            Ok(blob) => files.push((path, FileEntry { digest: blob.digest, size: blob.size })),
            Err(error) => {
                stored = Err(error);
                break;
            }
        }
    }
    // The walker stops when nobody takes its files any more. Where it failed itself, the upload
    // that it broke off says the same.
    drop(members);
    let walked = walking.await?;
    stored?;
    walked?;
    let manifest = Manifest::new(without_common_folder(files))?;
    Ok(manifest.files().map(|(path, entry)| (path.clone(), *entry)).collect())
}

/// Puts the archive into a scratch file that has no name, and goes when we let go of it.
async fn spool(
    scratch: &Path,
    body: impl Stream<Item = Result<Bytes, Problem>>,
) -> Result<(File, u64)> {
    let scratch = scratch.to_owned();
    let file = spawn_blocking(move || tempfile::tempfile_in(scratch)).await??;
    let mut file = tokio::fs::File::from_std(file);
    let (mut body, mut length) = (pin!(body), 0);
    while let Some(chunk) = body.try_next().await? {
        length += chunk.len() as u64;
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0))?;
    Ok((file, length))
}

fn walk(format: Format, file: File, mut out: Outbox, mut budget: Budget) -> Result<(), Problem> {
    let file = BufReader::with_capacity(1 << 18, file);
    match format {
        Format::Tar => tar::walk(budget.meter(file), &mut out),
        Format::TarGz => tar::walk(budget.meter(MultiGzDecoder::new(file)), &mut out),
        Format::Zip => zip::walk(file, &mut out, &mut budget),
    }
}

/// Archives often hold one folder with everything in it: its name is no part of the paths.
fn without_common_folder(files: Files) -> Files {
    let top = |path: &FilePath| path.as_str().split_once('/').map(|(top, _)| top.to_owned());
    let Some(common) = files.first().and_then(|(path, _)| top(path)) else { return files };
    if files.iter().any(|(path, _)| top(path).as_ref() != Some(&common)) {
        return files;
    }
    files
        .into_iter()
        .map(|(path, entry)| {
            let inner = path.as_str()[common.len() + 1..].parse();
            (inner.unwrap_or(path), entry)
        })
        .collect()
}

/// What it means that an archive cannot be read on.
fn unreadable(error: io::Error) -> Problem {
    match error.downcast::<Problem>() {
        Ok(problem) => problem,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged("it ends early").hint("upload the whole archive")
        }
        Err(error) => damaged(&error.to_string()),
    }
}

fn damaged(why: &str) -> Problem {
    Problem::new(domain::ErrorCode::Invalid, format!("the archive cannot be read: {why}"))
        .hint("`format` says how it is packed: tar, tar.gz or zip")
}
