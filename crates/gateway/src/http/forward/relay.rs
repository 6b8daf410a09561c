//! A body on its way through: read as it is asked for, by whichever node takes it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use actix_web::{dev::Payload, web::Bytes};
use futures_util::{Stream, StreamExt as _};
use rest::{Paced, Patience};
use tokio::sync::{mpsc, watch};

/// Pieces that wait for the other node.
const WAITING: usize = 4;

type Piece = Result<Bytes, io::Error>;

/// A request's body. A node that was not reached has taken nothing of it.
pub(super) struct Relay {
    pieces: Arc<Mutex<Option<mpsc::Receiver<Piece>>>>,
    read: watch::Receiver<bool>,
    is_broken: Arc<AtomicBool>,
}

impl Relay {
    /// Begins to read it.
    pub(super) fn new(payload: Payload, patience: Patience) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        let (done, read) = watch::channel(false);
        let is_broken = Arc::new(AtomicBool::default());
        let breaks = Arc::clone(&is_broken);
        let mut payload = Paced::new(payload, patience);
        actix_web::rt::spawn(async move {
            while let Some(piece) = payload.next().await {
                breaks.fetch_or(piece.is_err(), Relaxed);
                if sender.send(piece.map_err(io::Error::other)).await.is_err() {
                    break;
                }
            }
            done.send_replace(true);
        });
        Self { pieces: Arc::new(Mutex::new(Some(pieces))), read, is_broken }
    }

    /// The body, for the node that asks for its first piece.
    pub(super) fn stream(&self) -> Pieces {
        Pieces { shared: Arc::clone(&self.pieces), own: None }
    }

    /// Whether the caller broke off before its end.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    /// Until all of it was read.
    pub(super) async fn read(&self) {
        let mut read = self.read.clone();
        let _over = read.wait_for(|read| *read).await;
    }
}

/// See [`Relay::stream`].
pub(super) struct Pieces {
    shared: Arc<Mutex<Option<mpsc::Receiver<Piece>>>>,
    own: Option<mpsc::Receiver<Piece>>,
}

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.own.is_none() {
            let pieces = self.shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.own = pieces;
        }
        match &mut self.own {
            Some(pieces) => pieces.poll_recv(context),
            None => Poll::Ready(Some(Err(io::Error::other("the body was sent before")))),
        }
    }
}
