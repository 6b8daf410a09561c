//! Files of runs and logged models, through the server: its proxy where it keeps them behind one,
//! else whatever it can reach itself.

use domain::{Digest, FilePath, Hasher};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use tokio::{fs::File, io::AsyncWriteExt as _};

use super::{Source, SourceError, Tries, wire::FileInfo};
use crate::path;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";
const API: &str = "/api/2.0/mlflow";
/// The most files of one run or logged model.
const MOST_FILES: usize = 100_000;
/// The most folders of one run or logged model.
const MOST_FOLDERS: usize = 20_000;

/// Where the files of a run or a logged model are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A folder of the proxy.
    Proxy(String),
    /// Anywhere that the server can reach: it reads them for us.
    Run(String),
    /// The same, of a logged model.
    Model(String),
}

/// A file that the server lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path in its root.
    pub path: FilePath,
    /// How many bytes, where the server says so.
    pub size: Option<u64>,
}

impl Root {
    /// Where the files of a run are read.
    #[must_use]
    pub fn of_run(id: &str, artifact_uri: &str) -> Self {
        proxied(artifact_uri).map_or_else(|| Self::Run(id.to_owned()), Self::Proxy)
    }

    /// Where the files of a logged model are read.
    #[must_use]
    pub fn of_model(id: &str, artifact_uri: &str) -> Self {
        proxied(artifact_uri).map_or_else(|| Self::Model(id.to_owned()), Self::Proxy)
    }
}

/// The folder that `mlflow-artifacts:/…` names. With a host in it, it may be another server's.
fn proxied(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let below = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix('/')?,
        None => rest.strip_prefix('/').unwrap_or(rest),
    };
    let below = below.trim_end_matches('/');
    below.parse::<FilePath>().is_ok().then(|| below.to_owned())
}

impl Source {
    /// All files below a root, by path, and the names that cannot be kept, each with the reason.
    ///
    /// # Errors
    /// The server cannot read them, or fails.
    pub async fn files(
        &self,
        root: &Root,
    ) -> Result<(Vec<Found>, Vec<(String, String)>), SourceError> {
        let (mut files, mut odd) = (Vec::new(), Vec::new());
        let mut folders = vec![String::new()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            seen += 1;
            for info in self.folder(root, &folder).await? {
                // Some servers answer the name, others the path from the root.
                let name = info.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                let below =
                    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                match below.parse::<FilePath>() {
                    Err(problem) => odd.push((below, problem.message)),
                    Ok(_) if info.is_dir => folders.push(below),
                    Ok(path) => {
                        let size = info.file_size.and_then(|size| u64::try_from(size).ok());
                        files.push(Found { path, size });
                    }
                }
            }
            if files.len() + odd.len() > MOST_FILES || seen + folders.len() > MOST_FOLDERS {
                let message = format!("more than {MOST_FILES} files or {MOST_FOLDERS} folders");
                return Err(SourceError::Odd { what: "files".to_owned(), message });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok((files, odd))
    }

    async fn folder(&self, root: &Root, folder: &str) -> Result<Vec<FileInfo>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            files: Vec<FileInfo>,
        }
        let make = || match root {
            Root::Proxy(place) => {
                let whole =
                    if folder.is_empty() { place.clone() } else { format!("{place}/{folder}") };
                self.request(Method::GET, PROXY).query(&[("path", whole)])
            }
            Root::Run(id) => {
                let ids = [("run_id", id), ("run_uuid", id)];
                let request =
                    self.request(Method::GET, &format!("{API}/artifacts/list")).query(&ids);
                if folder.is_empty() { request } else { request.query(&[("path", folder)]) }
            }
            Root::Model(id) => {
                let below = path(&[id]);
                let address = format!("{API}/logged-models{below}/artifacts/directories");
                let request = self.request(Method::GET, &address);
                if folder.is_empty() {
                    request
                } else {
                    request.query(&[("artifact_directory_path", folder)])
                }
            }
        };
        let answer: Answer = self.json("files", make).await?;
        Ok(answer.files)
    }

    fn file(&self, root: &Root, file: &FilePath) -> RequestBuilder {
        match root {
            Root::Proxy(place) => {
                let segments: Vec<&str> =
                    place.split('/').chain(file.as_str().split('/')).collect();
                self.request(Method::GET, &format!("{PROXY}{}", path(&segments)))
            }
            Root::Run(id) => self.request(Method::GET, "/get-artifact").query(&[
                ("run_id", id.as_str()),
                ("run_uuid", id),
                ("path", file.as_str()),
            ]),
            Root::Model(id) => {
                let below = path(&[id]);
                let address = format!("/ajax-api/2.0/mlflow/logged-models{below}/artifacts/files");
                self.request(Method::GET, &address).query(&[("artifact_file_path", file.as_str())])
            }
        }
    }

    /// Writes a file's bytes into a local one, from its beginning; answers their digest and number.
    ///
    /// # Errors
    /// The server fails, or sends another number of bytes than it said; the local file cannot be written.
    pub async fn download(
        &self,
        root: &Root,
        found: &Found,
        local: &std::path::Path,
    ) -> Result<(Digest, u64), SourceError> {
        let mut tries = Tries::default();
        loop {
            match self.download_once(root, found, local).await {
                Ok(done) => return Ok(done),
                // There are names that MLflow's own server breaks off at: the fault is the file's.
                Err(SourceError::Unreachable { reason, .. })
                    if tries.are_some() && self.is_alive().await =>
                {
                    let message = format!("the server breaks off every time: {reason}");
                    return Err(SourceError::Odd { what: found.path.to_string(), message });
                }
                Err(error) => tries.again(error).await?,
            }
        }
    }

    async fn download_once(
        &self,
        root: &Root,
        found: &Found,
        local: &std::path::Path,
    ) -> Result<(Digest, u64), SourceError> {
        let odd = |message: String| SourceError::Odd { what: found.path.to_string(), message };
        let what = format!("the file `{}`", found.path);
        let mut response = self.send(&what, &|| self.file(root, &found.path)).await?;
        let announced = response.content_length().or(found.size);
        let mut file = File::create(local).await.map_err(|error| odd(error.to_string()))?;
        let (mut hasher, mut size) = (Hasher::default(), 0_u64);
        while let Some(bytes) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            size += bytes.len() as u64;
            if announced.is_some_and(|announced| size > announced) {
                break;
            }
            hasher.update(&bytes);
            file.write_all(&bytes).await.map_err(|error| odd(error.to_string()))?;
        }
        file.flush().await.map_err(|error| odd(error.to_string()))?;
        match announced {
            Some(announced) if announced != size => {
                let message = format!("the server said {announced} bytes and sent {size}");
                Err(SourceError::Unreachable { url: self.base.clone(), reason: message })
            }
            _ => Ok((hasher.finish(), size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_serves_what_lies_behind_it_and_nothing_that_leads_out() {
        for (uri, folder) in [
            ("mlflow-artifacts:/3/r/artifacts", Some("3/r/artifacts")),
            ("mlflow-artifacts:///3/r/", Some("3/r")),
            ("mlflow-artifacts://elsewhere:5000/3/r", None),
            ("mlflow-artifacts:/../etc", None),
            ("s3://bucket/3/r", None),
            ("/mlruns/3/r", None),
        ] {
            assert_eq!(proxied(uri).as_deref(), folder, "{uri}");
        }
    }
}
