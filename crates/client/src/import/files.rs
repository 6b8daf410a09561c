//! Files of runs and logged models: read from the source into a local file for a moment, by which
//! their digest is known; then sent, unless Bottega has these bytes already.

use std::{collections::HashMap, path::PathBuf, sync::atomic::Ordering};

use domain::{Digest, FilePath};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Import, refused, unread};
use crate::{
    Error, Silent,
    mlflow::{Found, Root},
    push::{self, FileItem},
};

/// Files that are read from the source at once, of one run or logged model.
const AT_ONCE: usize = 4;
/// Files that become visible at once, and about how many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 256 << 20;

/// Whose files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Run,
    Model,
}

impl Owner {
    const fn segment(self) -> &'static str {
        match self {
            Self::Run => "runs",
            Self::Model => "logged-models",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Run => "files of run",
            Self::Model => "files of logged model",
        }
    }
}

#[derive(Deserialize)]
struct Files {
    files: Vec<FileItem>,
}

/// A file on its way.
struct Fetched {
    local: PathBuf,
    item: FileItem,
}

impl Import<'_> {
    /// Carries the files that are not here yet, or have another size here.
    pub(super) async fn carry_files(
        &self,
        owner: Owner,
        id: &str,
        root: &Root,
    ) -> Result<(), Error> {
        let (found, odd) = match unread(self.source.files(root).await)? {
            Ok(listed) => listed,
            Err(reason) => {
                self.unreadable().insert(id.to_owned());
                self.left(owner.words(), id, reason);
                return Ok(());
            }
        };
        for (name, reason) in odd {
            self.left(owner.words(), format!("{id}: {name}"), reason);
        }
        if found.is_empty() {
            return Ok(());
        }
        let here = self.files_here(owner, id).await?;
        let (old, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| {
            // A size of 0 is left out by servers.
            here.get(&found.path).is_some_and(|(_, size)| found.size.unwrap_or_default() == *size)
        });
        self.report().files.here += old.len() as u64;
        for batch in batches(new) {
            self.carry_batch(owner, id, root, batch).await?;
        }
        Ok(())
    }

    /// The files that are here, by path.
    pub(super) async fn files_here(
        &self,
        owner: Owner,
        id: &str,
    ) -> Result<HashMap<FilePath, (Digest, u64)>, Error> {
        let address = self.below(&[owner.segment(), id, "files"]);
        let Files { files } = self.server.get(&address, &[]).await?;
        Ok(files.into_iter().map(|file| (file.path, (file.digest, file.size))).collect())
    }

    async fn carry_batch(
        &self,
        owner: Owner,
        id: &str,
        root: &Root,
        batch: Vec<Found>,
    ) -> Result<(), Error> {
        let fetched: Vec<Result<Option<Fetched>, Error>> = stream::iter(batch)
            .map(|found| async move {
                let what = format!("{id}: {}", found.path);
                match unread(self.fetch(root, &found).await)? {
                    Ok(fetched) => Ok(Some(fetched)),
                    Err(reason) => {
                        self.left(owner.words(), what, reason);
                        Ok(None)
                    }
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let fetched: Vec<Fetched> =
            fetched.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        self.report().files.bytes_read += fetched.iter().map(|file| file.item.size).sum::<u64>();
        let digests = fetched.iter().map(|file| file.item.digest);
        let mut missing = push::missing(self.server, digests).await?;
        for file in &fetched {
            if let Some(at) = missing.iter().position(|digest| *digest == file.item.digest) {
                push::send_blob(self.server, &file.local, &file.item, &Silent).await?;
                missing.swap_remove(at);
                self.report().files.bytes_sent += file.item.size;
            }
            tokio::fs::remove_file(&file.local).await.map_err(Error::file(&file.local))?;
        }
        let items: Vec<&FileItem> = fetched.iter().map(|file| &file.item).collect();
        if items.is_empty() {
            return Ok(());
        }
        let address = self.below(&[owner.segment(), id, "files"]);
        let put = self.server.put::<Value>(&address, &json!({"files": items})).await;
        match refused(put)? {
            Ok(_) => self.report().files.carried += items.len() as u64,
            Err(reason) => self.left(owner.words(), id, reason),
        }
        Ok(())
    }

    /// Reads a file of the source into a local one.
    async fn fetch(
        &self,
        root: &Root,
        found: &Found,
    ) -> Result<Fetched, crate::mlflow::SourceError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let local = self.scratch.path().join(number.to_string());
        let (digest, size) = self.source.download(root, found, &local).await?;
        self.watch.bytes(size);
        Ok(Fetched { local, item: FileItem { path: found.path.clone(), digest, size } })
    }

    /// The digest of a file at the source.
    pub(super) async fn digest_there(
        &self,
        root: &Root,
        found: &Found,
    ) -> Result<Result<Digest, String>, Error> {
        let fetched = match unread(self.fetch(root, found).await)? {
            Ok(fetched) => fetched,
            Err(reason) => return Ok(Err(reason)),
        };
        tokio::fs::remove_file(&fetched.local).await.map_err(Error::file(&fetched.local))?;
        Ok(Ok(fetched.item.digest))
    }
}

/// What becomes visible together: few enough that little is lost when it breaks off.
fn batches(files: Vec<Found>) -> Vec<Vec<Found>> {
    let mut batches: Vec<Vec<Found>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        let size = file.size.unwrap_or_default();
        match batches.last_mut().filter(|batch| batch.len() < BATCH && bytes + size <= BATCH_BYTES)
        {
            Some(batch) => batch.push(file),
            None => {
                bytes = 0;
                batches.push(vec![file]);
            }
        }
        bytes += size;
    }
    batches
}
