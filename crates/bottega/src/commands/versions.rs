//! `bottega versions …`

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use client::{Connection, path};
use domain::Problem;
use serde_json::{Value, json};

use super::{
    Done,
    graph::{self, Dependents},
    push, version_reference,
};
use crate::output::{Column, Failure, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// List the versions of a model, newest first
    List {
        /// The model
        name: String,
    },
    /// Show one version
    Show {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// With the stage and the aliases that it had at this instant, also if it is deleted by now
        #[arg(long, value_name = "2026-11-17T14:00:00Z")]
        as_of: Option<String>,
    },
    /// Set how requests for a version share runs, or where it runs; it is taken over while it serves
    Set {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// Rows that share a run at most, or auto for as many as pay
        #[arg(long, value_name = "ROWS|auto", required_unless_present_any = ["batch_wait", "isolation"])]
        max_batch: Option<String>,
        /// How long the first of a run waits for company, like 2ms; 0ms waits for nobody
        #[arg(long, value_name = "DURATION")]
        batch_wait: Option<String>,
        /// Where it runs: in the node's process, in one of its own, confined, or as the node says
        #[arg(long, value_name = "in-process|process|default", value_parser = ["in-process", "process", "default"])]
        isolation: Option<String>,
    },
    /// Let a version's pickles and code run although the setting `pickle` is `safe-only`: for administrators
    Trust {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// Why; it is told with the version, and recorded
        #[arg(long)]
        reason: String,
        /// How long to wait for its trial, if it was not tried so far
        #[arg(long, default_value = "120s", value_parser = domain::parse_duration)]
        timeout: Duration,
    },
    /// Take that back; what serves it goes on
    Distrust {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
    },
    /// Try a version again that is not servable, and wait for what comes of it
    Try {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// How long to wait
        #[arg(long, default_value = "120s", value_parser = domain::parse_duration)]
        timeout: Duration,
    },
    /// Show where a version comes from and what serves it
    Lineage {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// How many steps in each direction
        #[arg(long, value_name = "STEPS", default_value_t = 10)]
        depth: u32,
    },
    /// List what would break, or lose its origin, if a version were deleted
    Dependents {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
    },
    /// Delete a version that nothing needs, until it is restored or its retention time is over
    Delete {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
        /// Do not ask, whatever loses its origin
        #[arg(long)]
        yes: bool,
    },
    /// List the versions of a model that are deleted and can be restored
    Deleted {
        /// The model
        name: String,
    },
    /// Restore a deleted version
    Restore {
        /// The version
        #[arg(value_name = "NAME/VERSION")]
        version: String,
    },
}

pub const FIELDS: &[Column<'_>] = &[
    ("model", "/model"),
    ("version", "/version"),
    ("digest", "/digest"),
    ("size (bytes)", "/size"),
    ("status", "/status"),
    ("servable", "/servable"),
    ("runtime", "/runtime"),
    ("reason", "/reason"),
    ("pickles", "/findings/verdict"),
    ("pickled files", "/findings/files"),
    ("trusted by", "/trust/by"),
    ("trusted, why", "/trust/reason"),
    ("aliases", "/aliases"),
    ("stage", "/stage"),
    ("as of", "/as_of"),
    ("description", "/description"),
    ("tags", "/tags"),
    ("lineage", "/lineage"),
    ("inputs", "/signature/inputs"),
    ("outputs", "/signature/outputs"),
    ("max batch", "/batching/max_batch"),
    ("batch wait", "/batching/wait"),
    ("isolation", "/isolation"),
    ("engine", "/python/engine"),
    ("engine, why", "/python/engine_reason"),
    ("flavours", "/flavors"),
    ("loader module", "/loader_module"),
    ("written by MLflow", "/mlmodel/mlflow_version"),
    ("notes", "/notes"),
    ("created by", "/created_by"),
    ("created", "/created_at"),
];

const DELETED: &[Column<'_>] = &[
    ("version", "/version"),
    ("deleted", "/deleted_at"),
    ("size (bytes)", "/size"),
    ("digest", "/digest"),
];

const COLUMNS: &[Column<'_>] = &[
    ("version", "/version"),
    ("status", "/status"),
    ("servable", "/servable"),
    ("aliases", "/aliases"),
    ("stage", "/stage"),
    ("created", "/created_at"),
    ("by", "/created_by"),
    ("reason", "/reason"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List { name } => {
            let versions = server.list(&path(&["models", &name, "versions"]), &[]).await?;
            Ok(output.list(
                &versions,
                COLUMNS,
                "No versions yet. Push one:  bottega push model.onnx --name NAME",
            ))
        }
        Verb::Show { version, as_of } => {
            let (model, number) = version_reference(&version)?;
            let url = path(&["models", &model, "versions", &number.to_string()]);
            let version: Value = server.get(&url, &super::moment(as_of)).await?;
            Ok(output.object(&version, FIELDS))
        }
        Verb::Set { version, max_batch, batch_wait, isolation } => {
            let path = below(&version, &[])?;
            let mut edit = json!({});
            if max_batch.is_some() || batch_wait.is_some() {
                let present: Value = server.get(&path, &[]).await?;
                edit["batching"] = batching(&present["batching"], max_batch, batch_wait)?;
            }
            if let Some(isolation) = isolation {
                edit["isolation"] = json!((isolation != "default").then_some(isolation));
            }
            let version: Value = server.patch(&path, &edit).await?;
            Ok(output.object(&version, FIELDS))
        }
        Verb::Trust { version, reason, timeout } => {
            let path = below(&version, &["trust"])?;
            let version: Value = server.put(&path, &json!({"reason": reason})).await?;
            push::tried(server, version, timeout, output).await
        }
        Verb::Distrust { version } => {
            server.delete(&below(&version, &["trust"])?).await?;
            let gone = json!({"version": version, "trusted": false});
            Ok(output.done(&gone, &format!("version {version} is trusted by nobody")))
        }
        Verb::Try { version, timeout } => {
            let path = below(&version, &["trial"])?;
            let version: Value = server.post(&path, &json!({})).await?;
            push::tried(server, version, timeout, output).await
        }
        Verb::Lineage { version, depth } => {
            let query = [("depth", depth.to_string())];
            let graph: Value = server.get(&below(&version, &["lineage"])?, &query).await?;
            graph::show(&graph, output);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Dependents { version } => {
            let found = Dependents::get(server, &below(&version, &[])?).await?;
            Ok(found.show(output))
        }
        Verb::Delete { version, yes } => {
            let (model, number) = version_reference(&version)?;
            let path = below(&version, &[])?;
            let dependents = Dependents::get(server, &path).await?;
            if !yes {
                dependents.confirm(&format!("version {version}"), output)?;
            }
            server.delete(&path).await?;
            let gone = json!({
                "name": model, "version": number, "deleted": true, "dependents": dependents.items(),
            });
            Ok(output.done(&gone, &format!("version {version} is deleted")))
        }
        Verb::Deleted { name } => {
            let deleted = server.list(&path(&["models", &name, "deleted-versions"]), &[]).await?;
            Ok(output.list(&deleted, DELETED, "No version of this model can be restored."))
        }
        Verb::Restore { version } => {
            let nothing = json!({});
            let restored: Value = server.post(&below(&version, &["restore"])?, &nothing).await?;
            Ok(output.done(&restored, &format!("version {version} is restored")))
        }
    }
}

/// How requests share runs now, but for what is given.
fn batching(
    present: &Value,
    max_batch: Option<String>,
    wait: Option<String>,
) -> Result<Value, Failure> {
    let max_batch = match max_batch.as_deref() {
        None => present["max_batch"].clone(),
        Some("auto") => Value::Null,
        Some(rows) => rows.parse::<u64>().map(Value::from).map_err(|_| {
            Problem::invalid("max_batch", format!("`{rows}` is no number of rows"))
                .hint("give a number like 32, or auto for as many as pay")
        })?,
    };
    let wait = wait.map_or_else(|| present["wait"].clone(), Value::from);
    Ok(json!({"max_batch": max_batch, "wait": wait}))
}

/// Where something of a version is.
fn below(version: &str, rest: &[&str]) -> Result<String, Failure> {
    let (model, number) = version_reference(version)?;
    let number = number.to_string();
    let segments = [&["models", &model, "versions", &number], rest].concat();
    Ok(path(&segments))
}
