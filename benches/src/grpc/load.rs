//! A load generator over HTTP/2: calls whose messages were written beforehand, and answers that are taken
//! whole and not read. So it costs little beside a server on the same cores, as over HTTP/1.1.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message as _;
use protocol::v2::grpc::messages::{ModelInferRequest, ModelInferResponse};
use tokio::net::TcpStream;
use tonic::codegen::http::{HeaderValue, Request, header};

use super::PATH;
use crate::{
    Pressed, Result, TURN,
    load::{Figures, press},
};

/// What stands before a message: that it is not packed, and its length in four bytes.
const PREFIX: usize = 5;

/// A server that is pressed.
pub struct Target {
    address: String,
    request: Request<()>,
    /// With their prefixes.
    messages: Arc<[Bytes]>,
}

impl Pressed for Target {
    fn turn(&self, connections: usize) -> Result<Figures> {
        self.press(connections, TURN)
    }
}

impl Target {
    pub fn new(
        address: &str,
        authorization: Option<&str>,
        requests: &[ModelInferRequest],
    ) -> Result<Self> {
        let mut request = Request::post(format!("http://{address}{PATH}")).body(())?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.parse()?);
        }
        let messages = requests.iter().map(message).collect::<Result<_>>()?;
        Ok(Self { address: address.to_owned(), request, messages })
    }

    /// The floats of an output, for each of the requests.
    pub fn floats(&self, output: &str) -> Result<Vec<Vec<f32>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = Connection::open(&self.address, &self.request).await?;
            let mut all = Vec::new();
            for message in self.messages.iter() {
                let answer = connection.call(message).await?.get(PREFIX..).ok_or("no message")?;
                let answer = ModelInferResponse::decode(answer)?;
                all.push(floats(&answer, output).ok_or_else(|| format!("no {output}"))?);
            }
            Ok(all)
        })
    }

    /// Presses for a while by connections of one request each; a refusal ends it with an error.
    fn press(&self, connections: usize, time: Duration) -> Result<Figures> {
        press(connections, time, |at, until| {
            let (address, request) = (self.address.clone(), self.request.clone());
            let messages = Arc::clone(&self.messages);
            async move {
                let connection = Connection::open(&address, &request).await?;
                ask(connection, &messages, at, until).await
            }
        })
    }
}

fn message(request: &ModelInferRequest) -> Result<Bytes> {
    let length = request.encoded_len();
    let mut message = BytesMut::with_capacity(PREFIX + length);
    message.put_u8(0);
    message.put_u32(length.try_into()?);
    request.encode(&mut message)?;
    Ok(message.freeze())
}

async fn ask(
    mut connection: Connection,
    messages: &[Bytes],
    first: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for message in messages.iter().cycle().skip(first % messages.len()) {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        connection.call(message).await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// A connection with one call at a time.
struct Connection {
    sender: SendRequest<Bytes>,
    request: Request<()>,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str, request: &Request<()>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        // How it ends is told to whoever calls.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, request: request.clone(), answer: Vec::with_capacity(4096) })
    }

    /// The whole answer, with what stands before its message. Any but a success is an error.
    async fn call(&mut self, message: &Bytes) -> Result<&[u8]> {
        self.answer.clear();
        poll_fn(|context| self.sender.poll_ready(context)).await?;
        let (response, mut stream) = self.sender.send_request(self.request.clone(), false)?;
        stream.send_data(message.clone(), true)?;
        let (head, mut body) = response.await?.into_parts();
        while let Some(chunk) = body.data().await.transpose()? {
            body.flow_control().release_capacity(chunk.len())?;
            self.answer.extend_from_slice(&chunk);
        }
        // A refusal without a message has its status in the head.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        if trailers.get("grpc-status").is_none_or(|status| status != "0") {
            return Err(format!("unexpected answer: {trailers:?}").into());
        }
        Ok(&self.answer)
    }
}

/// An output, raw or typed.
fn floats(answer: &ModelInferResponse, output: &str) -> Option<Vec<f32>> {
    let at = answer.outputs.iter().position(|it| it.name == output)?;
    if let Some(raw) = answer.raw_output_contents.get(at) {
        return Some(raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect());
    }
    Some(answer.outputs.get(at)?.contents.as_ref()?.fp32_contents.clone())
}
