//! The options of `bottega up` and of the single roles.

use std::path::PathBuf;

use clap::Args;
use domain::serving::Isolation;
use serde::Serialize;

use crate::settings::{LogFormat, WhenOffline};

/// Every option may also be set in the environment (`BOTTEGA_` and its name in capitals) or in
/// `bottega.toml`.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Flags {
    /// A configuration file [default: bottega.toml in this folder, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where HTTP is served; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// Where gRPC is served; port 0 picks a free one [default: 127.0.0.1:8081]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_listen: Option<String>,
    /// The folder of everything that this machine keeps [default: $XDG_DATA_HOME/bottega, as root /var/lib/bottega]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// A Postgres of your own [default: a private one in the data directory]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// Where artifacts are kept [default: a folder in the data directory]
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts: Option<String>,
    /// How clients reach S3 for uploads in parts and direct downloads; none: all goes through this server [default: as this server reaches it]
    #[arg(long, value_name = "URL|none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts_public_url: Option<String>,
    /// The file of the platform's secret key [default: secret.key in the data directory]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key_file: Option<PathBuf>,
    /// The folder of Postgres' programs [default: looked for]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_bin_dir: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: looked for beside the binary and in the system]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    onnxruntime: Option<PathBuf>,
    /// The program uv, which builds environments of Python packages [default: looked for on the path]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    uv: Option<PathBuf>,
    /// The index that Python packages come from; none: --python-find-links alone [default: PyPI]
    #[arg(long, value_name = "URL|none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_index_url: Option<String>,
    /// Folders or pages of wheels besides, with commas between [default: none]
    #[arg(long, value_name = "DIR|URL,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_find_links: Option<String>,
    /// Build Python packages that come as source: their code then runs with this server's rights
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    python_builds: bool,
    /// Folders of Python interpreters besides those on the path, with commas between [default: none]
    #[arg(long, value_name = "DIR,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_dir: Option<String>,
    /// uv's own cache, best on the data directory's disk [default: python/uv in the data directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_cache_dir: Option<PathBuf>,
    /// How much of the disk environments of Python packages may take [default: 21474836480]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_environment_bytes: Option<u64>,
    /// How long one step of building an environment may take [default: 10m]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    python_build_timeout: Option<String>,
    /// What is logged, like info or info,gateway=debug [default: info, libraries at warn]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// How it is written [default: auto]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// Let /metrics answer without a token
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    metrics_open: bool,
    /// Threads that serve HTTP [default: one a core]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_workers: Option<usize>,
    /// Threads that serve gRPC [default: one a core]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_workers: Option<usize>,
    /// The largest request body of a prediction [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_body_bytes: Option<usize>,
    /// The largest artifact [default: 68719476736]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_artifact_bytes: Option<u64>,
    /// How much of the disk copies of models' files may take [default: 21474836480]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model_cache_bytes: Option<u64>,
    /// How much memory models may take: what is placed on this node, and beyond it what is loaded on demand is unloaded [default: half of the machine's]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model_memory_bytes: Option<u64>,
    /// Where other nodes reach this one [default: where it listens, by the machine's name if that is everywhere]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise_url: Option<String>,
    /// Where other nodes reach this one by gRPC [default: where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise_grpc: Option<String>,
    /// How long a prediction may take [default: 30s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_timeout: Option<String>,
    /// How long a trial may take [default: 60s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    trial_timeout: Option<String>,
    /// How much memory a trial may take [default: 4294967296]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    trial_memory_bytes: Option<u64>,
    /// Networks that webhooks may reach although they are not public, like 10.0.0.0/8,fd00::/8 [default: none]
    #[arg(long, value_name = "NETWORKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_allow: Option<String>,
    /// Networks that hooks and external models may reach although they are not public, like 10.0.0.0/8,fd00::/8 [default: none]
    #[arg(long, value_name = "NETWORKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_allow: Option<String>,
    /// How long what is deleted can be restored, before it is purged [default: 30d]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    /// Networks of proxies whose x-forwarded-for and x-forwarded-proto are believed, like 10.0.0.0/8,fd00::/8 [default: none]
    #[arg(long, value_name = "NETWORKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_proxies: Option<String>,
    /// How browsers reach this server, like https://bottega.example; needed for --oidc-issuer
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// The identity provider (OpenID Connect) that people log in at, like https://id.example/realms/acme [default: none]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_issuer: Option<String>,
    /// What this server is called there
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_client_id: Option<String>,
    /// The file of the client's secret; or set BOTTEGA_OIDC_CLIENT_SECRET [default: none, PKCE alone]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_client_secret_file: Option<PathBuf>,
    /// What the provider is asked for [default: openid profile email]
    #[arg(long, value_name = "SCOPES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_scopes: Option<String>,
    /// The claim that names new users [default: preferred_username]
    #[arg(long, value_name = "CLAIM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_name_claim: Option<String>,
    /// The claim that lists somebody's groups; a path like realm_access.roles leads into objects [default: groups]
    #[arg(long, value_name = "CLAIM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_groups_claim: Option<String>,
    /// Make a user of whoever logs in at the provider for the first time
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    oidc_create_users: bool,
    /// Networks that identity providers may be in although they are not public, like 10.0.0.0/8,fd00::/8 [default: none]
    #[arg(long, value_name = "NETWORKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_allow: Option<String>,
    /// How often what was captured of predictions is written down; what a killed process had not written is lost [default: 60s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    capture_flush: Option<String>,
    /// How long callers are let in from memory, and quotas go on by their last leases, while the database is away [default: 15m]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_grace: Option<String>,
    /// What then happens to requests that a quota limits [default: refuse]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_when_offline: Option<WhenOffline>,
    /// How long a prediction waits at most while more come than can be answered [default: as two full runs of its model take]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_time: Option<String>,
    /// Where ONNX versions run of which neither they nor their releases say it [default: in-process]
    #[arg(long, value_name = "in-process|process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<Isolation>,
    /// How much memory each process may take of a version that runs in its own [default: 2 GiB]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    process_memory_bytes: Option<u64>,
    /// Connections at a time, to HTTP and to gRPC each [default: 10000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Calls at a time in one connection to gRPC [default: 256]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_streams: Option<u32>,
    /// How long a client may be silent that has something to send or to read [default: 30s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_timeout: Option<String>,
    /// How long requests in flight may take after the signal to stop [default: 20s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_timeout: Option<String>,
    /// Predictions of a second that this node writes into the log that `bottega logs` reads; 0 for none [default: 50]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction_log_rate: Option<u32>,
    /// How long they stay there [default: 6h]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction_log_retention: Option<String>,
    /// The OpenTelemetry collector that traces of predictions are sent to (OTLP over HTTP), like http://localhost:4318 [default: none]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<String>,
    /// The file of headers that it wants, as NAME=VALUE,NAME=VALUE; or set BOTTEGA_OTLP_HEADERS [default: none]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_headers_file: Option<PathBuf>,
    /// Which share of the predictions is traced whose callers send no `traceparent`, from 0 to 1 [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_sample: Option<f64>,
}
