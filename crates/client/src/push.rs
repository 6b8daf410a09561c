//! Sending a model's files: what is there already is not sent again.

use std::path::{Path, PathBuf};

use domain::{Digest, FileEntry, FilePath, Hasher, Manifest, Problem};
use futures_util::TryStreamExt as _;
use reqwest::{Body, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use crate::{Connection, Error, Progress, path};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// A file of a version, as the API lists it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct FileItem {
    /// Where in the version's tree.
    pub path: FilePath,
    /// What is in it.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// Sends what `source` holds — a file, a folder, or a `.zip`, `.tar`, `.tar.gz` archive that the
/// server unpacks — and answers the files for a version's manifest.
///
/// # Errors
/// A source that cannot be read or holds links, a refusal, nobody there.
pub async fn send(
    server: &Connection,
    source: &Path,
    progress: &dyn Progress,
) -> Result<Vec<FileItem>, Error> {
    if let Some(format) = archive_format(source) {
        return send_archive(server, source, format, progress).await;
    }
    let files = gather(source)?;
    let total = files.iter().map(|(_, _, size)| size).sum();
    progress.begin("hashing", total);
    let mut hashed = Vec::with_capacity(files.len());
    for (name, local, size) in files {
        let digest = hash(&local, progress).await?;
        hashed.push((local, FileItem { path: name, digest, size }));
    }
    // Refuses what the server would refuse, before anything is sent.
    let entries = hashed
        .iter()
        .map(|(_, item)| (item.path.clone(), FileEntry { digest: item.digest, size: item.size }));
    Manifest::new(entries)?;
    let missing = missing(server, hashed.iter().map(|(_, item)| item.digest)).await?;
    let mut to_send: Vec<_> =
        hashed.iter().filter(|(_, item)| missing.contains(&item.digest)).collect();
    to_send.dedup_by_key(|(_, item)| item.digest);
    progress.begin("uploading", to_send.iter().map(|(_, item)| item.size).sum());
    for (local, item) in to_send {
        send_blob(server, local, item, progress).await?;
    }
    Ok(hashed.into_iter().map(|(_, item)| item).collect())
}

fn archive_format(source: &Path) -> Option<&'static str> {
    let name = source.file_name()?.to_str()?.to_ascii_lowercase();
    let formats = [(".tar.gz", "tar.gz"), (".tgz", "tar.gz"), (".tar", "tar"), (".zip", "zip")];
    formats
        .into_iter()
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, format)| format)
        .filter(|_| source.is_file())
}

async fn send_archive(
    server: &Connection,
    source: &Path,
    format: &str,
    progress: &dyn Progress,
) -> Result<Vec<FileItem>, Error> {
    #[derive(Deserialize)]
    struct Unpacked {
        files: Vec<FileItem>,
    }
    let file = File::open(source).await.map_err(Error::file(source))?;
    let size = file.metadata().await.map_err(Error::file(source))?.len();
    progress.begin("uploading", size);
    let request = server.api(Method::POST, "/archives").query(&[("format", format)]);
    // The bytes go out while this waits for the answer; the bar moves as a whole.
    let unpacked: Unpacked =
        server.json(request.header("content-length", size).body(Body::from(file))).await?;
    progress.advance(size);
    Ok(unpacked.files)
}

/// The files below `source`, each with its path in the version's tree.
fn gather(source: &Path) -> Result<Vec<(FilePath, PathBuf, u64)>, Error> {
    let about = std::fs::metadata(source).map_err(Error::file(source))?;
    if about.is_file() {
        let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        return Ok(vec![(name.parse()?, source.to_owned(), about.len())]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(source.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::file(&folder))? {
            let entry = entry.map_err(Error::file(&folder))?;
            let local = entry.path();
            let about = entry.metadata().map_err(Error::file(&local))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Problem::invalid("files", format!("{}: the name is not UTF-8", local.display()))
            })?;
            if about.is_dir() {
                folders.push((local, format!("{prefix}{name}/")));
            } else if about.is_file() {
                files.push((format!("{prefix}{name}").parse()?, local, about.len()));
            } else {
                let message = format!("{}: neither a file nor a folder", local.display());
                return Err(Problem::invalid("files", message)
                    .hint("replace links by what they point to")
                    .into());
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) async fn hash(local: &Path, progress: &dyn Progress) -> Result<Digest, Error> {
    let mut file = File::open(local).await.map_err(Error::file(local))?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).await.map_err(Error::file(local))?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(hasher.finish());
        };
        hasher.update(bytes);
        progress.advance(read as u64);
    }
}

pub(crate) async fn missing(
    server: &Connection,
    digests: impl Iterator<Item = Digest>,
) -> Result<Vec<Digest>, Error> {
    #[derive(Deserialize)]
    struct Missing {
        missing: Vec<Digest>,
    }
    let digests: Vec<_> = digests.collect();
    let answer: Missing = server.post("/blobs/missing", &json!({"digests": digests})).await?;
    Ok(answer.missing)
}

pub(crate) async fn send_blob(
    server: &Connection,
    local: &Path,
    item: &FileItem,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let file = File::open(local).await.map_err(Error::file(local))?;
    // The bar is on this side of the channel: a stream that is sent must own what it uses.
    let (counted, mut counts) = tokio::sync::mpsc::unbounded_channel();
    let stream = ReaderStream::with_capacity(file, PIECE)
        // Nobody counts any more once the upload is over.
        .inspect_ok(move |bytes| counted.send(bytes.len() as u64).unwrap_or_default());
    let request = server
        .api(Method::PUT, &path(&["blobs", &item.digest.to_string()]))
        .header("content-length", item.size)
        .header("content-type", "application/octet-stream")
        .body(Body::wrap_stream(stream));
    let mut sending = std::pin::pin!(server.json::<Value>(request));
    loop {
        tokio::select! {
            sent = &mut sending => return sent.map(drop),
            Some(bytes) = counts.recv() => progress.advance(bytes),
        }
    }
}
