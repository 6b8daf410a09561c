//! Objects on S3, or on whatever speaks its protocol.
//!
//! A long object goes in parts, a few at a time. Until it is complete its parts are no object, only
//! space that someone pays for: hence the id of each such upload is noted before its first part.
//!
//! The credentials need `s3:GetObject`, `PutObject`, `DeleteObject`, `AbortMultipartUpload` and,
//! for S3 to tell an absent object from a forbidden one, `s3:ListBucket`.

mod direct;

use std::{error::Error as _, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{BlobKey, ErrorCode, Problem};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::{HttpError, HttpErrorKind},
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use reqwest::Url;
use tokio::task::JoinSet;

use crate::{
    Error, Outside, Result, S3Settings,
    objects::{Direct, Object, Objects, Writer},
};

/// With two parts on their way and one that is being gathered, an upload holds 24 MiB.
const PART: usize = 8 << 20;
const AT_ONCE: usize = 2;
/// S3's own limit.
const MOST_PARTS: usize = 10_000;

/// How long S3 may say nothing while it is spoken to. There is no limit on a whole request: a
/// large object may take hours to read.
const SILENCE: Duration = Duration::from_secs(60);

/// Variables that ask of each request what no address can say for it.
const IN_HEADERS: [&str; 2] = ["AWS_CHECKSUM_ALGORITHM", "AWS_SSE_CUSTOMER_KEY_BASE64"];

/// A bucket, and the prefix of our keys in it.
#[derive(Clone)]
pub(crate) struct S3 {
    store: Arc<AmazonS3>,
    /// Signs what clients ask for themselves, in the name that they know S3 by.
    signer: Option<Arc<AmazonS3>>,
    bucket: Arc<str>,
    place: Arc<str>,
    prefix: Path,
}

impl S3 {
    /// Settings only: nothing is asked yet.
    pub fn open(bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self> {
        let refused = |error: object_store::Error| {
            let message = format!("the AWS_* variables do not lead to S3: {error}");
            Problem::invalid("artifacts", message)
        };
        let retry = RetryConfig {
            backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..Default::default() },
            max_retries: 6,
            retry_timeout: Duration::from_secs(60),
        };
        let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE);
        let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
        for (name, value) in settings.iter() {
            // Other variables of this prefix belong to other programs.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        if let Some(endpoint) = &endpoint {
            let scheme = scheme(endpoint).ok_or_else(|| {
                let message =
                    format!("AWS_ENDPOINT_URL is `{endpoint}`: expected http(s)://HOST:PORT");
                Problem::invalid("artifacts", message)
            })?;
            builder = builder.with_allow_http(scheme == "http");
        }
        let builder = builder.with_bucket_name(bucket);
        let store = Arc::new(builder.clone().build().map_err(refused)?);
        let signer = match settings.for_clients() {
            _ if settings.iter().any(|(name, _)| IN_HEADERS.contains(&name)) => None,
            Outside::Closed => None,
            Outside::Same => Some(Arc::clone(&store)),
            Outside::At(url) => {
                let builder = builder
                    .with_allow_http(true)
                    .with_config(AmazonS3ConfigKey::S3Endpoint, url)
                    .with_config(AmazonS3ConfigKey::Endpoint, url);
                Some(Arc::new(builder.build().map_err(refused)?))
            }
        };
        let at = endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        Ok(Self {
            store,
            signer,
            bucket: bucket.into(),
            place: format!("s3://{bucket}{at}").into(),
            prefix: Path::parse(prefix).map_err(|error| refused(error.into()))?,
        })
    }

    fn path(&self, key: BlobKey) -> Path {
        self.prefix.clone().join("blobs").join(key.to_string())
    }

    /// What a failure of S3 means.
    fn fault(&self, source: object_store::Error) -> Error {
        let (place, text) = (self.place(), source.to_string());
        // Without keys the client asks the machine that it runs on, which on EC2 has some.
        if text.contains("/latest/api/token") || text.contains("/latest/meta-data/") {
            return Error::NoCredentials(place);
        }
        if let Some(reason) = unreachable(&source) {
            return Error::Unreachable { place, reason };
        }
        match code(&text) {
            Some("NoSuchBucket") => Error::NoBucket(self.bucket.to_string()),
            Some(
                code @ ("AccessDenied"
                | "SignatureDoesNotMatch"
                | "InvalidAccessKeyId"
                | "ExpiredToken"
                | "InvalidToken"),
            ) => Error::Credentials { place, code: code.to_owned() },
            _ => Error::S3 { place, source },
        }
    }
}

/// The scheme of an endpoint; the client would panic later at one that is no URL.
pub(crate) fn scheme(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok().filter(|url| url.has_host());
    url.map(|url| url.scheme().to_owned()).filter(|scheme| scheme == "http" || scheme == "https")
}

/// S3's own word in the XML of an error.
fn code(text: &str) -> Option<&str> {
    Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0)
}

/// Why no answer came, if none did.
fn unreachable(error: &object_store::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return (error.kind() != HttpErrorKind::Decode).then(|| innermost(error));
        }
        cause = error.source();
    }
    None
}

/// The outer layers only say that a request failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[async_trait]
impl Objects for S3 {
    fn place(&self) -> String {
        self.place.to_string()
    }

    fn part_size(&self) -> usize {
        PART
    }

    async fn put(&self, key: BlobKey, bytes: Bytes) -> Result<()> {
        let put = self.store.put(&self.path(key), bytes.into()).await;
        put.map(|_| ()).map_err(|error| self.fault(error))
    }

    async fn begin(&self, key: BlobKey) -> Result<Box<dyn Writer>> {
        let path = self.path(key);
        let id = self.store.create_multipart(&path).await.map_err(|error| self.fault(error))?;
        let (sent, sending) = (Vec::new(), JoinSet::new());
        Ok(Box::new(PartsWriter { s3: self.clone(), path, id, next: 0, sent, sending }))
    }

    async fn read(&self, key: BlobKey, range: Option<Range<u64>>) -> Result<Option<Object>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..Default::default() };
        let found = match self.store.get_opts(&self.path(key), options).await {
            Ok(found) => found,
            // A missing bucket is "not found" too, and says nothing about the object.
            Err(error) if code(&error.to_string()) == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.fault(error)),
        };
        let (size, s3) = (found.meta.size, self.clone());
        let body = found.into_stream().map_err(move |error| s3.fault(error));
        Ok(Some(Object { size, body: body.boxed() }))
    }

    async fn delete(&self, key: BlobKey, multipart_id: Option<&str>) -> Result<()> {
        let path = self.path(key);
        if let Some(id) = multipart_id {
            absent_is_fine(self.store.abort_multipart(&path, &id.to_owned()).await)
                .map_err(|error| self.fault(error))?;
        }
        absent_is_fine(self.store.delete(&path).await).map_err(|error| self.fault(error))
    }

    fn direct(&self) -> Option<&dyn Direct> {
        self.signer.is_some().then_some(self as &dyn Direct)
    }
}

fn absent_is_fine(deleted: object_store::Result<()>) -> object_store::Result<()> {
    match deleted {
        Err(object_store::Error::NotFound { source, .. })
            if matches!(code(&source.to_string()), Some("NoSuchKey" | "NoSuchUpload")) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// An object that is being sent in parts.
struct PartsWriter {
    s3: S3,
    path: Path,
    id: String,
    next: usize,
    sent: Vec<(usize, PartId)>,
    sending: JoinSet<object_store::Result<(usize, PartId)>>,
}

impl PartsWriter {
    /// Waits until fewer than `most` parts are on their way.
    async fn settle(&mut self, most: usize) -> Result<()> {
        while self.sending.len() >= most {
            let Some(sent) = self.sending.join_next().await else { break };
            self.sent.push(sent?.map_err(|error| self.s3.fault(error))?);
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for PartsWriter {
    fn multipart_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    async fn write(&mut self, part: Bytes) -> Result<()> {
        self.settle(AT_ONCE).await?;
        let index = self.next;
        if index == MOST_PARTS {
            let most = (PART * MOST_PARTS) >> 30;
            let message = format!("the file is too large: on S3 one may have at most {most} GiB");
            return Err(Problem::new(ErrorCode::TooLarge, message).into());
        }
        self.next += 1;
        let (store, path, id) = (Arc::clone(&self.s3.store), self.path.clone(), self.id.clone());
        self.sending.spawn(async move {
            Ok((index, store.put_part(&path, &id, index, part.into()).await?))
        });
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.settle(1).await?;
        self.sent.sort_unstable_by_key(|(index, _)| *index);
        let parts = self.sent.drain(..).map(|(_, part)| part).collect();
        let completed = self.s3.store.complete_multipart(&self.path, &self.id, parts).await;
        completed.map(|_| ()).map_err(|error| self.s3.fault(error))
    }

    async fn abort(&mut self) {
        self.sending.shutdown().await;
        let _ = self.s3.store.abort_multipart(&self.path, &self.id).await;
    }
}
