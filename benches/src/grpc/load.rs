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
use tokio::{net::TcpStream, sync::OnceCell};
use tonic::codegen::http::{HeaderValue, Request, header};

use super::PATH;
use crate::{
    Pressed, Result, TURN,
    load::{Figures, press},
};

/// What stands before a message: that it is not packed, and its length in four bytes.
const PREFIX: usize = 5;

/// A server that is pressed.
#[derive(Clone)]
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

/// A server that is pressed by calls of one connection, as one client makes them for all of its threads.
pub struct ByOne(pub Target);

impl Pressed for ByOne {
    const OF: &str = "calls at a time on one connection";

    fn turn(&self, calls: usize) -> Result<Figures> {
        let Self(target) = self;
        let sender = Arc::new(OnceCell::new());
        press(calls, TURN, |at, until| {
            let (target, sender) = (target.clone(), Arc::clone(&sender));
            async move {
                let sender = sender.get_or_try_init(|| target.connect()).await?.clone();
                target.ask(sender, at, until).await
            }
        })
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
            let mut calls = self.calls(self.connect().await?);
            let mut all = Vec::new();
            for message in self.messages.iter() {
                let answer = calls.call(message).await?.get(PREFIX..).ok_or("no message")?;
                let answer = ModelInferResponse::decode(answer)?;
                all.push(floats(&answer, output).ok_or_else(|| format!("no {output}"))?);
            }
            Ok(all)
        })
    }

    /// Presses for a while by connections of one request each; a refusal ends it with an error.
    pub fn press(&self, connections: usize, time: Duration) -> Result<Figures> {
        press(connections, time, |at, until| {
            let target = self.clone();
            async move { target.ask(target.connect().await?, at, until).await }
        })
    }

    async fn connect(&self) -> Result<SendRequest<Bytes>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        // How it ends is told to whoever calls.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn calls(&self, sender: SendRequest<Bytes>) -> Calls {
        Calls { sender, request: self.request.clone(), answer: Vec::with_capacity(4096) }
    }

    /// Calls one after the other. How long each took.
    async fn ask(
        &self,
        sender: SendRequest<Bytes>,
        first: usize,
        until: Instant,
    ) -> Result<Vec<Duration>> {
        let (mut calls, mut latencies) = (self.calls(sender), Vec::new());
        for message in self.messages.iter().cycle().skip(first % self.messages.len()) {
            let begun = Instant::now();
            if begun >= until {
                break;
            }
            calls.call(message).await?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
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

/// Calls over a connection, one at a time.
struct Calls {
    sender: SendRequest<Bytes>,
    request: Request<()>,
    answer: Vec<u8>,
}

impl Calls {
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
