//! The server's configuration: flags, then environment, then `bottega.toml`, then defaults.
//!
//! Unknown keys are refused. figment remembers where each value came from; `bottega config` tells.

mod defaults;
mod offline;

use std::{path::PathBuf, time::Duration};

pub use self::offline::WhenOffline;
use domain::{Problem, parse_duration, serving::Isolation};
use figment::{
    Figment, Metadata, Source,
    providers::{Env, Format as _, Serialized, Toml},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, de};

use self::defaults::Defaults;
pub use self::defaults::data_dir;

/// Every key, in the order in which `bottega config` lists them. Each may also be set by
/// `BOTTEGA_` and its name in capitals.
pub const KEYS: &[&str] = &[
    "listen",
    "grpc_listen",
    "data_dir",
    "database_url",
    "artifacts",
    "artifacts_public_url",
    "secret_key_file",
    "secret_key",
    "secret_key_previous",
    "admin_token",
    "pg_bin_dir",
    "onnxruntime",
    "uv",
    "python_index_url",
    "python_find_links",
    "python_builds",
    "python_dir",
    "python_cache_dir",
    "python_environment_bytes",
    "python_build_timeout",
    "log",
    "log_format",
    "metrics_open",
    "http_workers",
    "grpc_workers",
    "max_body_bytes",
    "max_artifact_bytes",
    "model_cache_bytes",
    "model_memory_bytes",
    "advertise_url",
    "advertise_grpc",
    "request_timeout",
    "trial_timeout",
    "trial_memory_bytes",
    "webhook_allow",
    "remote_allow",
    "retention",
    "trusted_proxies",
    "public_url",
    "oidc_issuer",
    "oidc_client_id",
    "oidc_client_secret_file",
    "oidc_client_secret",
    "oidc_scopes",
    "oidc_name_claim",
    "oidc_groups_claim",
    "oidc_create_users",
    "oidc_allow",
    "capture_flush",
    "offline_grace",
    "quota_when_offline",
    "queue_time",
    "isolation",
    "process_memory_bytes",
    "max_connections",
    "max_streams",
    "client_timeout",
    "drain_timeout",
    "prediction_log_rate",
    "prediction_log_retention",
    "otlp_endpoint",
    "otlp_headers_file",
    "otlp_headers",
    "otlp_sample",
];

/// Keys whose values are never shown.
const SECRETS: &[&str] = &[
    "database_url",
    "secret_key",
    "secret_key_previous",
    "admin_token",
    "oidc_client_secret",
    "otlp_headers",
];

/// Keys that may also be set in `bottega.toml`: all but those that do not belong in a file.
const NOT_IN_FILES: &[&str] =
    &["secret_key", "secret_key_previous", "admin_token", "oidc_client_secret", "otlp_headers"];

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// For programs: one JSON object a line.
    Json,
}

/// The effective configuration of a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where HTTP is served.
    pub listen: String,
    /// Where gRPC is served.
    pub grpc_listen: String,
    /// The folder of everything that this machine keeps.
    pub data_dir: PathBuf,
    /// Postgres; absent: a private one.
    #[serde(default)]
    pub database_url: Option<SecretString>,
    /// Where artifacts are: a folder or `s3://bucket/prefix`; absent: in the data directory.
    #[serde(default)]
    pub artifacts: Option<String>,
    /// How clients reach S3 themselves: an endpoint, or `none`; absent: as this server does.
    #[serde(default)]
    pub artifacts_public_url: Option<String>,
    /// The file of the keys that secrets are sealed under, the current one first; absent: in the data directory.
    #[serde(default)]
    pub secret_key_file: Option<PathBuf>,
    /// The current key itself.
    #[serde(default)]
    pub secret_key: Option<SecretString>,
    /// The keys before it, one a line: what is sealed under them opens still.
    #[serde(default)]
    pub secret_key_previous: Option<SecretString>,
    /// The administrator's token; absent: made at the first start.
    #[serde(default)]
    pub admin_token: Option<SecretString>,
    /// The folder of Postgres' programs.
    #[serde(default)]
    pub pg_bin_dir: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[serde(default)]
    pub onnxruntime: Option<PathBuf>,
    /// The program that builds environments of Python packages; absent: looked for on the path.
    #[serde(default)]
    pub uv: Option<PathBuf>,
    /// The index that packages come from: a URL or `none`; absent: PyPI.
    #[serde(default)]
    pub python_index_url: Option<String>,
    /// Folders or pages of wheels besides, with commas between.
    #[serde(default)]
    pub python_find_links: Option<String>,
    /// Whether packages that come as source are built.
    pub python_builds: bool,
    /// Folders of interpreters besides those on the path, with commas between.
    #[serde(default)]
    pub python_dir: Option<String>,
    /// uv's own cache; absent: in the data directory.
    #[serde(default)]
    pub python_cache_dir: Option<PathBuf>,
    /// How much of the disk environments may take.
    pub python_environment_bytes: u64,
    /// How long one step of building an environment may take.
    #[serde(deserialize_with = "duration")]
    pub python_build_timeout: Duration,
    /// What is logged, as `info` or `info,gateway=debug`.
    pub log: String,
    /// How it is written.
    pub log_format: LogFormat,
    /// Whether `/metrics` answers without a token.
    pub metrics_open: bool,
    /// Threads that serve HTTP.
    pub http_workers: usize,
    /// Threads that serve gRPC.
    pub grpc_workers: usize,
    /// The largest request body of a prediction.
    pub max_body_bytes: usize,
    /// The largest artifact.
    pub max_artifact_bytes: u64,
    /// How much of the disk copies of models' files may take.
    pub model_cache_bytes: u64,
    /// How much memory models may take: beyond it those that are loaded on demand are unloaded, and no more
    /// are placed here; absent: half of the machine's.
    #[serde(default)]
    pub model_memory_bytes: Option<u64>,
    /// Where other nodes reach this one, as `http://serving-1:8080`; absent: where it listens.
    #[serde(default)]
    pub advertise_url: Option<String>,
    /// The same for gRPC, as `serving-1:8081`.
    #[serde(default)]
    pub advertise_grpc: Option<String>,
    /// How long a prediction may take.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
    /// How long a trial may take.
    #[serde(deserialize_with = "duration")]
    pub trial_timeout: Duration,
    /// How much memory a trial may take.
    pub trial_memory_bytes: u64,
    /// Networks that webhooks may reach although they are not public, as `10.0.0.0/8,fd00::/8`.
    #[serde(default)]
    pub webhook_allow: Option<String>,
    /// Networks that hooks and external models may reach although they are not public, as
    /// `10.0.0.0/8,fd00::/8`.
    #[serde(default)]
    pub remote_allow: Option<String>,
    /// How long what is deleted can be restored, before it is purged.
    #[serde(deserialize_with = "duration")]
    pub retention: Duration,
    /// Networks of proxies whose `x-forwarded-for` is believed, as `10.0.0.0/8,fd00::/8`.
    #[serde(default)]
    pub trusted_proxies: Option<String>,
    /// How browsers reach this server, as `https://bottega.example`.
    #[serde(default)]
    pub public_url: Option<String>,
    /// The identity provider that people log in at, as it signs itself; absent: none.
    #[serde(default)]
    pub oidc_issuer: Option<String>,
    /// What this server is called there.
    #[serde(default)]
    pub oidc_client_id: Option<String>,
    /// The file of what proves that.
    #[serde(default)]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// What proves that; absent, and no file: PKCE alone.
    #[serde(default)]
    pub oidc_client_secret: Option<SecretString>,
    /// What the provider is asked for.
    pub oidc_scopes: String,
    /// The claim that names new users.
    pub oidc_name_claim: String,
    /// The claim that lists somebody's groups.
    pub oidc_groups_claim: String,
    /// Whether whoever logs in for the first time becomes a user.
    pub oidc_create_users: bool,
    /// Networks that identity providers may be in although they are not public, as `10.0.0.0/8`.
    #[serde(default)]
    pub oidc_allow: Option<String>,
    /// How often what was captured of predictions is written down.
    #[serde(deserialize_with = "duration")]
    pub capture_flush: Duration,
    /// How long callers are let in from memory, and leases of quotas go on, while the database is away.
    #[serde(deserialize_with = "duration")]
    pub offline_grace: Duration,
    /// What happens then to what quotas limit.
    pub quota_when_offline: WhenOffline,
    /// How long a prediction waits at most while more come than can be answered; absent: as long as two
    /// full runs of its model take.
    #[serde(default, deserialize_with = "some_duration")]
    pub queue_time: Option<Duration>,
    /// Where ONNX versions run of which neither they nor their releases say it.
    pub isolation: Isolation,
    /// How much memory each process of a version that runs in its own may take.
    pub process_memory_bytes: u64,
    /// Connections at a time, to HTTP and to gRPC each.
    pub max_connections: usize,
    /// Calls at a time in one connection to gRPC.
    pub max_streams: u32,
    /// How long a client may be silent that has something to send or to read.
    #[serde(deserialize_with = "duration")]
    pub client_timeout: Duration,
    /// How long requests in flight may take once we were told to stop.
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Duration,
    /// Predictions of a second that are written into the log; 0 for none.
    pub prediction_log_rate: u32,
    /// How long they stay there.
    #[serde(deserialize_with = "duration")]
    pub prediction_log_retention: Duration,
    /// The OpenTelemetry collector that traces are sent to, as `http://localhost:4318`; absent: none.
    #[serde(default)]
    pub otlp_endpoint: Option<String>,
    /// The file of what it wants to be told with each message.
    #[serde(default)]
    pub otlp_headers_file: Option<PathBuf>,
    /// What it wants to be told, as `NAME=VALUE,NAME=VALUE`.
    #[serde(default)]
    pub otlp_headers: Option<SecretString>,
    /// Which share of the predictions is traced whose callers trace nothing.
    pub otlp_sample: f64,
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// The configuration before it is checked, with the origin of each value.
pub struct Layers(Figment);

impl Layers {
    /// Stacks flags over environment over file over defaults. `file` must exist; without one,
    /// `bottega.toml` in the working directory is read if it is there.
    pub fn stack(flags: impl Serialize, file: Option<PathBuf>) -> Result<Self, Problem> {
        let here = PathBuf::from("bottega.toml");
        let from_file = match file.or_else(|| here.is_file().then_some(here)) {
            Some(file) if !file.is_file() => {
                return Err(Problem::invalid(
                    "config",
                    format!("there is no file {}", file.display()),
                ));
            }
            Some(file) => Figment::from(Toml::file_exact(file)),
            None => Figment::new(),
        };
        if let Some(key) = NOT_IN_FILES.iter().find(|key| from_file.contains(key)) {
            let message = format!("`{key}` may not stand in a configuration file");
            return Err(
                Problem::invalid(*key, message).hint(format!("set BOTTEGA_{}", key.to_uppercase()))
            );
        }
        let environment = Env::prefixed("BOTTEGA_").only(KEYS).filter_map(|key| {
            let name = format!("BOTTEGA_{}", key.as_str().to_uppercase());
            // An empty variable is one that is not set: compose files pass them so.
            std::env::var_os(name).filter(|value| !value.is_empty()).map(|_| key.into())
        });
        let flags = Serialized::defaults(flags);
        let metadata = Metadata::named("command line");
        let figment = Figment::from(Serialized::defaults(Defaults::new()))
            .merge(from_file)
            .merge(environment)
            .merge(Named { inner: flags, metadata });
        Ok(Self(figment))
    }

    /// The settings.
    pub fn settings(&self) -> Result<Settings, Problem> {
        let settings: Settings = self.0.extract().map_err(|error| {
            let at = error.path.join(".");
            let from = error.metadata.as_ref().map(origin).unwrap_or_default();
            let what = [at.clone(), error.kind.to_string(), from]
                .into_iter()
                .filter(|part| !part.is_empty());
            let message = format!("configuration: {}", what.collect::<Vec<_>>().join(": "));
            let field = if at.is_empty() { "configuration" } else { &at };
            Problem::invalid(field, message).hint(format!("the keys are {}", KEYS.join(", ")))
        })?;
        if settings.capture_flush < Duration::from_millis(100) {
            return Err(Problem::invalid(
                "capture_flush",
                "configuration: capture_flush is too short: expected at least 100ms",
            ));
        }
        if !(0.0..=1.0).contains(&settings.otlp_sample) {
            let message = format!(
                "configuration: otlp_sample is {}: expected a share from 0 to 1, like 0.05",
                settings.otlp_sample
            );
            return Err(Problem::invalid("otlp_sample", message));
        }
        for (key, value) in [
            ("http_workers", settings.http_workers),
            ("grpc_workers", settings.grpc_workers),
            ("max_connections", settings.max_connections),
            ("max_streams", settings.max_streams as usize),
        ] {
            if value == 0 {
                let message = format!("configuration: {key} is 0: expected at least 1");
                return Err(Problem::invalid(key, message));
            }
        }
        Ok(settings)
    }

    /// Each key with its value, secrets hidden, and its origin.
    pub fn table(&self) -> Vec<(&'static str, String, String)> {
        KEYS.iter()
            .filter_map(|&key| {
                let value = self.0.find_value(key).ok()?;
                let shown =
                    if SECRETS.contains(&key) { "(hidden)".to_owned() } else { show(&value) };
                let from = self.0.find_metadata(key).map_or_else(|| "default".to_owned(), origin);
                Some((key, shown, from))
            })
            .collect()
    }
}

fn show(value: &figment::value::Value) -> String {
    value
        .as_str()
        .map_or_else(|| serde_json::to_string(value).unwrap_or_default(), ToOwned::to_owned)
}

fn origin(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => "environment".to_owned(),
        _ if metadata.name == "command line" => "command line".to_owned(),
        _ => "default".to_owned(),
    }
}

/// A provider under another name, so that origins can be told apart.
struct Named<P> {
    inner: P,
    metadata: Metadata,
}

impl<P: figment::Provider> figment::Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
        self.inner.data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_each_value_knows_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bottega.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog = \"debug\"\n").unwrap();
        let layers =
            Layers::stack(serde_json::json!({"listen": "127.0.0.1:2"}), Some(file.clone()))
                .unwrap();
        let settings = layers.settings().unwrap();
        assert_eq!((settings.listen.as_str(), settings.log.as_str()), ("127.0.0.1:2", "debug"));
        let from = |key| layers.table().into_iter().find(|row| row.0 == key).unwrap().2;
        assert_eq!(from("listen"), "command line");
        assert!(from("log").contains("bottega.toml"), "{}", from("log"));
        assert_eq!(from("trial_timeout"), "default");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bottega.toml");
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let problem =
            Layers::stack(serde_json::json!({}), Some(file)).unwrap().settings().unwrap_err();
        assert!(problem.message.contains("lisen"), "{}", problem.message);
    }

    #[test]
    fn secrets_do_not_stand_in_files_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bottega.toml");
        std::fs::write(&file, "admin_token = \"hush\"\n").unwrap();
        assert!(Layers::stack(serde_json::json!({}), Some(file)).is_err());
        let layers =
            Layers::stack(serde_json::json!({"database_url": "postgres://u:hush@h/d"}), None)
                .unwrap();
        assert!(layers.table().iter().all(|(_, value, _)| !value.contains("hush")));
    }
}
