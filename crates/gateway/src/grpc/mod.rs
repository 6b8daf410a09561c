//! The Open Inference Protocol V2 over gRPC, on a port of its own.

mod answers;
mod call;
mod codec;
mod connections;
mod deadline;
mod forward;
mod infer;
mod packed;
mod service;
mod status;
mod stream;
mod tools;
mod workers;

use std::{error::Error, io, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    answers::Answers,
    connections::{Connection, Door, Taken},
    workers::{Calls, Workers},
};
use crate::{Limits, State};

pub use self::codec::Codec;

/// The service's trait and client, generated from `protocol`'s definition.
mod generated {
    tonic::include_proto!("inference");
}

/// How often a connection without calls is asked whether somebody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// The longest headers of a call, unpacked.
const HEADERS: u32 = 16 << 10;

/// Answers on this listener until told to stop; then finishes what it has begun.
///
/// # Errors
/// There are no threads to serve with.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) -> io::Result<()> {
    let limits = state.given.settings.limits;
    let workers = Workers::start(limits.grpc_workers)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let following = tokio::spawn(tools::follow(state.clone(), reporter, stop.clone()));
    let answers = Arc::new(Answers::new(state, health));
    let (door, connections) = (Door::new(listener, limits.connections), TaskTracker::new());
    while let Some(Some(taken)) = stop.run_until_cancelled(door.next()).await {
        let (answers, stop) = (Arc::clone(&answers), stop.child_token());
        workers.serve(&connections, |calls| async move {
            if let Err(error) = connection(taken, answers, calls, limits, stop).await {
                tracing::debug!(error = &*error, "a gRPC connection ended");
            }
        });
    }
    drop(door);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        let left = connections.len();
        tracing::warn!(left, "gRPC connections are cut off: their calls took too long to answer");
    }
    // It ends by the same word.
    let _ended = following.await;
    Ok(())
}

/// Serves one connection; told to stop, it takes no more calls and answers those that it has.
async fn connection(
    taken: Taken,
    answers: Arc<Answers>,
    calls: Calls,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let connection = Connection::new(taken, limits.patience)?;
    let answers = answers.to(connection.ends());
    let served = http2::Builder::new(calls)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(limits.patience)
        .max_header_list_size(HEADERS)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(connection), answers);
    let mut served = pin!(served);
    tokio::select! {
        biased;
        ended = served.as_mut() => ended?,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await?;
        }
    }
    Ok(())
}
