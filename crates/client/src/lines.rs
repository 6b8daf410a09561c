//! Answers that come line by line, while they are made.

use reqwest::Response;
use serde::Serialize;

use crate::{Connection, Error};

/// The longest line that is waited for.
const LONGEST: usize = 64 * 1024 * 1024;

/// An answer that is read line by line.
pub struct Lines {
    server: Connection,
    response: Response,
    /// What came and was not read yet, and where the reader is in it.
    pending: Vec<u8>,
    at: usize,
}

impl Connection {
    /// Reads an answer of lines; `path` as [`crate::path`] makes it, behind `/api/v1`.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn get_lines(&self, path: &str, query: &[(&str, String)]) -> Result<Lines, Error> {
        self.lines(self.api(reqwest::Method::GET, path).query(query)).await
    }

    /// Asks for something that is answered in lines.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn post_lines(&self, path: &str, body: &impl Serialize) -> Result<Lines, Error> {
        self.lines(self.api(reqwest::Method::POST, path).json(body)).await
    }

    async fn lines(&self, request: reqwest::RequestBuilder) -> Result<Lines, Error> {
        let response = self.send(request).await?;
        Ok(Lines { server: self.clone(), response, pending: Vec::new(), at: 0 })
    }
}

impl Lines {
    /// The next line, without its end. Absent behind the last one.
    ///
    /// # Errors
    /// The answer breaks off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let broken = || Error::BrokenOff(self.server.base().to_owned());
        let mut searched = self.at;
        loop {
            let rest = self.pending.get(searched..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.pending[self.at..searched + end].to_vec();
                self.at = searched + end + 1;
                return Ok(Some(line));
            }
            self.pending.drain(..self.at);
            self.at = 0;
            searched = self.pending.len();
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| self.server.unreachable(&error))? {
                Some(bytes) if self.pending.len() < LONGEST => {
                    self.pending.extend_from_slice(&bytes)
                }
                None if self.pending.is_empty() => return Ok(None),
                // The last line has an end, or it is not whole.
                _ => return Err(broken()),
            }
        }
    }
}
