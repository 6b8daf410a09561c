//! Asking an endpoint for a prediction, over Open Inference Protocol V2.

use std::time::Duration;

use domain::{ErrorCode, Problem, Tensor};
use protocol::v2::binary::{JSON_LENGTH, decode_answer, encode_request};
use reqwest::{Method, Response, header::HeaderMap};
use serde::Deserialize;

use crate::{ApiError, Array, Connection, Element, Error, path};

/// How often a prediction is asked for that may come to something yet.
const ATTEMPTS: u32 = 4;
/// The longest that is waited in between.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In the model's order.
    pub outputs: Vec<Tensor>,
    /// The number of the version that answered.
    pub version: i32,
    /// What the answer is called, for feedback on it.
    pub inference_id: String,
}

impl Prediction {
    /// Takes the output of this name.
    ///
    /// # Errors
    /// There is none, or its elements are of another type.
    pub fn take<T: Element>(&mut self, name: &str) -> Result<Array<T>, Error> {
        let at = self.outputs.iter().position(|output| output.name == name).ok_or_else(|| {
            let message = format!("there is no output `{name}` in the answer");
            Problem::new(ErrorCode::Conflict, message).hint("the endpoint answers otherwise now")
        })?;
        self.outputs.swap_remove(at).try_into()
    }
}

impl Connection {
    /// Asks an endpoint for a prediction, with tensors in binary. Where it is too busy, or not ready
    /// just now, it is asked again, up to three times, after as long as it says (10 s at most).
    ///
    /// ```no_run
    /// # async fn ask() -> Result<(), client::Error> {
    /// use client::{Array, Connection};
    ///
    /// let server = Connection::new("http://127.0.0.1:8080", Some("bt_…".to_owned().into()))?;
    /// let rows = Array::new([2, 2], [31.0_f32, 2400.0, 58.0, 1900.0]);
    /// let mut answer = server.predict("fraud", &[rows.named("features")?]).await?;
    /// let labels: Array<i64> = answer.take("label")?;
    /// println!("{:?} by version {}", labels.elements, answer.version);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A refusal, nobody there, or an answer that is none.
    pub async fn predict(&self, endpoint: &str, inputs: &[Tensor]) -> Result<Prediction, Error> {
        let mut body = Vec::new();
        let json_length = encode_request(&mut body, inputs)?;
        let body = bytes::Bytes::from(body);
        let mut attempt = 1;
        let answer = loop {
            let request = self
                .request(Method::POST, &infer(endpoint))
                .header("content-type", "application/octet-stream")
                .header(JSON_LENGTH, json_length)
                .body(body.clone());
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let is_passing = matches!(response.status().as_u16(), 429 | 503);
            if !is_passing || attempt == ATTEMPTS {
                break response;
            }
            tokio::time::sleep(pause(response.headers(), attempt)).await;
            attempt += 1;
        };
        let (headers, body) = self.answered(answer).await?;
        let number = |name: &str| text(&headers, name).and_then(|it| it.parse::<usize>().ok());
        let not_bottega = || Error::NotBottega { url: self.base().to_owned(), status: 200 };
        let json_length = number(JSON_LENGTH).ok_or_else(not_bottega)?;
        let outputs = decode_answer(&body, json_length)?;
        let version = number("x-bottega-model-version").and_then(|it| i32::try_from(it).ok());
        Ok(Prediction {
            outputs,
            version: version.ok_or_else(not_bottega)?,
            inference_id: text(&headers, "x-bottega-inference-id").unwrap_or_default().to_owned(),
        })
    }

    /// Asks an endpoint for a prediction by a body in JSON; the answer's bytes are given back unchanged.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn infer(&self, endpoint: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        let request = self
            .request(Method::POST, &infer(endpoint))
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        Ok(self.answered(response).await?.1.to_vec())
    }

    /// The answer, or what this protocol's refusal means.
    async fn answered(&self, response: Response) -> Result<(HeaderMap, bytes::Bytes), Error> {
        /// This protocol's own error shape.
        #[derive(Deserialize)]
        struct V2Error {
            error: String,
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok((headers, body));
        }
        let status = status.as_u16();
        let Ok(V2Error { error: message }) = serde_json::from_slice(&body) else {
            return Err(Error::NotBottega { url: self.base().to_owned(), status });
        };
        let code = match status {
            401 => "unauthenticated",
            429 => "rate_limited",
            403 if headers.contains_key("x-bottega-quota") => "quota_exceeded",
            403 => "forbidden",
            404 => "not_found",
            413 => "too_large",
            503 => "unavailable",
            504 => "timeout",
            400..=499 => "invalid",
            _ => "internal",
        };
        let error = ApiError {
            code: code.to_owned(),
            message,
            field: None,
            hint: None,
            rules: Vec::new(),
            contract: None,
            quota: None,
            request_id: text(&headers, "x-request-id").map(ToOwned::to_owned),
        };
        Err(Error::Refused { status, error: Box::new(error) })
    }
}

fn infer(endpoint: &str) -> String {
    format!("/v2{}/infer", path(&["models", endpoint]))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// As long as the server says, within reason, else longer each time.
fn pause(headers: &HeaderMap, attempt: u32) -> Duration {
    let told = text(headers, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let pause = told.map_or(Duration::from_millis(100) * 2_u32.pow(attempt), Duration::from_secs);
    pause.min(PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_how_long_to_wait_but_not_for_ever() {
        let after = |seconds: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", seconds.parse().unwrap());
            pause(&headers, 1)
        };
        assert_eq!(after("2"), Duration::from_secs(2));
        assert_eq!(after("3600"), PATIENCE);
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), Duration::from_millis(200));
        assert_eq!(pause(&HeaderMap::new(), 3), Duration::from_millis(800));
    }
}
