//! `bottega pull`: brings a version's files back.

use std::path::PathBuf;

use clap::Args;
use client::{Connection, pull};
use domain::{ModelRef, VersionSelector};
use serde_json::json;

use super::Done;
use crate::output::Output;

#[derive(Args)]
pub struct Options {
    /// The version
    #[arg(value_name = "NAME@ALIAS|NAME/VERSION")]
    model: String,
    /// The folder to put it in
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Bring nothing: verify, without a network, what an earlier pull brought
    #[arg(long)]
    verify: bool,
}

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let reference: ModelRef = options.model.parse()?;
    let bar = output.progress();
    let receipt = if options.verify {
        pull::verify(&options.to, &bar).await?
    } else {
        pull::bring(server, &options.model, &options.to, &bar).await?
    };
    drop(bar);
    let is_other_version =
        matches!(reference.version, VersionSelector::Number(number) if number != receipt.version);
    if receipt.model != reference.model.as_str() || is_other_version {
        let there = format!("{}/{}", receipt.model, receipt.version);
        let message = format!("{} holds {there}, not {reference}", options.to.display());
        return Err(domain::Problem::conflict(message).at("to").into());
    }
    let answer = json!({
        "name": receipt.model, "version": receipt.version, "digest": receipt.digest, "path": options.to,
    });
    let (count, what) = (receipt.files.len(), format!("{}/{}", receipt.model, receipt.version));
    Ok(output
        .done(&answer, &format!("{what}: {count} files in {} are whole", options.to.display())))
}
