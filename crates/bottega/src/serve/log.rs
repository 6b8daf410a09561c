//! Logs: on stderr, pretty for people and JSON for programs.

use std::io::IsTerminal as _;

use domain::Problem;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Starts logging as the settings say.
pub fn start(settings: &Settings) -> Result<(), Problem> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| {
        Problem::invalid("log", format!("`{}` is no log filter: {error}", settings.log))
            .hint("write a level (info) or levels by module (info,gateway=debug)")
    })?;
    let is_json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where logging has been started before, in tests.
    let _started = if is_json {
        lines.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).compact().try_init()
    };
    Ok(())
}
