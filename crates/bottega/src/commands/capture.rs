//! `bottega endpoints capture …`: what is captured of an endpoint's predictions.

use clap::Args;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, wire_name};
use crate::output::{Column, Failure, Output};

#[derive(Args)]
#[command(
    after_help = "Example:\n  bottega endpoints capture fraud --rate 0.1 --mask name=drop --mask city=hash --subject customer"
)]
pub struct Options {
    /// The endpoint
    endpoint: String,
    /// Its environment [default: production]
    #[arg(long)]
    env: Option<String>,
    /// Keep the rows of this share of requests, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    rate: Option<f64>,
    /// Whether all rows go into distributions by the minute
    #[arg(long, value_name = "true|false")]
    sketches: Option<bool>,
    /// Write nothing of an input, or a keyed hash of its values; may stand several times, and replaces all masks
    #[arg(long = "mask", value_name = "INPUT=drop|hash")]
    masks: Vec<String>,
    /// Mask nothing
    #[arg(long, conflicts_with = "masks")]
    no_masks: bool,
    /// The input whose value says whom a row is about; empty for none
    #[arg(long, value_name = "INPUT")]
    subject: Option<String>,
    /// How long kept rows and distributions stay
    #[arg(long, value_name = "DURATION")]
    retention: Option<String>,
    /// Refuse where it has another revision than this
    #[arg(long, value_name = "N")]
    if_revision: Option<i32>,
}

const FIELDS: &[Column<'_>] = &[
    ("endpoint", "/endpoint"),
    ("revision", "/revision"),
    ("rate", "/rate"),
    ("sketches", "/sketches"),
    ("masks", "/masks"),
    ("subject", "/subject"),
    ("retention", "/retention"),
    ("by", "/set_by"),
    ("changed", "/set_at"),
];

/// Shows what is captured, or changes it where anything is given.
pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let Options { endpoint, env, rate, sketches, masks, no_masks, subject, retention, if_revision } =
        options;
    let wire = wire_name(&endpoint, env.as_deref())?;
    let address = path(&["endpoints", &wire, "capture"]);
    let masks = masks.iter().map(|mask| read(mask)).collect::<Result<Vec<_>, _>>()?;
    let masks = (no_masks || !masks.is_empty()).then_some(masks);
    let is_change = rate.is_some()
        || sketches.is_some()
        || masks.is_some()
        || subject.is_some()
        || retention.is_some();
    if !is_change && if_revision.is_some() {
        let message =
            "nothing to change: give --rate, --sketches, --mask, --subject or --retention";
        return Err(Failure::usage("if-revision", message));
    }
    let capture: Value = if is_change {
        let body = json!({
            "rate": rate, "sketches": sketches, "masks": masks, "subject": subject,
            "retention": retention, "if_revision": if_revision,
        });
        server.put(&address, &body).await?
    } else {
        server.get(&address, &[]).await?
    };
    Ok(output.object(&capture, FIELDS))
}

/// A share, from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn read(mask: &str) -> Result<Value, Failure> {
    match mask.rsplit_once('=') {
        Some((input, how)) => Ok(json!({"input": input, "how": how})),
        None => {
            let message = format!("`{mask}`: expected INPUT=drop or INPUT=hash");
            Err(Failure::usage("mask", message))
        }
    }
}
