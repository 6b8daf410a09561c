//! Settings that nobody gave.

use std::{num::NonZero, path::PathBuf, thread};

use domain::serving::Isolation;
use serde::Serialize;

use super::{LogFormat, WhenOffline};

/// What is logged unless told otherwise: what we do, and of libraries only what is wrong.
const LOG: &str = "info,actix_server=warn,sqlx=warn";

/// What holds unless told otherwise.
#[derive(Serialize)]
pub(super) struct Defaults {
    listen: &'static str,
    grpc_listen: &'static str,
    data_dir: PathBuf,
    python_builds: bool,
    python_environment_bytes: u64,
    python_build_timeout: &'static str,
    log: &'static str,
    log_format: LogFormat,
    metrics_open: bool,
    http_workers: usize,
    grpc_workers: usize,
    max_body_bytes: usize,
    max_artifact_bytes: u64,
    model_cache_bytes: u64,
    request_timeout: &'static str,
    trial_timeout: &'static str,
    trial_memory_bytes: u64,
    retention: &'static str,
    oidc_scopes: &'static str,
    oidc_name_claim: &'static str,
    oidc_groups_claim: &'static str,
    oidc_create_users: bool,
    capture_flush: &'static str,
    offline_grace: &'static str,
    quota_when_offline: WhenOffline,
    isolation: Isolation,
    process_memory_bytes: u64,
    max_connections: usize,
    max_streams: u32,
    client_timeout: &'static str,
    drain_timeout: &'static str,
    prediction_log_rate: u32,
    prediction_log_retention: &'static str,
    otlp_sample: f64,
}

impl Defaults {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            listen: "127.0.0.1:8080",
            grpc_listen: "127.0.0.1:8081",
            data_dir: data_dir(),
            python_builds: false,
            python_environment_bytes: 20 << 30,
            python_build_timeout: "10m",
            log: LOG,
            log_format: LogFormat::Auto,
            metrics_open: false,
            http_workers: cores,
            grpc_workers: cores,
            max_body_bytes: 16 << 20,
            max_artifact_bytes: 64 << 30,
            model_cache_bytes: 20 << 30,
            request_timeout: "30s",
            trial_timeout: "60s",
            trial_memory_bytes: 4 << 30,
            retention: "30d",
            oidc_scopes: "openid profile email",
            oidc_name_claim: "preferred_username",
            oidc_groups_claim: "groups",
            oidc_create_users: false,
            capture_flush: "60s",
            offline_grace: "15m",
            quota_when_offline: WhenOffline::Refuse,
            isolation: Isolation::InProcess,
            process_memory_bytes: 2 << 30,
            max_connections: 10_000,
            max_streams: 256,
            client_timeout: "30s",
            drain_timeout: "20s",
            prediction_log_rate: 50,
            prediction_log_retention: "6h",
            otlp_sample: 0.05,
        }
    }
}

/// The data directory unless told otherwise: `$XDG_DATA_HOME/bottega`, as root `/var/lib/bottega`.
pub fn data_dir() -> PathBuf {
    if let Some(given) = std::env::var_os("BOTTEGA_DATA_DIR").filter(|given| !given.is_empty()) {
        return given.into();
    }
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/bottega".into();
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or(home)
        .unwrap_or_else(|| ".".into())
        .join("bottega")
}
