//! Seals the trail, all the time.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{Problem, Streak, audit::Checkpoint};
use store::{
    Database,
    audit::{self, checkpoints},
};
use tokio_util::sync::CancellationToken;

use super::Signer;

/// How long an event waits for its seal at most, while the database answers.
const EVERY: Duration = Duration::from_millis(500);

/// A checkpoint is made after so many events, or after so long if there was any.
const EVENTS: i64 = 10_000;
const LONGEST: TimeDelta = TimeDelta::minutes(10);

/// Seals what is written, and makes checkpoints. Any number of processes may: one does it at a time.
pub async fn keep_sealed(database: &Database, signer: &Signer, stop: &CancellationToken) {
    let mut streak = Streak::default();
    loop {
        let wait = match seal_all(database, signer, stop).await {
            Ok(()) => {
                if streak.ended() {
                    tracing::info!("the audit trail is sealed again");
                }
                EVERY
            }
            Err(error) => {
                let wait = streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "the audit trail cannot be sealed just now");
                }
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn seal_all(
    database: &Database,
    signer: &Signer,
    stop: &CancellationToken,
) -> store::Result<()> {
    while let Some(sealed) = audit::seal(database).await? {
        if !sealed.is_full || stop.is_cancelled() {
            let last = checkpoints::newest(database).await?;
            let is_due = match last {
                None => sealed.link.seal > 0,
                Some((last, at)) => {
                    let events = sealed.link.total - last.total;
                    events >= EVENTS || (events > 0 && database.now() - at >= LONGEST)
                }
            };
            if is_due {
                let checkpoint = signer.sign(&sealed.link, database.now());
                checkpoints::insert(database, &checkpoint).await?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// A checkpoint of how far the chain has come now.
///
/// # Errors
/// Nothing is sealed yet, or the database is away.
pub async fn checkpoint(database: &Database, signer: &Signer) -> Result<Checkpoint, Problem> {
    // What was just written shall be in it; if another process is at it, it is.
    while audit::seal(database).await?.is_some_and(|sealed| sealed.is_full) {}
    let link = checkpoints::head(database).await?;
    if link.seal == 0 {
        return Err(Problem::conflict("nothing is sealed yet").hint("try again in a second"));
    }
    let checkpoint = signer.sign(&link, database.now());
    checkpoints::insert(database, &checkpoint).await?;
    Ok(checkpoint)
}
