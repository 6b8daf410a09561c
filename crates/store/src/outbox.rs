//! What happened, for whoever must react: rows that survive, and a notice that says "look now".
//!
//! A lost notice costs seconds, never correctness: every reader also looks by itself from time to
//! time, and takes what it finds in the tables as the truth.

use std::time::Duration;

use domain::Timestamp;
use serde_json::Value;
use sqlx::{
    PgConnection, PgExecutor,
    postgres::{PgListener, PgNotification},
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{Database, Result, freshness::Touched};

const CHANNEL: &str = "bottega";

/// How long it takes until a listener that could not connect tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a listener that vouches asks for a sign of life, and how long it waits for that.
const ASK_EVERY: Duration = Duration::from_millis(500);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

pub(crate) async fn insert(
    connection: &mut PgConnection,
    at: Timestamp,
    topic: &str,
    resource: &str,
    payload: &Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO outbox (at, topic, resource, payload) VALUES ($1, $2, $3, $4)",
        at,
        topic,
        resource,
        payload
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn notify(executor: impl PgExecutor<'_>, touched: &Touched) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, touched.notice()).execute(executor).await?;
    Ok(())
}

/// Tells a role's other parts to look again, without an event: for bookkeeping that others wait for.
pub(crate) async fn nudge(database: &Database) -> Result<()> {
    notify(database.pool(), &Touched::NOTHING).await
}

/// Hears notices. It holds one connection of its own.
pub struct Listener {
    database: Database,
    connection: Option<Connection>,
    /// Whether what is answered out of memory depends on it.
    vouches: bool,
}

struct Connection {
    listener: PgListener,
    /// Tells it from one that the library makes in its place.
    server_process: i32,
    asked_at: Instant,
}

impl Listener {
    /// A listener; it connects when first asked, and again whenever the connection is lost.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { database: database.clone(), connection: None, vouches: false }
    }

    /// A listener that keeps the database's [`Freshness`](crate::freshness::Freshness) up to date,
    /// for as long as it is asked again and again. A process that remembers needs one of these.
    #[must_use]
    pub fn vouching(database: &Database) -> Self {
        Self { vouches: true, ..Self::new(database) }
    }

    /// Waits for the next notice, for `at_most` this long. Also returns, at once, when it has just
    /// begun to listen, since something may have happened before.
    pub async fn changed(&mut self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while !self.heard(deadline).await && Instant::now() < deadline {}
    }

    /// Whether there is a reason to look. Returns early to be called again.
    async fn heard(&mut self, deadline: Instant) -> bool {
        let Some(connection) = &mut self.connection else { return self.begin(deadline).await };
        let ask_at = connection.asked_at + ASK_EVERY;
        if self.vouches && ask_at <= Instant::now() {
            return self.ask().await;
        }
        let until = if self.vouches { ask_at.min(deadline) } else { deadline };
        match timeout_at(until, connection.listener.try_recv()).await {
            Ok(Ok(Some(notice))) => self.take(&notice),
            // Notices that came meanwhile are lost.
            Ok(Ok(None) | Err(_)) => return self.lose(),
            Err(_) => return false,
        }
        // They come in bursts; one look serves them all.
        self.take_buffered();
        true
    }

    async fn begin(&mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, Connection::open(&self.database)).await {
            Ok(Ok(connection)) => {
                if self.vouches {
                    // What was changed before it listened, nobody told.
                    self.database.freshness().touch(&Touched::Everything);
                    self.database.freshness().heard(connection.asked_at.into_std());
                }
                self.connection = Some(connection);
                true
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot listen for changes; looking by time only");
                sleep_until(deadline.min(Instant::now() + RETRY)).await;
                false
            }
            Err(_) => false,
        }
    }

    /// Asks for a sign of life. What was told before it was asked for has come before the answer.
    async fn ask(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        connection.asked_at = Instant::now();
        let (asked_at, known) = (connection.asked_at, connection.server_process);
        let answer = timeout(ANSWERS_WITHIN, server_process(&mut connection.listener)).await;
        if !matches!(answer, Ok(Ok(process)) if process == known) {
            return self.lose();
        }
        let news = self.take_buffered();
        self.database.freshness().heard(asked_at.into_std());
        news
    }

    fn take(&self, notice: &PgNotification) {
        if self.vouches {
            self.database.freshness().touch(&Touched::of_notice(notice.payload()));
        }
    }

    fn take_buffered(&mut self) -> bool {
        let mut any = false;
        while let Some(notice) = self.connection.as_mut().and_then(|it| it.listener.next_buffered())
        {
            self.take(&notice);
            any = true;
        }
        any
    }

    fn lose(&mut self) -> bool {
        self.connection = None;
        if self.vouches {
            self.database.freshness().deaf();
        }
        true
    }
}

impl Connection {
    async fn open(database: &Database) -> Result<Self> {
        let mut listener = PgListener::connect_with(database.pool()).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        let asked_at = Instant::now();
        let server_process = server_process(&mut listener).await?;
        Ok(Self { listener, server_process, asked_at })
    }
}

async fn server_process(listener: &mut PgListener) -> Result<i32> {
    Ok(sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "process!""#).fetch_one(listener).await?)
}
