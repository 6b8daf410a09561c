//! HTTP as somebody speaks it who has nothing of ours.

use std::time::Duration;

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::Server;

/// Asks one server, with the administrator's token unless told otherwise.
pub struct Caller {
    runtime: Runtime,
    http: reqwest::Client,
    url: String,
    token: &'static str,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, where it is JSON.
    pub body: Value,
}

impl Caller {
    /// A caller of this server.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, http: server.plain(), url: server.url.clone(), token: server.token }
    }

    /// Sends a request with these headers and this body.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let method: Method = method.parse().unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(self.token)
            .timeout(Duration::from_secs(60))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let bytes = answer.bytes().await.unwrap();
            Reply { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
        })
    }

    /// Sends a request without a body.
    pub fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, &[], "")
    }

    /// Sends JSON.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, path, &[("content-type", "application/json")], body.to_string())
    }
}

impl Reply {
    /// The body of an answer with this status.
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{self:?}");
        &self.body
    }

    /// A refusal with this status by our own API: its field, and everything it says.
    pub fn refusal(&self, status: u16) -> (String, String) {
        let error = &self.expect(status)["error"];
        for key in ["code", "message"] {
            assert!(error[key].is_string(), "a refusal without {key}: {self:?}");
        }
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(error["request_id"], id, "{self:?}");
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("field"), format!("{} {}", text("message"), text("hint")))
    }

    /// A refusal with this status by V2: everything it says.
    pub fn v2_refusal(&self, status: u16) -> String {
        let error = &self.expect(status)["error"];
        assert!(error.is_string(), "not in the shape of V2: {self:?}");
        error.as_str().unwrap_or_default().to_owned()
    }
}
