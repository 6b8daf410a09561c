//! The two roles of the database: `bottega_owner` owns and migrates, `bottega_app` does the rest.

use sqlx::PgConnection;

use crate::{Error, Result};

/// Makes the roles where they are missing, and lets the login take them on.
///
/// Since Postgres 16 whoever makes a role administers it, but may not take it on unless granted so:
/// membership alone says nothing.
const MAKE: &str = r"
    DO $$
    DECLARE
        role text;
        taken_on text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    BEGIN
        FOREACH role IN ARRAY ARRAY['bottega_owner', 'bottega_app'] LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', role);
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster made it at the same moment
            END;
            IF NOT pg_has_role(current_user, role, taken_on) THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', role);
            END IF;
        END LOOP;
    END $$";

/// Lets the owner make tables in this database, and the application see them.
const OPEN_SCHEMA: &str = r"
    DO $$ BEGIN
        IF NOT has_schema_privilege('bottega_owner', 'public', 'CREATE') THEN
            GRANT CREATE, USAGE ON SCHEMA public TO bottega_owner;
        END IF;
        IF NOT has_schema_privilege('bottega_app', 'public', 'USAGE') THEN
            GRANT USAGE ON SCHEMA public TO bottega_app;
        END IF;
    END $$";

/// Makes both roles. Can be repeated.
pub(crate) async fn make(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(MAKE).execute(connection).await.map(|_| ())
}

/// Makes both roles, and this database theirs. Can be repeated.
///
/// # Errors
/// The login may not: then with the statements that somebody else must run.
pub(crate) async fn ensure(connection: &mut PgConnection) -> Result<()> {
    const FORBIDDEN: &str = "42501";
    let ensured = async {
        make(connection).await?;
        sqlx::raw_sql(OPEN_SCHEMA).execute(connection).await.map(|_| ())
    };
    ensured.await.map_err(|error| {
        if error.as_database_error().and_then(|database| database.code()).as_deref()
            != Some(FORBIDDEN)
        {
            return Error::from(error);
        }
        let statements = [
            "CREATE ROLE bottega_owner",
            "CREATE ROLE bottega_app",
            "GRANT bottega_owner, bottega_app TO your login",
            "GRANT CREATE, USAGE ON SCHEMA public TO bottega_owner",
            "GRANT USAGE ON SCHEMA public TO bottega_app",
        ];
        Error::Roles(format!("ask the database's administrator to run: {}", statements.join("; ")))
    })
}
