//! The places under test, with a back door to what lies there.

use std::{collections::BTreeSet, fs};

use artifacts::{Location, S3Settings};
use futures_util::StreamExt as _;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, aws::AmazonS3, multipart::MultipartStore as _,
    path::Path,
};
use tempfile::TempDir;
use weed::{BUCKET, Weed};

/// An empty place of one case.
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) settings: S3Settings,
    back: Back,
}

fn path(prefix: &str, key: &str) -> Path {
    Path::from(format!("{prefix}/blobs/{key}"))
}

enum Back {
    Folder(TempDir),
    S3 { bucket: Box<AmazonS3>, prefix: String },
}

impl Place {
    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().join("artifacts"));
        Self { location, settings: S3Settings::default(), back: Back::Folder(folder) }
    }

    pub(crate) fn s3(weed: &Weed, prefix: &str) -> Self {
        let location = Location::S3 { bucket: BUCKET.to_owned(), prefix: prefix.to_owned() };
        let back = Back::S3 { bucket: Box::new(weed.bucket()), prefix: prefix.to_owned() };
        Self { location, settings: weed.environment(&[]).into_iter().collect(), back }
    }

    /// The keys of all objects, whole or not.
    pub(crate) async fn keys(&self) -> BTreeSet<String> {
        match &self.back {
            Back::Folder(folder) => fs::read_dir(folder.path().join("artifacts/blobs"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect(),
            Back::S3 { bucket, prefix } => {
                bucket
                    .list(Some(&Path::from(prefix.as_str())))
                    .map(|object| object.unwrap().location.filename().unwrap().to_owned())
                    .collect()
                    .await
            }
        }
    }

    /// The one object that is there.
    pub(crate) async fn only_key(&self) -> String {
        let keys = self.keys().await;
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.into_iter().next().unwrap()
    }

    pub(crate) async fn overwrite(&self, key: &str, bytes: Vec<u8>) {
        match &self.back {
            Back::Folder(folder) => {
                fs::write(folder.path().join("artifacts/blobs").join(key), bytes).unwrap();
            }
            Back::S3 { bucket, prefix } => {
                bucket.put(&path(prefix, key), bytes.into()).await.unwrap();
            }
        }
    }

    pub(crate) async fn remove(&self, key: &str) {
        match &self.back {
            Back::Folder(folder) => {
                fs::remove_file(folder.path().join("artifacts/blobs").join(key)).unwrap();
            }
            Back::S3 { bucket, prefix } => {
                bucket.delete(&path(prefix, key)).await.unwrap();
            }
        }
    }

    /// Whether a long object goes in parts that are no object yet.
    pub(crate) fn takes_parts(&self) -> bool {
        matches!(self.back, Back::S3 { .. })
    }

    /// Whether the place still has parts of an upload of that id.
    pub(crate) async fn has_parts(&self, key: &str, multipart_id: &str) -> bool {
        match &self.back {
            Back::Folder(_) => false,
            Back::S3 { bucket, prefix } => {
                let (path, id) = (path(prefix, key), multipart_id.to_owned());
                bucket.put_part(&path, &id, 9, vec![0; 1].into()).await.is_ok()
            }
        }
    }
}
