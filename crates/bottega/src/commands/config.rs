//! `bottega config`: the effective configuration of a server.

use serde_json::{Value, json};

use super::Done;
use crate::{output::Output, serve::Flags, settings::Layers};

pub fn run(flags: &Flags, output: &Output) -> Done {
    let layers = Layers::stack(flags, flags.config.clone())?;
    // What would be refused at a start is refused here.
    layers.settings()?;
    let items: Vec<Value> = layers
        .table()
        .into_iter()
        .map(|(key, value, from)| json!({"key": key, "value": value, "from": from}))
        .collect();
    Ok(output.list(&items, &[("key", "/key"), ("value", "/value"), ("from", "/from")], ""))
}
