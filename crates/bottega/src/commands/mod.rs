//! One file for each noun or verb of the command line: its options, and `run`.

use std::{process::ExitCode, time::Duration};

use crate::output::Failure;

pub mod audit;
pub mod completions;
pub mod config;
pub mod deploy;
pub mod doctor;
pub mod endpoints;
pub mod login;
pub mod models;
pub mod predict;
pub mod promote;
pub mod pull;
pub mod push;
pub mod rollout;
pub mod rules;
pub mod settings;
pub mod status;
pub mod versions;
pub mod webhooks;
pub mod worker;

/// What a command answers.
type Done = Result<ExitCode, Failure>;

/// Reads `30s`, `5m`, `1h`, `30d`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is no duration: expected 30s, 5m, 1h or 30d");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}`: expected KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// An endpoint's name on the wire.
pub fn wire_name(endpoint: &str, env: Option<&str>) -> Result<String, Failure> {
    let parsed: domain::EndpointRef = match env {
        None => endpoint.parse()?,
        Some(env) => domain::EndpointRef { name: endpoint.parse()?, env: env.parse()? },
    };
    Ok(parsed.to_string())
}

/// Splits `fraud/3` into the model and the number.
fn version_reference(text: &str) -> Result<(String, i32), Failure> {
    let reference: domain::ModelRef = text.parse()?;
    match reference.version {
        domain::VersionSelector::Number(number) => Ok((reference.model.to_string(), number)),
        domain::VersionSelector::Alias(_) | domain::VersionSelector::Stage(_) => {
            Err(Failure::usage(
                "version",
                format!("`{text}` names no version: expected NAME/VERSION, like fraud/3"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3_600), ("30d", 2_592_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds));
        }
        for wrong in ["", "30", "s", "1y", "-1s", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_of_production_goes_by_its_bare_name() {
        assert_eq!(wire_name("fraud", None).unwrap(), "fraud");
        assert_eq!(wire_name("fraud", Some("production")).unwrap(), "fraud");
        assert_eq!(wire_name("fraud", Some("dev")).unwrap(), "fraud.dev");
        assert!(wire_name("fraud.dev", Some("dev")).is_err());
    }
}
