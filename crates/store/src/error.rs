//! What can go wrong between us and Postgres.

use std::fmt;

use domain::{ErrorCode, Problem};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres is away or too busy to give us a connection.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// Postgres refused the statement.
    #[error("the database refused: {0}")]
    Database(#[source] sqlx::Error),
    /// A row holds what the domain does not allow.
    #[error("inconsistent row: {table}.{column} of {id}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Which row.
        id: String,
    },
    /// A statement that must change one row changed another number.
    #[error("{table}: {affected} rows changed, expected 1")]
    Affected {
        /// The table.
        table: &'static str,
        /// How many rows changed.
        affected: u64,
    },
    /// The schema was migrated by a newer Bottega.
    #[error(
        "the database's schema is newer than this binary (it holds migration {0}): run a newer Bottega, or restore the backup from before the upgrade"
    )]
    NewerSchema(i64),
    /// The schema could not be migrated.
    #[error("the database's schema cannot be migrated: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The login may not make the two roles that Bottega needs.
    #[error("the database user may not make the roles that Bottega needs: {0}")]
    Roles(String),
    /// The database URL is no Postgres URL.
    #[error("the database URL is not valid: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url,
    /// A refusal that the domain words.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl Error {
    /// A row that the domain does not allow.
    pub fn inconsistent(table: &'static str, column: &'static str, id: impl fmt::Display) -> Self {
        Self::Inconsistent { table, column, id: id.to_string() }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // Classes 08 (connection), 57 (shutting down) and 53 (out of connections or disk).
        let code = error.as_database_error().and_then(|database| database.code());
        let is_unreachable = code
            .as_ref()
            .is_some_and(|code| ["08", "57", "53"].iter().any(|class| code.starts_with(class)))
            || matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            );
        // The one character of a text that Postgres cannot keep, wherever it was sent.
        if code.is_some_and(|code| matches!(&*code, "22021" | "22P05")) {
            return Self::Refused(Problem::new(
                ErrorCode::Invalid,
                "the character U+0000 may not stand in a text",
            ));
        }
        if is_unreachable { Self::Unreachable(error) } else { Self::Database(error) }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(problem) => problem,
            Error::Unreachable(_) => {
                Self::new(ErrorCode::Unavailable, "the database cannot be reached")
                    .hint("try again in a moment")
            }
            Error::Database(_)
            | Error::Inconsistent { .. }
            | Error::Affected { .. }
            | Error::NewerSchema(_)
            | Error::Migration(_)
            | Error::Roles(_)
            | Error::Url => Self::internal(),
        }
    }
}

/// Whether a statement broke the constraint of this name.
pub(crate) fn breaks(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|database| database.constraint()) == Some(constraint)
}
