//! What a gateway tells of its machine.

use std::net::SocketAddr;

use domain::Problem;
use store::nodes::About;

use super::{banner::Addresses, urls::check_url};
use crate::settings::Settings;

/// What others are told of this node: how it is called, where they reach it, and what it has for models.
///
/// # Errors
/// An address that is to be told is none.
pub(super) fn about(settings: &Settings, at: &Addresses) -> Result<About, Problem> {
    let host = host();
    if let Some(url) = &settings.advertise_url {
        check_url("advertise_url", "http://serving-1:8080", url)?;
    }
    if let Some(grpc) = &settings.advertise_grpc {
        let is_address = grpc.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if !is_address {
            let message =
                format!("advertise_grpc is `{grpc}`: expected HOST:PORT, like serving-1:8081");
            return Err(Problem::invalid("advertise_grpc", message));
        }
    }
    let url = settings.advertise_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
    let grpc = settings.advertise_grpc.clone();
    Ok(About {
        url: url.unwrap_or_else(|| format!("http://{}", reachable(at.http, &host))),
        grpc: grpc.or_else(|| at.grpc.map(|at| reachable(at, &host))).unwrap_or_default(),
        host,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cores: std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_bytes: settings.model_memory_bytes.unwrap_or_else(half_of_memory),
    })
}

/// Where a listener is reached: at every address means by the machine's name.
fn reachable(at: SocketAddr, host: &str) -> String {
    if at.ip().is_unspecified() { format!("{host}:{}", at.port()) } else { at.to_string() }
}

/// What this machine is called, for people.
fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Half of the machine's memory; all there could be where the machine does not say.
fn half_of_memory() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(u64::MAX, |kib| kib * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_every_address_is_reached_by_the_machines_name() {
        for (at, told) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "serving-1:8080"),
            ("[::]:8080", "serving-1:8080"),
            ("[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ] {
            assert_eq!(reachable(at.parse().unwrap(), "serving-1"), told);
        }
    }
}
