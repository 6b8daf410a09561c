//! How the things that lineage joins are shown.

use std::collections::HashMap;

use domain::{
    Digest, EndpointRef, ModelId, Resource, VersionId,
    lineage::{Key, Kind, Node},
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use uuid::Uuid;

use crate::{Database, Error, Result, audit};

/// The nodes of these keys, in this order. What is deleted, or never was here, is not present.
///
/// # Errors
/// The database is away.
pub async fn nodes(database: &Database, keys: &[Key]) -> Result<Vec<(Key, Node)>> {
    let (asked, mut found) = (Asked::of(keys), HashMap::new());
    datasets(database, &asked.digests, &mut found).await?;
    runs(database, &asked.runs, &mut found).await?;
    logged_models(database, &asked.logged_models, &mut found).await?;
    versions(database, &asked.versions, &mut found).await?;
    pointers(database, &asked.models, keys, &mut found).await?;
    endpoints(database, &asked.endpoints, &mut found).await?;
    Ok(keys
        .iter()
        .map(|key| {
            let node = found.remove(key).unwrap_or_else(|| absent(key));
            (key.clone(), node)
        })
        .collect())
}

type Found = HashMap<Key, Node>;

/// The keys by kind, as their tables know them.
#[derive(Default)]
struct Asked {
    digests: Vec<String>,
    runs: Vec<Uuid>,
    logged_models: Vec<Uuid>,
    versions: Vec<Uuid>,
    models: Vec<Uuid>,
    endpoints: Vec<Uuid>,
}

impl Asked {
    fn of(keys: &[Key]) -> Self {
        let mut asked = Self::default();
        for key in keys {
            match key {
                Key::Dataset(_, digest) => asked.digests.push(digest.clone()),
                Key::Run(run) => asked.runs.extend(run.parse::<RunId>().map(|run| run.0)),
                Key::LoggedModel(id) => asked.logged_models.push(id.0),
                Key::Version(id) => asked.versions.push(id.0),
                Key::Alias(model, _) | Key::Stage(model, _) => asked.models.push(model.0),
                Key::Endpoint(id) => asked.endpoints.push(id.0),
            }
        }
        asked
    }
}

/// A node that is known by its key alone.
fn absent(key: &Key) -> Node {
    let (kind, key) = match key {
        Key::Dataset(name, digest) => (Kind::Dataset, dataset_key(name.as_deref(), digest)),
        Key::Run(run) => (Kind::Run, run.clone()),
        Key::LoggedModel(id) => (Kind::LoggedModel, id.to_string()),
        Key::Version(id) => (Kind::Version, id.to_string()),
        Key::Alias(model, alias) => (Kind::Alias, format!("{model}@{alias}")),
        Key::Stage(model, stage) => (Kind::Stage, format!("{model}/{stage}")),
        Key::Endpoint(id) => (Kind::Endpoint, id.to_string()),
    };
    Node { present: false, ..present(kind, key.clone(), key) }
}

fn present(kind: Kind, key: String, name: String) -> Node {
    Node {
        kind,
        key,
        name,
        present: true,
        experiment: None,
        status: None,
        digest: None,
        homes: Vec::new(),
    }
}

fn dataset_key(name: Option<&str>, digest: &str) -> String {
    format!("{}@{digest}", name.unwrap_or_default())
}

fn home(experiment: i64) -> Resource {
    Resource::Experiment(ExperimentId(experiment).to_string())
}

async fn datasets(database: &Database, digests: &[String], found: &mut Found) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"SELECT name, digest, array_agg(experiment_id ORDER BY experiment_id) AS "experiments!"
           FROM datasets WHERE digest = ANY($1) GROUP BY name, digest"#,
        digests
    )
    .fetch_all(database.pool())
    .await?;
    for row in rows {
        let key = dataset_key(Some(&row.name), &row.digest);
        let node = Node {
            digest: Some(row.digest.clone()),
            homes: row.experiments.into_iter().map(home).collect(),
            ..present(Kind::Dataset, key, row.name.clone())
        };
        found.insert(Key::Dataset(Some(row.name), row.digest), node);
    }
    Ok(())
}

async fn runs(database: &Database, ids: &[Uuid], found: &mut Found) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "SELECT id, name, status, experiment_id, deleted_at IS NULL AS \"is_there!\" FROM runs WHERE id = ANY($1)",
        ids
    )
    .fetch_all(database.pool())
    .await?;
    for row in rows {
        let key = RunId(row.id).to_string();
        let node = Node {
            present: row.is_there,
            experiment: Some(ExperimentId(row.experiment_id)),
            status: Some(row.status),
            homes: vec![home(row.experiment_id)],
            ..present(Kind::Run, key.clone(), row.name)
        };
        found.insert(Key::Run(key), node);
    }
    Ok(())
}

async fn logged_models(database: &Database, ids: &[Uuid], found: &mut Found) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "SELECT id, name, status, experiment_id, deleted_at IS NULL AS \"is_there!\"
         FROM logged_models WHERE id = ANY($1)",
        ids
    )
    .fetch_all(database.pool())
    .await?;
    for row in rows {
        let id = LoggedModelId(row.id);
        let node = Node {
            present: row.is_there,
            experiment: Some(ExperimentId(row.experiment_id)),
            status: Some(row.status),
            homes: vec![home(row.experiment_id)],
            ..present(Kind::LoggedModel, id.to_string(), row.name)
        };
        found.insert(Key::LoggedModel(id), node);
    }
    Ok(())
}

async fn versions(database: &Database, ids: &[Uuid], found: &mut Found) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "SELECT v.id, v.number, v.status, v.digest, m.name,
                v.deleted_at IS NULL AND m.deleted_at IS NULL AS \"is_there!\"
         FROM model_versions v JOIN models m ON m.id = v.model_id WHERE v.id = ANY($1)",
        ids
    )
    .fetch_all(database.pool())
    .await?;
    for row in rows {
        let key = format!("{}/{}", row.name, row.number);
        let digest: Digest = audit::digest("model_versions", row.id, &row.digest)?;
        let node = Node {
            present: row.is_there,
            status: Some(row.status),
            digest: Some(digest.to_string()),
            homes: vec![Resource::Model(row.name)],
            ..present(Kind::Version, key.clone(), key)
        };
        found.insert(Key::Version(VersionId(row.id)), node);
    }
    Ok(())
}

/// Aliases and stages: they are there as long as their model is.
async fn pointers(
    database: &Database,
    ids: &[Uuid],
    keys: &[Key],
    found: &mut Found,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows =
        sqlx::query!("SELECT id, name FROM models WHERE id = ANY($1) AND deleted_at IS NULL", ids)
            .fetch_all(database.pool())
            .await?;
    let models: HashMap<ModelId, String> =
        rows.into_iter().map(|row| (ModelId(row.id), row.name)).collect();
    for key in keys {
        let (kind, model, sign, name) = match key {
            Key::Alias(model, alias) => (Kind::Alias, model, '@', alias.to_string()),
            Key::Stage(model, stage) => (Kind::Stage, model, '/', stage.to_string()),
            Key::Dataset(..)
            | Key::Run(_)
            | Key::LoggedModel(_)
            | Key::Version(_)
            | Key::Endpoint(_) => continue,
        };
        if let Some(model) = models.get(model) {
            let node = Node {
                homes: vec![Resource::Model(model.clone())],
                ..present(kind, format!("{model}{sign}{name}"), name)
            };
            found.insert(key.clone(), node);
        }
    }
    Ok(())
}

async fn endpoints(database: &Database, ids: &[Uuid], found: &mut Found) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!("SELECT id, name, env FROM endpoints WHERE id = ANY($1)", ids)
        .fetch_all(database.pool())
        .await?;
    for row in rows {
        let wrong = |column| move |_| Error::inconsistent("endpoints", column, row.id);
        let endpoint = EndpointRef {
            name: row.name.parse().map_err(wrong("name"))?,
            env: row.env.parse().map_err(wrong("env"))?,
        };
        let wire = endpoint.to_string();
        let node = Node {
            homes: vec![Resource::Endpoint(wire.clone())],
            ..present(Kind::Endpoint, wire.clone(), wire)
        };
        found.insert(Key::Endpoint(domain::EndpointId(row.id)), node);
    }
    Ok(())
}
