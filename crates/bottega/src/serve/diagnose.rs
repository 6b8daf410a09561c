//! What `bottega doctor` can tell of the database and the artifacts without a server.

use std::sync::Arc;

use artifacts::{Location, S3Settings};
use domain::SystemClock;
use secrecy::ExposeSecret as _;
use store::{Database, private};

use crate::settings::Settings;

/// What was found: a detail, or a detail and what to do.
type Found = Result<String, (String, String)>;

/// A check's name, and what was found.
type Diagnosis = (&'static str, Found);

/// Looks at the database and the artifact store.
pub async fn diagnose(settings: &Settings) -> Vec<Diagnosis> {
    vec![("database", database(settings).await), ("artifacts", artifacts(settings).await)]
}

async fn database(settings: &Settings) -> Found {
    let Some(url) = &settings.database_url else {
        return private::find_programs(&settings.data_dir, settings.pg_bin_dir.as_deref())
            .map(|programs| format!("a private one, by {programs}"))
            .map_err(|error| {
                (error.to_string(), "./just setup installs Postgres' programs".to_owned())
            });
    };
    let asked = async {
        let database = Database::connect(url.expose_secret(), 1, Arc::new(SystemClock)).await?;
        database.server_version().await
    };
    asked.await.map(|version| format!("PostgreSQL {version} answers")).map_err(|error| {
        let hint = "check --database-url, the network, and the roles (docs/decisions/0007-roles-by-set-role.md)";
        (error.to_string(), hint.to_owned())
    })
}

async fn artifacts(settings: &Settings) -> Found {
    let location = match settings.artifacts.as_deref().map(str::parse).transpose() {
        Ok(location) => {
            location.unwrap_or_else(|| Location::Folder(settings.data_dir.join("artifacts")))
        }
        Err(problem) => return Err((problem.message, problem.hint.unwrap_or_default())),
    };
    match artifacts::probe(&location, &S3Settings::from_env()).await {
        Ok(()) => Ok(format!("{location} can be written")),
        Err(error) => {
            let hint = "for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL; for a folder: its owner and free space";
            Err((format!("{location}: {error}"), hint.to_owned()))
        }
    }
}
