//! Plain HTTP/1.1 requests: made beforehand for the load generator, or sent one at a time.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::TcpStream,
    path::Path,
};

use crate::Result;

/// A server, and as whom it is asked.
#[derive(Debug, Clone)]
pub struct Server {
    /// `HOST:PORT`
    pub address: String,
    authorization: Option<String>,
}

impl Server {
    /// A server that is asked with this `Authorization` header, or none.
    pub fn new(address: &str, authorization: Option<String>) -> Self {
        Self { address: address.to_owned(), authorization }
    }

    /// A request with a JSON body; an empty one is none.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let mut request = self.head(method, path, body.len() as u64, "keep-alive");
        request.push_str(body);
        request.into_bytes()
    }

    /// A request for a prediction whose tensors stand behind the JSON.
    pub fn binary(&self, path: &str, json: &str, tensors: &[u8]) -> Vec<u8> {
        let length = (json.len() + tensors.len()) as u64;
        let head = self.head("POST", path, length, "keep-alive");
        let json_length = json.len();
        let header = format!("inference-header-content-length: {json_length}\r\n\r\n");
        let head = head.strip_suffix("\r\n").unwrap_or_default();
        [head.as_bytes(), header.as_bytes(), json.as_bytes(), tensors].concat()
    }

    fn head(&self, method: &str, path: &str, length: u64, connection: &str) -> String {
        let Self { address, authorization } = self;
        let authorization = authorization
            .as_ref()
            .map(|value| format!("authorization: {value}\r\n"))
            .unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}connection: {connection}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    /// Asks, and answers with the body. Anything but 200 and 201 is an error.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(self.head(method, path, body.len() as u64, "close").as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut text = String::new();
        answer(stream)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// [`Server::call`] with JSON both ways.
    pub fn json(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.call(method, path, &body.to_string())?)?)
    }

    /// Sends a file.
    pub fn upload(&self, path: &str, file: &Path) -> Result<()> {
        let mut file = File::open(file)?;
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(self.head("PUT", path, file.metadata()?.len(), "close").as_bytes())?;
        io::copy(&mut file, &mut stream)?;
        io::copy(&mut answer(stream)?, &mut io::sink())?;
        Ok(())
    }

    /// Fetches a file, and answers how many bytes came.
    pub fn download(&self, path: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(self.head("GET", path, 0, "close").as_bytes())?;
        Ok(io::copy(&mut answer(stream)?, &mut io::sink())?)
    }
}

/// The body of an answer: as long as it says to be, in chunks, or up to the end.
fn answer(stream: TcpStream) -> Result<Box<dyn Read>> {
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.trim().to_owned();
    let (mut length, mut in_chunks) = (None, false);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            in_chunks = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    let mut body: Box<dyn Read> = match length {
        Some(length) => Box::new(reader.take(length)),
        None if in_chunks => Box::new(Chunks { reader, left: 0, ended: false }),
        None => Box::new(reader),
    };
    if status.starts_with("HTTP/1.1 200") || status.starts_with("HTTP/1.1 201") {
        return Ok(body);
    }
    let mut said = String::new();
    body.read_to_string(&mut said)?;
    Err(format!("{status}: {said}").into())
}

struct Chunks {
    reader: BufReader<TcpStream>,
    left: u64,
    ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.ended {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            // What ends a chunk is an empty line before the length of the next.
            if line.trim().is_empty() && !line.is_empty() {
                continue;
            }
            self.left = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            self.ended = self.left == 0;
        }
        let read = (&mut self.reader).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}
