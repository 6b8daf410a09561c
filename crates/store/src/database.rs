//! The pool of connections that everything but migration goes through.

use std::{str::FromStr, sync::Arc, time::Duration};

use domain::{Clock, Timestamp};
use sqlx::{
    ConnectOptions, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Error, Result, freshness::Freshness};

/// Which connections are asked for a sign of life before they are used: those that nobody used for
/// that long. The others answered a moment ago, and asking them would double the way of a short query.
const RESTED: Duration = Duration::from_secs(1);

/// A database whose schema is ours, used as `bottega_app`.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    freshness: Arc<Freshness>,
}

impl Database {
    /// Connects; the schema must have been migrated (see [`crate::migrate`]).
    ///
    /// # Errors
    /// A URL that is none, a server that does not answer or refuses the login.
    pub async fn connect(url: &str, max_connections: u32, clock: Arc<dyn Clock>) -> Result<Self> {
        // Whoever logs in, what runs is bottega_app, which owns nothing.
        let options = options(url)?.options([("role", "bottega_app")]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_release(|connection, _| Box::pin(leave_transaction(connection)))
            .connect_with(options)
            .await?;
        Ok(Self { pool, clock, freshness: Arc::default() })
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// None within that time.
    pub async fn ping(&self, within: Duration) -> Result<()> {
        let asked = sqlx::query!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool);
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => answer.map(|_| ()).map_err(Error::from),
            Err(_) => Err(Error::Unreachable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// The server's version, as it gives it.
    ///
    /// # Errors
    /// The server is away.
    pub async fn server_version(&self) -> Result<String> {
        let row = sqlx::query!(r#"SELECT current_setting('server_version') AS "version!""#)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.version)
    }

    /// Gives all connections back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The clock that all rows are stamped by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        // Postgres keeps microseconds; what we answer must equal what we read back.
        let now = self.clock.now();
        Timestamp::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// How long what was read may be answered out of memory.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    pub(crate) fn share_freshness(&self) -> Arc<Freshness> {
        Arc::clone(&self.freshness)
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Options of a URL, with statements never logged: they may hold users' values.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Error::Url);
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| Error::Url)?;
    Ok(options.application_name("bottega").disable_statement_logging())
}

/// Ends a transaction that was left open on a connection which comes back. sqlx forgets one whose `BEGIN`
/// was on its way when whoever asked gave up: what the next one writes without a transaction of its own
/// would be in it, and gone with the connection.
async fn leave_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // Nothing is asked but how the connection stands: a beginning "fails" outside of a transaction.
    match connection.begin_with(";").await {
        Ok(left_open) => left_open.rollback().await?,
        Err(sqlx::Error::BeginFailed) => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}
