//! What clients do on S3 themselves, by addresses that we sign.

use std::time::Duration;

use async_trait::async_trait;
use domain::{BlobKey, Problem};
use object_store::{
    multipart::{MultipartStore as _, PartId},
    signer::{Method, SignedUrlOptions, Signer as _},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{S3, code};
use crate::{
    Result,
    objects::{Direct, Joined},
};

impl S3 {
    async fn sign(
        &self,
        method: Method,
        key: BlobKey,
        within: Duration,
        query: Vec<(String, String)>,
    ) -> Result<String> {
        let options = SignedUrlOptions::new().with_query(query);
        // Nobody is given a `Direct` without one.
        let signer = self.signer.as_ref().unwrap_or(&self.store);
        let signed = signer.signed_url_opts(method, &self.path(key), within, &options).await;
        signed.map(String::from).map_err(|error| self.fault(error))
    }
}

#[async_trait]
impl Direct for S3 {
    async fn begin_parts(&self, key: BlobKey) -> Result<String> {
        let id = self.store.create_multipart(&self.path(key)).await;
        id.map_err(|error| self.fault(error))
    }

    async fn part_urls(
        &self,
        key: BlobKey,
        multipart_id: &str,
        parts: u16,
        within: Duration,
    ) -> Result<Vec<String>> {
        let mut urls = Vec::with_capacity(parts.into());
        for number in 1..=parts {
            let query = [("partNumber", number.to_string().as_str()), ("uploadId", multipart_id)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            urls.push(self.sign(Method::PUT, key, within, query.into()).await?);
            // Ten thousand of them take a while.
            tokio::task::consume_budget().await;
        }
        Ok(urls)
    }

    async fn join_parts(
        &self,
        key: BlobKey,
        multipart_id: &str,
        etags: Vec<String>,
    ) -> Result<Joined> {
        let parts = etags.into_iter().map(|content_id| PartId { content_id }).collect();
        let joined =
            self.store.complete_multipart(&self.path(key), &multipart_id.to_owned(), parts).await;
        match joined {
            Ok(_) => Ok(Joined::Now),
            Err(error) => match code(&error.to_string()) {
                Some("NoSuchUpload") => Ok(Joined::Gone),
                Some(code) => match refusal(code) {
                    Some(problem) => Err(problem.into()),
                    None => Err(self.fault(error)),
                },
                None => Err(self.fault(error)),
            },
        }
    }

    async fn read_url(
        &self,
        key: BlobKey,
        name: &str,
        media_type: &str,
        within: Duration,
    ) -> Result<String> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let query = [
            ("response-content-disposition", format!("attachment; filename*=UTF-8''{name}")),
            ("response-content-type", media_type.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        self.sign(Method::GET, key, within, query.into()).await
    }
}

/// What a sender did wrong, by S3's word for it.
fn refusal(code: &str) -> Option<Problem> {
    let message = match code {
        "InvalidPart" => "a part was not sent, or has another ETag than the one that was named",
        "EntityTooSmall" => "a part is too small: all but the last must have 5 MiB or more",
        "EntityTooLarge" => "the parts together are larger than S3 takes",
        _ => return None,
    };
    Some(Problem::invalid("parts", message).hint("begin another upload, and send its parts again"))
}
