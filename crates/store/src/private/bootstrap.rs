//! From a started process to a database that can be used.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{Error, cluster::Layout, process::Process, sockets::SocketDir};
use crate::roles;

/// Who made the cluster.
pub(super) const SUPERUSER: &str = "bottega";
/// Who may use tables, and owns none.
pub(super) const APP: &str = "bottega_app";
/// Our database.
pub(super) const DATABASE: &str = "bottega";

/// A crashed server reads its log again before it lets anybody in, and that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the server answers and makes what is missing: the login and the database.
pub(super) async fn make_usable(
    process: &Process,
    sockets: &SocketDir,
    layout: &Layout,
) -> Result<(), Error> {
    let url = sockets.url(SUPERUSER, "postgres");
    let work = async {
        let mut connection = connect(&url).await?;
        ensure(&mut connection).await?;
        connection.close().await
    };
    tokio::select! {
        exit = process.exited() => {
            Err(Error::Died { status: exit.status, log: layout.last_words() })
        }
        made = work => made.map_err(Error::NotReady),
    }
}

async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    let options = PgConnectOptions::from_str(url)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match PgConnection::connect_with(&options).await {
            Err(error) if is_too_early(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            answer => return answer,
        }
    }
}

/// There is no socket yet, or the server says that it is still starting (cannot_connect_now).
fn is_too_early(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refusal| refusal.code());
    matches!(error, sqlx::Error::Io(_)) || code.as_deref() == Some("57P03")
}

/// Each statement can be repeated, so a start that was cut off is completed by the next.
async fn ensure(connection: &mut PgConnection) -> sqlx::Result<()> {
    roles::make(connection).await?;
    // Here the application logs in as itself.
    connection.execute("ALTER ROLE bottega_app LOGIN").await?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        connection.execute("CREATE DATABASE bottega OWNER bottega_owner").await?;
    }
    Ok(())
}
