//! Databases for tests: each test has its own, made in milliseconds from a template that is
//! migrated once.
//!
//! ```no_run
//! # async fn test() {
//! let test = store::testing::TestDatabase::fresh().await;
//! assert!(test.database().server_version().await.is_ok());
//! # }
//! ```
//!
//! The server is the one of `BOTTEGA_TEST_DATABASE_URL`, whose login may make databases and roles.
//! For what happens while Postgres is away, put a [`ChaosProxy`] in between.

#![expect(clippy::expect_used, clippy::panic, reason = "a test without its database has failed")]

mod chaos;

use std::{env, str::FromStr, sync::Arc, thread};

use domain::{Clock, SystemClock};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

pub use self::chaos::ChaosProxy;
use crate::{Database, migrate::MIGRATIONS};

const SERVER: &str = "BOTTEGA_TEST_DATABASE_URL";

/// Few, since many tests run at once on one server.
const CONNECTIONS: u32 = 5;

/// A migrated, empty database of one test. It is dropped with this value.
pub struct TestDatabase {
    name: String,
    url: String,
    database: Database,
}

impl TestDatabase {
    /// Makes one that tells the machine's time.
    ///
    /// # Panics
    /// There is no server for tests.
    pub async fn fresh() -> Self {
        Self::with_clock(Arc::new(SystemClock)).await
    }

    /// Makes one that tells this clock's time.
    ///
    /// # Panics
    /// There is no server for tests.
    pub async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let mut admin = admin().await;
        let template = template(&mut admin).await;
        let name = format!("bottega_test_{:016x}", rand::random::<u64>());
        run(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let _ = admin.close().await;
        let url = url_of(&name);
        let database = Database::connect(&url, CONNECTIONS, clock).await;
        Self { name, url, database: database.expect("a database that was just made") }
    }

    /// Where it is, for the server's own login.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool on it.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Executes statements: rows that no function of the crate under test makes.
    ///
    /// # Panics
    /// They fail.
    pub async fn execute(&self, statements: &str) {
        let mut connection = PgConnection::connect(&self.url).await.expect("the database answers");
        run(&mut connection, statements.to_owned()).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Tests may panic, and their runtime may be gone: this needs neither.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut admin = admin().await;
                run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                let _ = admin.close().await;
            });
        });
        if dropped.join().is_err() && !thread::panicking() {
            panic!("the database {} of this test could not be dropped", self.name);
        }
    }
}

/// The template of this schema, made by whichever test comes first.
async fn template(admin: &mut PgConnection) -> String {
    let name = format!("bottega_template_{}", schema_hash());
    // Every test is a process, so the lock is the server's. It ends with the transaction, whatever
    // becomes of the test; making databases is not possible inside one, hence a second connection.
    let mut lock = admin.begin().await.expect("a transaction on the test server");
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))")
        .bind("bottega test template")
        .execute(&mut *lock)
        .await
        .expect("the lock of the template");
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut *lock)
            .await
            .expect("the list of databases");
    if !exists {
        make_template(&name).await;
    }
    lock.commit().await.expect("the lock's end");
    name
}

/// It gets its name last: a test that is killed on the way leaves nothing that looks complete.
async fn make_template(name: &str) {
    let unfinished = format!("{name}_unfinished");
    let mut admin = self::admin().await;
    run(&mut admin, format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
    run(&mut admin, format!("CREATE DATABASE {unfinished}")).await;
    crate::migrate(&url_of(&unfinished)).await.expect("the migrations on an empty database");
    run(&mut admin, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
    let _ = admin.close().await;
}

fn schema_hash() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    hex::encode(&hash.finalize()[..8])
}

fn server() -> PgConnectOptions {
    let url = env::var(SERVER).unwrap_or_else(|_| {
        panic!("{SERVER} is not set: run ./just test, or start a server: tools/dev-postgres start")
    });
    PgConnectOptions::from_str(&url)
        .unwrap_or_else(|error| panic!("{SERVER} is no Postgres URL: {error}"))
}

fn url_of(database: &str) -> String {
    server().database(database).to_url_lossy().to_string()
}

async fn admin() -> PgConnection {
    PgConnection::connect_with(&server())
        .await
        .unwrap_or_else(|error| panic!("the server of {SERVER} does not answer: {error}"))
}

async fn run(admin: &mut PgConnection, statement: String) {
    // Names of databases cannot be parameters; these are all our own.
    let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(admin).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Error;

    const SOON: Duration = Duration::from_secs(2);

    async fn exists(name: &str) -> bool {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut admin().await)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn each_test_has_a_migrated_database_of_its_own() {
        let (one, other) = tokio::join!(TestDatabase::fresh(), TestDatabase::fresh());
        let mut connection = PgConnection::connect(one.url()).await.unwrap();
        run(&mut connection, "CREATE TABLE only_here ()".to_owned()).await;
        let count = "SELECT count(*) FROM pg_tables WHERE tablename = $1";
        for (test, table, expected) in
            [(&one, "only_here", 1_i64), (&other, "only_here", 0), (&other, "models", 1)]
        {
            let counted = sqlx::query_scalar::<_, i64>(count).bind(table);
            assert_eq!(counted.fetch_one(test.database().pool()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn database_is_dropped_with_its_test_even_in_use() {
        let test = TestDatabase::fresh().await;
        let name = test.name.clone();
        let _in_use = PgConnection::connect(test.url()).await.unwrap();
        assert!(exists(&name).await);
        drop(test);
        assert!(!exists(&name).await);
    }

    #[tokio::test]
    async fn cut_proxy_breaks_old_and_new_connections_until_it_is_restored() {
        let test = TestDatabase::fresh().await;
        let (proxy, url) = ChaosProxy::to(test.url()).await;
        let through = Database::connect(&url, 1, Arc::new(SystemClock)).await.unwrap();
        through.ping(SOON).await.unwrap();
        proxy.cut();
        assert!(matches!(through.ping(SOON).await, Err(Error::Unreachable(_))));
        assert!(PgConnection::connect(&url).await.is_err());
        proxy.restore();
        through.ping(SOON).await.unwrap();
    }

    #[tokio::test]
    async fn connection_does_not_survive_a_cut_that_is_restored_at_once() {
        let test = TestDatabase::fresh().await;
        let (proxy, url) = ChaosProxy::to(test.url()).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        proxy.cut();
        proxy.restore();
        assert!(connection.ping().await.is_err());
    }
}
