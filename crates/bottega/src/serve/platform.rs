//! What a process stands on: the data directory, the database, artifacts, and who may.

use std::{os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc, time::Duration};

use artifacts::{Artifacts, Location, Outside, S3Settings};
use auth::{Access, Authenticator, KeyRing, SecretKey, audit::Trail, jwt::Jwts, secrets};
use domain::{ErrorCode, Problem, SystemClock};
use secrecy::ExposeSecret as _;
use store::{
    Database,
    audit::archives::Archivist,
    private::{DataDirLock, PrivatePostgres},
};

use super::identity::{self, AdminToken};
use crate::{output::Failure, settings::Settings};

/// How long we wait for a database that is not there yet: compose and Kubernetes start us together.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// Connections of one process: few, since the hot path needs none.
const CONNECTIONS: u32 = 20;

/// What a process stands on.
pub struct Platform {
    /// The one truth.
    pub database: Database,
    /// Bytes.
    pub artifacts: Artifacts,
    /// Who may.
    pub access: Access,
    /// The way into the audit trail for what changes nothing.
    pub trail: Trail,
    /// Who calls.
    pub authenticator: Arc<Authenticator>,
    /// What hashes are keyed by, and checkpoints of the audit trail signed by; it never changes.
    pub key: SecretKey,
    /// Deletes from the audit trail what was archived.
    pub archivist: Archivist,
    /// What secrets are sealed under.
    pub keys: KeyRing,
    /// Signs and checks short-lived tokens.
    pub jwts: Jwts,
    /// The administrator's token.
    pub admin: AdminToken,
    postgres: Option<PrivatePostgres>,
    // Held until the very end: whoever has it has the data directory.
    _lock: DataDirLock,
}

impl Platform {
    /// Opens everything, in order. What was opened before a failure is closed again.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let lock = DataDirLock::acquire(&settings.data_dir)
            .map_err(|error| refused("data_dir", &error))?;
        for folder in ["artifacts", "cache", "scratch"] {
            make_folder(&settings.data_dir.join(folder))?;
        }
        let keys = identity::secret_keys(settings)?;
        let admin = identity::admin_token(settings)?;
        let postgres = match settings.database_url {
            Some(_) => None,
            None => {
                let started = PrivatePostgres::start(&lock, settings.pg_bin_dir.as_deref()).await;
                Some(started.map_err(|error| refused("database", &error))?)
            }
        };
        let trail = Trail::new(Arc::new(SystemClock));
        let jwts = Jwts::new(keys.clone());
        let opened = async {
            let (migrate_url, app_url) = urls(settings, postgres.as_ref());
            let database = open_database(&migrate_url, &app_url).await?;
            let artifacts = open_artifacts(settings, &database).await?;
            let access = Access::telling(database.clone(), trail.clone(), settings.offline_grace);
            let key = secrets::hash_key(&database, &access, &keys).await?;
            jwts.maintain(&database, &access).await?;
            let authenticator = Authenticator::new(key.clone(), database.clone())
                .with_trail(trail.clone())
                .with_access(access.clone())
                .with_signed(jwts.clone());
            authenticator
                .install_admin_token(&access, &admin.token)
                .await
                .map_err(Problem::from)?;
            let archivist = Archivist::new(migrate_url);
            Ok((database, artifacts, access, key, Arc::new(authenticator), archivist))
        };
        match opened.await {
            Ok((database, artifacts, access, key, authenticator, archivist)) => Ok(Self {
                database,
                artifacts,
                access,
                trail,
                authenticator,
                key,
                archivist,
                keys,
                jwts,
                admin,
                postgres,
                _lock: lock,
            }),
            Err(failure) => {
                stop(postgres).await;
                Err(failure)
            }
        }
    }

    /// Waits until the private Postgres has died, which nothing here survives.
    pub async fn broken(&self) -> Failure {
        match &self.postgres {
            Some(postgres) => refused("database", &postgres.exited().await),
            None => std::future::pending().await,
        }
    }

    /// Gives everything back.
    pub async fn close(self) {
        // What still holds a connection must not keep us.
        let _late = tokio::time::timeout(Duration::from_secs(1), self.database.close()).await;
        stop(self.postgres).await;
    }
}

async fn stop(postgres: Option<PrivatePostgres>) {
    if let Some(postgres) = postgres {
        postgres.stop().await;
    }
}

/// A failure at the start, as whoever starts us must read it: with paths, but without secrets.
pub fn refused(field: &str, error: &impl std::fmt::Display) -> Failure {
    Problem::new(ErrorCode::Unavailable, error.to_string()).at(field).into()
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|error| {
        Problem::invalid("data_dir", format!("{} cannot be made: {error}", folder.display()))
            .hint(
                "give a folder that this user may write with --data-dir, on a disk with free space",
            )
            .into()
    })
}

/// Where to migrate, and where to work.
fn urls(settings: &Settings, postgres: Option<&PrivatePostgres>) -> (String, String) {
    match (postgres, &settings.database_url) {
        (Some(postgres), _) => (postgres.migrate_url(), postgres.app_url()),
        (None, url) => {
            let url = url.as_ref().map(|url| url.expose_secret().to_owned()).unwrap_or_default();
            (url.clone(), url)
        }
    }
}

async fn open_database(migrate_url: &str, app_url: &str) -> Result<Database, Failure> {
    let until = tokio::time::Instant::now() + DATABASE_PATIENCE;
    loop {
        let opened = async {
            store::migrate(migrate_url).await?;
            Database::connect(app_url, CONNECTIONS, Arc::new(SystemClock)).await
        };
        match opened.await {
            Ok(database) => return Ok(database),
            Err(error) if error.is_unreachable() && tokio::time::Instant::now() < until => {
                tracing::warn!(%error, "the database is not there yet: waiting");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(refused("database_url", &error)),
        }
    }
}

async fn open_artifacts(settings: &Settings, database: &Database) -> Result<Artifacts, Failure> {
    let location = match &settings.artifacts {
        Some(location) => location.parse()?,
        None => Location::Folder(settings.data_dir.join("artifacts")),
    };
    let outside: Outside = match (&settings.artifacts_public_url, &location) {
        (None, _) => Outside::default(),
        (Some(url), Location::S3 { .. }) => url.parse()?,
        (Some(_), Location::Folder(_)) => {
            let message = "artifacts lie in a folder: clients reach it through this server alone";
            return Err(Problem::invalid("artifacts_public_url", message)
                .hint("leave --artifacts-public-url out, or keep artifacts on S3")
                .into());
        }
    };
    let s3 = S3Settings::from_env().outside(outside);
    let opened = async {
        let artifacts = Artifacts::at(&location, &s3, database.clone())?;
        artifacts.check().await?;
        Ok(artifacts)
    };
    opened
        .await
        .map_err(|error: artifacts::Error| refused("artifacts", &format!("{location}: {error}")))
}
