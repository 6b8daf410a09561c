//! The options of `bottega push` that name a server of others, which runs the model.

use std::collections::BTreeMap;

use clap::Args;
use domain::{
    Problem,
    external::{Connections, External, FILE, Protocol},
    serving::{
        Timeout,
        hooks::{Header, HeaderValue, Name, Url},
    },
};
use serde_json::json;
use tempfile::TempDir;

use super::pair;
use crate::output::Failure;

#[derive(Args)]
pub struct ExternalOptions {
    /// The address of a server that runs the model, in place of files
    #[arg(long, value_name = "URL", requires = "protocol", conflicts_with = "path")]
    external: Option<String>,
    /// How the server is asked: v2, tensorflow, mlflow or sagemaker
    #[arg(long, requires = "external")]
    protocol: Option<Protocol>,
    /// What the model is called there (v2, tensorflow)
    #[arg(long, value_name = "NAME", requires = "external")]
    remote_model: Option<String>,
    /// Which version of it [default: the server's choice]
    #[arg(long, value_name = "VERSION", requires = "external")]
    remote_version: Option<String>,
    /// How long the server may take [default: as long as the endpoint allows]
    #[arg(long, value_name = "DURATION", requires = "external")]
    remote_timeout: Option<Timeout>,
    /// How many requests a node sends it at once, 1 to 64 [default: 8]
    #[arg(long, value_name = "COUNT", requires = "external", value_parser = connections)]
    connections: Option<Connections>,
    /// A header that the server is sent, with the credential that is its value
    #[arg(long = "header", value_name = "HEADER=CREDENTIAL", requires = "external", value_parser = pair)]
    headers: Vec<(String, String)>,
}

fn connections(text: &str) -> Result<Connections, String> {
    let number = text.parse::<i64>().map_err(|_| "expected a whole number from 1 to 64")?;
    number.try_into()
}

impl ExternalOptions {
    /// A folder with the file that says which server it is; absent where there is none.
    pub fn file(&self) -> Result<Option<TempDir>, Failure> {
        let (Some(url), Some(protocol)) = (&self.external, self.protocol) else { return Ok(None) };
        let wrong =
            |option: &str, why: String| Failure::usage(option, format!("--{option}: {why}"));
        let name = |option: &str, text: &Option<String>| {
            let name = text.clone().map(Name::try_from).transpose();
            name.map_err(|why| wrong(option, why))
        };
        let header = |(header, credential): &(String, String)| {
            let value = serde_json::from_value(json!({"credential": credential}));
            let value: HeaderValue = value.map_err(|error| wrong("header", error.to_string()))?;
            Header::try_from(header.clone())
                .map_err(|why| wrong("header", why))
                .map(|name| (name, value))
        };
        let external = External {
            protocol,
            url: Url::try_from(url.clone()).map_err(|why| wrong("external", why))?,
            model: name("remote-model", &self.remote_model)?,
            version: name("remote-version", &self.remote_version)?,
            timeout: self.remote_timeout,
            connections: self.connections,
            headers: self.headers.iter().map(header).collect::<Result<BTreeMap<_, _>, _>>()?,
        };
        // JSON is YAML too.
        let text = serde_json::to_vec_pretty(&external).map_err(|_| Problem::internal())?;
        External::read(&text)?;
        let folder = tempfile::tempdir().map_err(Failure::io)?;
        std::fs::write(folder.path().join(FILE), text).map_err(Failure::io)?;
        Ok(Some(folder))
    }
}
