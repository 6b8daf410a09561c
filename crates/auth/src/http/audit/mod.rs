//! `/audit/…`

mod archives;
mod checkpoints;
mod events;
mod exports;
mod filter;
mod grants;
mod verify;

use actix_web::HttpResponse;
use bytes::Bytes;
use domain::Problem;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(events::list)
        .service(verify::verify)
        .service(verify::verify_with)
        .service(checkpoints::list)
        .service(checkpoints::make)
        .service(exports::export)
        .service(archives::read)
        .service(archives::list)
        .service(archives::make)
        .service(grants::list);
}

/// Pieces of an answer that is made while it is sent. After a problem it breaks off.
type Pieces = Sender<Result<Bytes, Problem>>;

/// Few: who sends waits for who reads.
fn pieces() -> (Pieces, Receiver<Result<Bytes, Problem>>) {
    channel(4)
}

/// An answer of lines.
fn answer(kind: &'static str, pieces: Receiver<Result<Bytes, Problem>>) -> HttpResponse {
    let stream = futures_util::stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((piece.map_err(|problem| std::io::Error::other(problem.message)), pieces))
    });
    HttpResponse::Ok().content_type(kind).streaming(stream)
}
