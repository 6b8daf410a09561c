//! What becomes of connections that somebody gave up on.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use chrono::TimeDelta;
use domain::{NodeId, SystemClock};
use store::{Change, Database, nodes, testing::TestDatabase};

#[tokio::test]
async fn what_is_written_after_somebody_gave_up_is_not_in_their_transaction() {
    let test = TestDatabase::fresh().await;
    for looks in 1..8 {
        // They all use this one connection.
        let database = Database::connect(test.url(), 1, Arc::new(SystemClock)).await.unwrap();
        database.ping(Duration::from_secs(30)).await.unwrap();
        {
            let mut beginning = pin!(Change::begin(&database));
            for _ in 0..looks {
                let look =
                    |context: &mut Context<'_>| Poll::Ready(beginning.as_mut().poll(context));
                if poll_fn(look).await.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let node = NodeId::new();
        let about = nodes::About::host("host");
        nodes::beat(&database, node, &about, TimeDelta::hours(1)).await.unwrap();
        let known = nodes::list(test.database()).await.unwrap();
        assert!(known.iter().any(|known| known.id == node), "given up after {looks} looks");
        database.close().await;
    }
}
