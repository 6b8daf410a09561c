//! Where traces of predictions go, as the settings say.

use domain::Problem;
use gateway::Tracing;
use secrecy::ExposeSecret as _;

use super::{secret, urls::check_url};
use crate::settings::Settings;

/// The collector; absent where there is none.
pub(super) fn of(settings: &Settings) -> Result<Option<Tracing>, Problem> {
    let (given, file) = (settings.otlp_headers.as_ref(), settings.otlp_headers_file.as_ref());
    let headers = secret::read("otlp_headers", given, file)?;
    let Some(endpoint) = settings.otlp_endpoint.clone() else {
        return headers.map_or(Ok(None), |_| {
            let message = "otlp_endpoint is not set, but headers for it are";
            Err(Problem::invalid("otlp_endpoint", message)
                .hint("set --otlp-endpoint, or leave otlp_headers away"))
        });
    };
    check_url("otlp_endpoint", "http://localhost:4318", &endpoint)?;
    let headers = headers.as_ref().map_or("", |headers| headers.expose_secret());
    let headers = gateway::collector_headers(headers)
        .map_err(|why| Problem::invalid("otlp_headers", format!("otlp_headers: {why}")))?;
    Ok(Some(Tracing { endpoint, headers, sample: settings.otlp_sample }))
}
