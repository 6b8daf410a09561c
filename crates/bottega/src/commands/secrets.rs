//! `bottega secrets …`

use clap::Subcommand;
use client::Connection;
use serde_json::{Value, json};

use super::Done;
use crate::output::{Column, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List the secret keys that the server has, and how much is sealed under each
    List,
    /// Seal every secret anew under the current key
    #[command(
        after_help = "To change the key:\n  1. put a new one on the first line of the key file, above the old one:  openssl rand -hex 32\n  2. restart\n  3. bottega secrets rotate\n  4. once `bottega secrets list` shows nothing under the old key, remove its line\n\nWith several processes, give the new key to all of them on the second line first, so that each can open what another has sealed."
    )]
    Rotate,
}

const COLUMNS: &[Column<'_>] =
    &[("key", "/key"), ("current", "/current"), ("given", "/given"), ("sealed", "/sealed")];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let all: Value = server.get("/secrets", &[]).await?;
            let items = all["items"].as_array().cloned().unwrap_or_default();
            Ok(output.list(&items, COLUMNS, "No keys."))
        }
        Verb::Rotate => {
            let report: Value = server.post("/secrets/rotate", &json!({})).await?;
            let count = |field: &str| -> u64 {
                let kinds = report[field].as_object();
                kinds.map_or(0, |kinds| kinds.values().filter_map(Value::as_u64).sum())
            };
            let lost = report["unreadable"].as_array().map_or(0, Vec::len);
            let mut sentence = format!(
                "{} secrets are sealed anew under the key {}, {} were so before",
                count("resealed"),
                report["key"].as_str().unwrap_or_default(),
                count("already"),
            );
            if lost > 0 {
                sentence.push_str(&format!(
                    "; {lost} cannot be read: their key is not given to the server"
                ));
            }
            Ok(output.done(&report, &sentence))
        }
    }
}
