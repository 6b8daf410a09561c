//! `bottega versions …`

use clap::Subcommand;
use client::{Connection, path};
use serde_json::{Value, json};

use super::{Done, version_reference};
use crate::output::{Column, Output};

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
    },
    /// Delete a version that nothing needs
    Delete {
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
    ("aliases", "/aliases"),
    ("stage", "/stage"),
    ("description", "/description"),
    ("tags", "/tags"),
    ("lineage", "/lineage"),
    ("inputs", "/signature/inputs"),
    ("outputs", "/signature/outputs"),
    ("flavours", "/flavors"),
    ("loader module", "/loader_module"),
    ("written by MLflow", "/mlmodel/mlflow_version"),
    ("notes", "/notes"),
    ("created by", "/created_by"),
    ("created", "/created_at"),
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
        Verb::Show { version } => {
            let (model, number) = version_reference(&version)?;
            let version: Value = server
                .get(&path(&["models", &model, "versions", &number.to_string()]), &[])
                .await?;
            Ok(output.object(&version, FIELDS))
        }
        Verb::Delete { version } => {
            let (model, number) = version_reference(&version)?;
            server.delete(&path(&["models", &model, "versions", &number.to_string()])).await?;
            let gone = json!({"name": model, "version": number, "deleted": true});
            Ok(output.done(&gone, &format!("version {version} is deleted")))
        }
    }
}
