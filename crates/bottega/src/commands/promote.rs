//! `bottega promote`: moves an alias.

use clap::Args;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, version_reference};
use crate::output::Output;

#[derive(Args)]
pub struct Options {
    /// The version
    #[arg(value_name = "NAME/VERSION")]
    version: String,
    /// The alias that shall point to it
    #[arg(long, value_name = "ALIAS")]
    to: String,
    /// Why; kept in the history
    #[arg(long)]
    reason: Option<String>,
    /// Move it although promotion rules stand against it
    #[arg(long, requires = "reason")]
    r#override: bool,
}

pub async fn run(server: &Connection, options: Options, output: &Output) -> Done {
    let (model, number) = version_reference(&options.version)?;
    let mut body = json!({"version": number});
    if let Some(reason) = &options.reason {
        body["reason"] = json!(reason);
    }
    let mut to = path(&["models", &model, "aliases", &options.to]);
    if options.r#override {
        to.push_str("?override=true");
    }
    let moved: Value = server.put(&to, &body).await?;
    let mut answer = json!({
        "name": model, "version": moved["version"], "alias": options.to, "revision": moved["revision"],
    });
    answer["followers"] = moved["followers"].clone();
    let mut sentence =
        format!("{model}@{} is {model}/{number} (revision {})", options.to, moved["revision"]);
    for follower in moved["followers"].as_array().into_iter().flatten() {
        let endpoint = follower["endpoint"].as_str().unwrap_or_default();
        match follower["blocked"].as_str() {
            Some(why) => {
                sentence.push_str(&format!("\n  endpoint {endpoint} stays where it is: {why}"))
            }
            None => sentence.push_str(&format!(
                "\n  endpoint {endpoint} follows: release {}",
                follower["release"]
            )),
        }
    }
    Ok(output.done(&answer, &sentence))
}
