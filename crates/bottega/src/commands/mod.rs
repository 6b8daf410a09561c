//! One file for each noun or verb of the command line: its options, and `run`.

use std::process::ExitCode;

use crate::output::Failure;

mod ask;
pub mod audit;
mod capture;
pub mod collect;
pub mod completions;
pub mod config;
mod contract;
pub mod credentials;
pub mod deploy;
pub mod doctor;
mod dry_run;
pub mod endpoints;
pub mod external;
pub mod grants;
mod graph;
pub mod history;
pub mod import;
pub mod login;
pub mod logs;
pub mod models;
pub mod oidc;
pub mod ownership;
pub mod policies;
pub mod predict;
pub mod promote;
pub mod pull;
pub mod push;
pub mod quota;
pub mod rollout;
pub mod rules;
pub mod secret;
pub mod secrets;
pub mod services;
mod serving;
pub mod settings;
pub mod status;
pub mod teams;
pub mod tokens;
pub mod usage;
pub mod users;
pub mod versions;
pub mod webhooks;
pub mod worker;

/// What a command answers.
type Done = Result<ExitCode, Failure>;

/// The query that asks for a moment of the past.
fn moment(as_of: Option<String>) -> Vec<(&'static str, String)> {
    as_of.map(|at| ("as_of", at)).into_iter().collect()
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
    fn an_endpoint_of_production_goes_by_its_bare_name() {
        assert_eq!(wire_name("fraud", None).unwrap(), "fraud");
        assert_eq!(wire_name("fraud", Some("production")).unwrap(), "fraud");
        assert_eq!(wire_name("fraud", Some("dev")).unwrap(), "fraud.dev");
        assert!(wire_name("fraud.dev", Some("dev")).is_err());
    }
}
