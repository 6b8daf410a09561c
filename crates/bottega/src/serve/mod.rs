//! Runs roles: all of them (`bottega up`), or one.
//!
//! A start goes: configuration → ports → data directory → secrets → database → artifacts →
//! engines → background work → servers → the ready line. Whatever is wrong stops it at once, with
//! what to do, and leaves nothing behind. A stop goes the other way round: requests in flight are
//! answered first, as long as `--drain-timeout` allows, and the rest takes five seconds at most.

mod banner;
mod diagnose;
mod flags;
mod health;
mod http;
mod identity;
mod log;
mod node;
mod oidc;
pub mod onnxruntime;
mod platform;
mod python;
mod secret;
mod services;
mod shutdown;
mod traces;
mod urls;

use std::{net::TcpListener, process::ExitCode, time::Duration};

use domain::Problem;
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use rest::InFlight;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{diagnose::diagnose, flags::Flags};
use self::{platform::Platform, services::Services, shutdown::Shutdown};
use crate::{
    output::Failure,
    settings::{Layers, Settings},
};

/// How long background work may take to end; what is slower is left, and safe to leave.
const DRAIN: Duration = Duration::from_secs(2);

/// Which roles a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// The API and its documentation.
    pub registry: bool,
    /// Predictions.
    pub gateway: bool,
    /// Trials and rollouts.
    pub deployer: bool,
}

impl Roles {
    /// `bottega up`
    pub const ALL: Self = Self { registry: true, gateway: true, deployer: true };
    /// `bottega registry`
    pub const REGISTRY: Self = Self { registry: true, gateway: false, deployer: false };
    /// `bottega gateway`
    pub const GATEWAY: Self = Self { registry: false, gateway: true, deployer: false };
    /// `bottega deployer`
    pub const DEPLOYER: Self = Self { registry: false, gateway: false, deployer: true };
}

/// Runs until a signal comes or something breaks.
pub fn run(flags: &Flags, roles: Roles) -> Result<ExitCode, Failure> {
    let settings = Layers::stack(flags, flags.config.clone())?.settings()?;
    log::start(&settings)?;
    // Before anything is started that would have to be stopped again.
    oidc::provider(&settings)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::io)?;
    let done = runtime.block_on(serve(settings, roles));
    runtime.shutdown_timeout(Duration::from_millis(500));
    done
}

async fn serve(settings: Settings, roles: Roles) -> Result<ExitCode, Failure> {
    let mut shutdown = Shutdown::listen().map_err(Failure::io)?;
    // Ports first: a port in use is the commonest mistake, and nothing is started yet.
    let patience = settings.client_timeout;
    let http = bind("listen", &settings.listen, patience)?;
    let grpc = match roles.gateway {
        true => Some(bind("grpc_listen", &settings.grpc_listen, patience)?),
        false => None,
    };
    let platform = tokio::select! {
        platform = Platform::open(&settings) => platform?,
        () = shutdown.asked() => return Ok(ExitCode::SUCCESS),
    };
    let done = serve_on(&platform, &settings, roles, http, grpc, &mut shutdown).await;
    platform.close().await;
    done
}

async fn serve_on(
    platform: &Platform,
    settings: &Settings,
    roles: Roles,
    http: TcpListener,
    grpc: Option<TcpListener>,
    shutdown: &mut Shutdown,
) -> Result<ExitCode, Failure> {
    let addresses = banner::Addresses::of(&http, grpc.as_ref()).map_err(Failure::io)?;
    let services = Services::of(platform, settings, roles, &addresses)?;
    let (stop, work) = (CancellationToken::new(), TaskTracker::new());
    // What answers ends before what it stands on.
    let (closing, calls) = (CancellationToken::new(), TaskTracker::new());
    services.start_work(&work, &stop);
    if let Some(grpc) = grpc {
        services.start_grpc(grpc, &calls, &closing)?;
    }
    let in_flight = InFlight::default();
    let server = http::start(&services, settings, http, in_flight.clone())?;
    let handle = server.handle();
    let mut server = tokio::spawn(server);
    let running = async {
        services.ready().await;
        banner::ready(&platform.admin, &addresses);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        () = running => Ok(ExitCode::SUCCESS),
        () = shutdown.asked() => Ok(ExitCode::SUCCESS),
        ended = &mut server => Err(stopped("the HTTP server", ended.is_err())),
        failure = platform.broken() => Err(failure),
    };
    tracing::info!("stopping");
    // Requests in flight are answered first; then the rest may go. A second signal ends the wait.
    let graceful = async {
        // The ports are closed at once; clients that are idle are not waited for as long as requests.
        let closed = handle.stop(true);
        closing.cancel();
        calls.close();
        let longest = settings.drain_timeout;
        let (left, _late) =
            tokio::join!(in_flight.drained(longest), tokio::time::timeout(longest, calls.wait()));
        if left > 0 {
            tracing::warn!(left, "requests are cut off: they took longer than --drain-timeout");
        }
        // Answers that stream are still on their way.
        let _idle = tokio::time::timeout(DRAIN, closed).await;
        stop.cancel();
        work.close();
        let _late = tokio::time::timeout(DRAIN, work.wait()).await;
    };
    tokio::select! {
        () = graceful => {}
        () = shutdown.asked() => stop.cancel(),
    }
    outcome
}

fn stopped(what: &str, panicked: bool) -> Failure {
    let how = if panicked { "broke" } else { "ended by itself" };
    Problem::new(domain::ErrorCode::Internal, format!("{what} {how}; the log says why")).into()
}

fn bind(field: &str, address: &str, patience: Duration) -> Result<TcpListener, Problem> {
    let option = field.replace('_', "-");
    let listener = TcpListener::bind(address).map_err(|error| {
        let (message, hint) = if error.kind() == std::io::ErrorKind::AddrInUse {
            let hint = format!(
                "stop it, or choose another port with --{option} (port 0 picks a free one)"
            );
            (format!("{address} is in use by another program"), hint)
        } else {
            let hint = format!("--{option} takes HOST:PORT, like 127.0.0.1:8080");
            (format!("cannot listen on {address}: {error}"), hint)
        };
        Problem::invalid(field, message).hint(hint)
    })?;
    // Whoever reads nothing of an answer for so long is cut. Its connections inherit it; where the system
    // does not know it, its own patience holds, which is longer.
    let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(&listener, TcpUserTimeout, &millis) {
        tracing::warn!(%error, "clients that read nothing are not cut early");
    }
    listener
        .set_nonblocking(true)
        .map_err(|error| Problem::invalid(field, format!("cannot listen on {address}: {error}")))?;
    Ok(listener)
}
