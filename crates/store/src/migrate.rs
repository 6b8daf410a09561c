//! The schema: two roles, and the migrations in `migrations/`.

use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use crate::{Error, Result, database, roles};

/// Every migration that this binary knows.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Brings the database's schema up to this binary's. Any number of roles may do so at once: one
/// works under an advisory lock, the others wait and find nothing left to do.
///
/// The URL's login must be a member of the roles `bottega_owner` and `bottega_app`, or be allowed
/// to make them.
///
/// # Errors
/// A schema newer than this binary, roles that cannot be made, a server that is away.
pub async fn migrate(url: &str) -> Result<()> {
    let options: PgConnectOptions = database::options(url)?;
    let mut connection = PgConnection::connect_with(&options).await?;
    // A lock that somebody else holds on a table must not make us wait for ever.
    execute(&mut connection, "SET lock_timeout = '30s'").await?;
    // That a table is there already is no news.
    execute(&mut connection, "SET client_min_messages = 'warning'").await?;
    connection.lock().await?;
    // The lock is the session's: closing it, well or badly, gives it back.
    let migrated = migrate_locked(&mut connection).await;
    connection.close().await?;
    migrated
}

async fn migrate_locked(connection: &mut PgConnection) -> Result<()> {
    roles::ensure(connection).await?;
    execute(connection, "SET ROLE bottega_owner").await?;
    refuse_newer(connection).await?;
    MIGRATIONS.run_direct(None, connection, false).await?;
    execute(connection, "REVOKE ALL ON _sqlx_migrations FROM bottega_app").await
}

async fn execute(connection: &mut PgConnection, statement: &'static str) -> Result<()> {
    sqlx::raw_sql(statement).execute(connection).await?;
    Ok(())
}

async fn refuse_newer(connection: &mut PgConnection) -> Result<()> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let table = &MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await?;
    let applied = connection.list_applied_migrations(table).await?;
    match applied.iter().map(|migration| migration.version).max() {
        Some(newest) if newest > known => Err(Error::NewerSchema(newest)),
        _ => Ok(()),
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::Migration(error)
    }
}
