//! Connections: so many at a time, and none of somebody who says nothing.

use std::{
    io,
    net::TcpStream as Accepted,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected as _, TcpConnectInfo};

/// How long is waited after a connection could not be taken, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How many bytes whoever speaks HTTP/2 says at first.
const PREFACE: usize = 24;

/// Where connections come in.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that was taken, whichever thread will serve it, and its place among those there may be.
pub(super) type Taken = (Accepted, OwnedSemaphorePermit);

impl Door {
    pub(super) fn new(listener: TcpListener, most: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)) }
    }

    /// The next connection, once there is room; the others wait in the system's queue. Nothing once the
    /// door is closed for good, which it is not.
    pub(super) async fn next(&self) -> Option<Taken> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "a gRPC connection cannot be taken");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A client's connection, served by this thread.
pub(super) struct Connection {
    stream: TcpStream,
    /// How much was heard, until that is enough.
    heard: usize,
    /// Ends it, unless enough was heard before.
    silence: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// One that does not begin to speak HTTP/2 within `patience` is cut; once it does, pings look after
    /// that.
    ///
    /// # Errors
    /// The thread cannot wait for it, as outside its scheduler.
    pub(super) fn new((stream, place): Taken, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        // Answers are written whole: there is nothing to wait for.
        let _as_it_is = stream.set_nodelay(true);
        let silence = Some(Box::pin(sleep(patience)));
        Ok(Self { stream, heard: 0, silence, _place: place })
    }

    /// Its two ends.
    pub(super) fn ends(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.silence.is_some() {
            self.heard += buffer.filled().len() - before;
            if self.heard >= PREFACE {
                self.silence = None;
            }
        }
        let is_over = self.silence.as_mut().map(|silence| silence.as_mut().poll(context));
        match (read, is_over) {
            (Poll::Pending, Some(Poll::Ready(()))) => {
                Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
            (read, _) => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
