//! What gateways must hold and answer: read whole, as often as anything changes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use domain::{
    Batching, EndpointId, EndpointRef, FilePath, ModelName, NodeId, Runtime, Signature, SubjectId,
    VersionId, WeightedVersion,
    access::Target,
    capture,
    python::{Lock, Native, PythonModel},
    serving::{Isolation, Settings},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Database, Error, Result, access, environments, versions};

/// An endpoint as a gateway sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its id: another endpoint of the same name is another endpoint.
    pub id: EndpointId,
    /// What callers name.
    pub endpoint: EndpointRef,
    /// The team that owns it.
    pub team: Option<SubjectId>,
    /// The live release; absent before the first one completes.
    pub live: Option<Live>,
    /// Whether this node is to hold the live release, should there be one.
    pub is_here: bool,
    /// Who else holds the live release, or the first one that is on its way; absent where all nodes are to.
    pub elsewhere: Option<Elsewhere>,
    /// The versions that aliases of the endpoint's model point to, by their names.
    pub aliases: Arc<BTreeMap<String, i32>>,
    /// The versions of the release that is on its way, to be loaded beside; empty where none is, or other
    /// nodes are to hold it.
    pub target: Vec<VersionId>,
    /// What is captured of its predictions.
    pub capture: capture::Settings,
}

/// A release that some nodes hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Elsewhere {
    /// Its versions' numbers.
    pub versions: Vec<i32>,
    /// The other nodes that are alive and ready for it.
    pub holders: Vec<Holder>,
}

/// A node that others reach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Holder {
    /// Its id.
    pub id: NodeId,
    /// Where it is reached by HTTP.
    pub url: String,
    /// Where it is reached by gRPC.
    pub grpc: String,
}

/// A release that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Its number.
    pub release: i32,
    /// Its versions, the one with the largest share first.
    pub versions: Vec<WeightedVersion>,
    /// How it serves.
    pub serving: Settings,
}

impl Route {
    /// What decisions look at.
    #[must_use]
    pub fn access_target(&self) -> Target {
        access::of_endpoint(self.id, &self.endpoint, self.team)
    }
}

/// All endpoints as that node is to serve them, those without a live release too.
///
/// # Errors
/// The database is away.
pub async fn routes(database: &Database, node: NodeId) -> Result<Vec<Route>> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.name, e.env, e.team_id, e.live_release,
                  (SELECT serving FROM releases WHERE endpoint_id = e.id AND number = e.live_release) AS serving,
                  is_placed(e.id, e.live_release, $1) AS "is_here!",
                  (SELECT coalesce(jsonb_object_agg(a.alias, v.number), '{}')
                   FROM aliases a JOIN model_versions v ON v.id = a.version_id
                   WHERE a.model_id = e.model_id) AS "aliases!",
                  (SELECT coalesce(jsonb_agg(jsonb_build_object('version', version_id, 'weight', weight)
                                             ORDER BY weight DESC, version_id), '[]')
                   FROM release_versions WHERE endpoint_id = e.id AND number = e.live_release) AS "live!",
                  ARRAY(SELECT version_id FROM release_versions
                        WHERE endpoint_id = e.id AND number = e.target_release
                          AND e.target_release IS DISTINCT FROM e.live_release
                          AND is_placed(e.id, e.target_release, $1)) AS "target!",
                  (SELECT to_jsonb(c) FROM endpoint_capture c WHERE c.endpoint_id = e.id) AS capture
           FROM endpoints e"#,
        node.0
    )
    .fetch_all(database.pool())
    .await?;
    let routes = rows
        .into_iter()
        .map(|row| {
            let id = || format!("{}.{}", row.name, row.env);
            let wrong = |_| Error::inconsistent("endpoints", "name", id());
            let versions = serde_json::from_value(row.live)
                .map_err(|_| Error::inconsistent("release_versions", "version_id", id()))?;
            let serving = row.serving.map(serde_json::from_value).transpose();
            let serving = serving.map_err(|_| Error::inconsistent("releases", "serving", id()))?;
            let live = row.live_release.map(|release| Live {
                release,
                versions,
                serving: serving.unwrap_or_default(),
            });
            let aliases = serde_json::from_value(row.aliases)
                .map_err(|_| Error::inconsistent("aliases", "alias", id()))?;
            Ok(Route {
                id: EndpointId(row.id),
                endpoint: EndpointRef {
                    name: row.name.parse().map_err(wrong)?,
                    env: row.env.parse().map_err(wrong)?,
                },
                team: row.team_id.map(SubjectId),
                live,
                is_here: row.is_here,
                elsewhere: None,
                aliases: Arc::new(aliases),
                target: row.target.into_iter().map(VersionId).collect(),
                capture: crate::capture::settings(row.capture, id)?,
            })
        })
        .collect::<Result<Vec<Route>>>()?;
    with_holders(database, node, routes).await
}

/// The routes, with who else holds those that not all nodes are to.
async fn with_holders(
    database: &Database,
    node: NodeId,
    mut routes: Vec<Route>,
) -> Result<Vec<Route>> {
    let rows = sqlx::query!(
        r#"SELECT e.id, ARRAY(SELECT v.number FROM release_versions rv JOIN model_versions v ON v.id = rv.version_id
                              WHERE rv.endpoint_id = r.endpoint_id AND rv.number = r.number
                              ORDER BY rv.weight DESC, v.id) AS "versions!",
                  (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'url', n.url, 'grpc', n.grpc) ORDER BY n.id), '[]')
                   FROM placements p JOIN nodes n ON n.id = p.node_id
                   WHERE p.endpoint_id = r.endpoint_id AND p.number = r.number
                     AND n.id <> $1 AND n.leased_until > $2 AND n.url <> ''
                     AND (jsonb_typeof(r.serving->'on_demand') = 'object' AND e.live_release IS NOT NULL
                          OR NOT EXISTS (SELECT FROM release_versions rv
                                         LEFT JOIN replicas h ON h.version_id = rv.version_id AND h.node_id = n.id
                                         WHERE rv.endpoint_id = r.endpoint_id AND rv.number = r.number
                                           AND h.state IS DISTINCT FROM 'ready'))) AS "holders!"
           FROM endpoints e JOIN releases r
             ON r.endpoint_id = e.id AND r.number = coalesce(e.live_release, e.target_release)
           WHERE r.serving->>'nodes' IS NOT NULL"#,
        node.0,
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    let mut elsewhere = HashMap::with_capacity(rows.len());
    for row in rows {
        let holders = serde_json::from_value(row.holders)
            .map_err(|_| Error::inconsistent("placements", "node_id", row.id))?;
        elsewhere.insert(EndpointId(row.id), Elsewhere { versions: row.versions, holders });
    }
    for route in &mut routes {
        route.elsewhere = elsewhere.remove(&route.id);
    }
    Ok(routes)
}

/// How requests share runs, of those of these versions for which that was set.
///
/// # Errors
/// The database is away.
pub async fn batching(
    database: &Database,
    ids: &[VersionId],
) -> Result<Vec<(VersionId, Batching)>> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "SELECT id, max_batch, batch_wait_micros FROM model_versions
         WHERE id = ANY($1) AND (max_batch IS NOT NULL OR batch_wait_micros > 0)",
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let batching = versions::batching(row.id, row.max_batch, row.batch_wait_micros)?;
            Ok((VersionId(row.id), batching))
        })
        .collect()
}

/// Where these versions run, of those for which they say it themselves or their teams do.
///
/// # Errors
/// The database is away.
pub async fn isolations(
    database: &Database,
    versions: &[VersionId],
) -> Result<Vec<(VersionId, Isolation)>> {
    let ids: Vec<_> = versions.iter().map(|version| version.0).collect();
    let rows = sqlx::query!(
        r#"SELECT v.id, coalesce(v.isolation, s.isolation) AS isolation
           FROM model_versions v JOIN models m ON m.id = v.model_id LEFT JOIN subjects s ON s.id = m.team_id
           WHERE v.id = ANY($1)"#,
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    let set = rows.into_iter().map(|row| {
        let isolation = versions::isolation("model_versions", row.id, row.isolation.as_deref())?;
        Ok(isolation.map(|isolation| (VersionId(row.id), isolation)))
    });
    set.filter_map(Result::transpose).collect()
}

/// A version with all that a node needs to load it.
#[derive(Debug, Clone)]
pub struct Loadable {
    /// Its id.
    pub id: VersionId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number.
    pub number: i32,
    /// The file that the runtime loads.
    pub model_file: FilePath,
    /// What goes in and comes out.
    pub signature: Signature,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// Whether rows of several requests may be run together.
    pub batchable: bool,
    /// What runs it.
    pub runtime: Runtime,
    /// How a Python process loads it; absent where another runtime does.
    pub python: Option<PythonModel>,
    /// Whether its trees are run without Python.
    pub native: Option<Native>,
    /// The packages that it was tried with.
    pub environment: Option<Lock>,
    /// Whether callers could end the process that it runs in: see [`OnnxFacts::divides_whole_numbers`].
    pub is_perilous: bool,
}

/// A version that has something to load; its files are in [`crate::versions::manifest`].
///
/// # Errors
/// The database is away.
pub async fn loadable(database: &Database, id: VersionId) -> Result<Option<Loadable>> {
    let Some(version) = crate::versions::get_by_id(database, id).await? else { return Ok(None) };
    let (Some(model_file), Some(signature)) = (version.model_file, version.signature) else {
        return Ok(None);
    };
    let python = version.packaging.python.filter(|_| version.runtime == Runtime::Python);
    let environment = match &python {
        Some(_) => environments::get(database, id).await?,
        None => None,
    };
    let model_file =
        model_file.parse().map_err(|_| Error::inconsistent("model_versions", "model_file", id))?;
    Ok(Some(Loadable {
        id,
        model: version.model,
        number: version.number,
        model_file,
        signature,
        input_example: version.input_example,
        batchable: version.batchable,
        runtime: version.runtime,
        python,
        native: version.native,
        environment,
        is_perilous: version.facts.is_some_and(|facts| facts.divides_whole_numbers()),
    }))
}
