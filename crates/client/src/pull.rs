//! Bringing a version's files back, verified; and verifying them later without a network.

use std::path::{Path, PathBuf};

use domain::{Digest, FileEntry, FilePath, Hasher, Manifest, Problem};
use futures_util::TryStreamExt as _;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::{fs::File, io::AsyncWriteExt as _};

use crate::{
    Connection, Error, Progress, path,
    push::{FileItem, hash},
};

/// The file that says what was pulled, beside the files themselves.
pub const RECEIPT: &str = "bottega.manifest.json";

/// What was pulled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    /// The model's name.
    pub model: String,
    /// The version's number.
    pub version: i32,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The files.
    pub files: Vec<FileItem>,
}

impl Receipt {
    fn check_manifest(&self) -> Result<(), Error> {
        let entries = self
            .files
            .iter()
            .map(|item| (item.path.clone(), FileEntry { digest: item.digest, size: item.size }));
        if Manifest::new(entries)?.digest() == self.digest {
            return Ok(());
        }
        let message = format!("the list of files does not have the digest {}", self.digest);
        Err(Problem::invalid("digest", message).hint("pull the version again").into())
    }
}

/// Brings the version that `reference` names (`fraud@champion`, `fraud/3`) into `folder`. Each file
/// is verified before it gets its name.
///
/// # Errors
/// A refusal, nobody there, bytes that are not what they should be, a folder that cannot be written.
pub async fn bring(
    server: &Connection,
    reference: &str,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Receipt, Error> {
    let receipt: Receipt = server.get("/resolve", &[("model", reference.to_owned())]).await?;
    receipt.check_manifest()?;
    progress.begin("downloading", receipt.files.iter().map(|item| item.size).sum());
    for item in &receipt.files {
        bring_file(server, &receipt, item, folder, progress).await?;
    }
    let text = serde_json::to_vec_pretty(&receipt).map_err(|_| Problem::internal())?;
    let name = folder.join(RECEIPT);
    tokio::fs::write(&name, text).await.map_err(Error::file(name))?;
    Ok(receipt)
}

async fn bring_file(
    server: &Connection,
    receipt: &Receipt,
    item: &FileItem,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let target = folder.join(item.path.as_str());
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(Error::file(parent))?;
    }
    let partial = PathBuf::from(format!("{}.partial", target.display()));
    let address =
        path(&["models", &receipt.model, "versions", &receipt.version.to_string(), "files"]);
    let segments: Vec<_> = item.path.as_str().split('/').collect();
    let response =
        server.send(server.api(Method::GET, &format!("{address}{}", path(&segments)))).await?;
    let mut file = File::create(&partial).await.map_err(Error::file(&partial))?;
    let mut hasher = Hasher::default();
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.try_next().await.map_err(|error| server.unreachable(&error))? {
        hasher.update(&bytes);
        file.write_all(&bytes).await.map_err(Error::file(&partial))?;
        progress.advance(bytes.len() as u64);
    }
    file.sync_all().await.map_err(Error::file(&partial))?;
    if hasher.finish() != item.digest {
        return Err(changed(&item.path));
    }
    tokio::fs::rename(&partial, &target).await.map_err(Error::file(&target))
}

fn changed(path: &FilePath) -> Error {
    let message = format!("`{path}` is not what it should be: its bytes have another digest");
    Problem::invalid("files", message).hint("pull the version again").into()
}

/// Verifies a folder that was pulled before, without a network.
///
/// # Errors
/// No receipt there, a file that is missing or changed.
pub async fn verify(folder: &Path, progress: &dyn Progress) -> Result<Receipt, Error> {
    let name = folder.join(RECEIPT);
    let text = tokio::fs::read(&name).await.map_err(Error::file(&name))?;
    let receipt: Receipt = serde_json::from_slice(&text).map_err(|error| {
        Problem::invalid(RECEIPT, format!("{} cannot be read: {error}", name.display()))
    })?;
    receipt.check_manifest()?;
    progress.begin("verifying", receipt.files.iter().map(|item| item.size).sum());
    for item in &receipt.files {
        let local = folder.join(item.path.as_str());
        if hash(&local, progress).await? != item.digest {
            return Err(changed(&item.path));
        }
    }
    Ok(receipt)
}
