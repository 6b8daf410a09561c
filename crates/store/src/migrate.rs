//! The schema: two roles, and the migrations in `migrations/`.

use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use crate::{Error, Result, database};

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
    ensure_roles(connection).await?;
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

/// Makes `bottega_owner` and `bottega_app` where they are missing, and the login a member of both.
async fn ensure_roles(connection: &mut PgConnection) -> Result<()> {
    const ENSURE: &str = r"
        DO $$
        DECLARE
            role text;
        BEGIN
            FOREACH role IN ARRAY ARRAY['bottega_owner', 'bottega_app'] LOOP
                BEGIN
                    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
                        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
                    END IF;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN
                    NULL; -- another database of this cluster made it at the same moment
                END;
                IF NOT pg_has_role(current_user, role, 'MEMBER') THEN
                    EXECUTE format('GRANT %I TO CURRENT_USER', role);
                END IF;
            END LOOP;
            IF NOT has_schema_privilege('bottega_owner', 'public', 'CREATE') THEN
                GRANT CREATE, USAGE ON SCHEMA public TO bottega_owner;
            END IF;
        END $$";
    sqlx::raw_sql(ENSURE).execute(connection).await.map_err(|error| {
        if error.as_database_error().and_then(|database| database.code()).as_deref() == Some("42501") {
            Error::Roles(
                "ask the database's administrator to run: CREATE ROLE bottega_owner; CREATE ROLE bottega_app; \
                 GRANT bottega_owner, bottega_app TO your login; GRANT CREATE, USAGE ON SCHEMA public TO bottega_owner"
                    .to_owned(),
            )
        } else {
            Error::from(error)
        }
    })?;
    Ok(())
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::Migration(error)
    }
}
