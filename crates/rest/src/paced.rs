//! Bodies that come too slowly are cut.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{error::PayloadError, web::Bytes};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Whoever sends at least so many bytes a second may take as long as that takes.
const BYTES_A_SECOND: u64 = 16 << 10;

/// How long a body may take besides what its length allows. Resources carry another as `app_data`.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

/// A body that ends with an error if it comes too slowly. What is there already, or comes along with the
/// request's head, costs no look at the clock.
pub struct Paced<S> {
    body: S,
    patience: Duration,
    received: u64,
    /// Whether others were let go first once: whoever reads the connection hands on what it has read of
    /// the body after the handler was called.
    yielded: bool,
    /// Since it had to be waited for.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    /// Waits for it no longer than that.
    pub const fn new(body: S, Patience(patience): Patience) -> Self {
        Self { body, patience, received: 0, yielded: false, waiting: None }
    }

    fn until(&self, begun: Instant) -> Instant {
        begun + self.patience + Duration::from_secs(self.received / BYTES_A_SECOND)
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for Paced<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(chunk) = Pin::new(&mut self.body).poll_next(context) {
            if let Some(Ok(bytes)) = &chunk {
                self.received += bytes.len() as u64;
            }
            return Poll::Ready(chunk);
        }
        if !self.yielded {
            self.yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let begun = self.waiting.as_ref().map_or_else(Instant::now, |(begun, _)| *begun);
        let until = self.until(begun);
        let (_, sleep) = self.waiting.get_or_insert_with(|| (begun, Box::pin(sleep_until(until))));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.as_mut().poll(context));
        let late = io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly");
        Poll::Ready(Some(Err(PayloadError::Incomplete(Some(late)))))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// A hundred chunks, each a moment after the one before.
    fn flow(chunk: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin {
        Box::pin(stream::unfold(0, move |sent| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            (sent < 100).then(|| (Ok(Bytes::from(vec![0; chunk])), sent + 1))
        }))
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_cut_and_one_that_flows_is_not() {
        for (chunk, whole) in [(1, false), (64 << 10, true)] {
            let mut paced = Paced::new(flow(chunk), Patience(Duration::from_millis(200)));
            let mut received = 0;
            while let Some(Ok(_)) = paced.next().await {
                received += 1;
            }
            assert_eq!(received == 100, whole, "{chunk}: {received}");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_cut() {
        let mut paced = Paced::new(stream::pending(), Patience(Duration::from_millis(10)));
        assert!(matches!(paced.next().await, Some(Err(PayloadError::Incomplete(Some(_))))));
    }
}
