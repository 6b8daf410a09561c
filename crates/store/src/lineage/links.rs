//! One step from some nodes, up or down.

use std::collections::HashSet;

use domain::{
    EndpointId, ModelId, VersionId,
    lineage::{Direction, Key, Link, Relation},
    tracking::{LoggedModelId, RunId},
};
use uuid::Uuid;

use crate::{Database, Error, Result};

struct Row {
    from_kind: String,
    from_id: Option<Uuid>,
    from_text: Option<String>,
    from_name: Option<String>,
    to_kind: String,
    to_id: Option<Uuid>,
    to_text: Option<String>,
    to_name: Option<String>,
    relation: String,
    context: Option<String>,
    release: Option<i32>,
}

/// `select_links!("WHERE …", arguments)`: every kind of step, each once. A node is known by an id or by
/// a text, `by` says which; a name tells those apart that share one. What is deleted leads nowhere.
macro_rules! select_links {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT from_kind AS "from_kind!", from_id, from_text, from_name,
                      to_kind AS "to_kind!", to_id, to_text, to_name, relation AS "relation!", context, release
               FROM (
                 SELECT 'dataset' AS from_kind, 'text' AS from_by, NULL::uuid AS from_id, d.digest AS from_text,
                        d.name AS from_name, 'run' AS to_kind, 'id' AS to_by, rd.run_id AS to_id, NULL::text AS to_text,
                        NULL::text AS to_name, 'input' AS relation, rd.tags->>'mlflow.data.context' AS context,
                        NULL::integer AS release
                 FROM run_datasets rd JOIN datasets d ON d.id = rd.dataset_id
                 UNION ALL
                 SELECT 'dataset', 'text', NULL, v.dataset_digest, d.name, 'version', 'id', v.id, NULL, NULL,
                        'trained_on', NULL, NULL
                 FROM model_versions v
                 LEFT JOIN LATERAL (SELECT DISTINCT name FROM datasets WHERE digest = v.dataset_digest) d ON true
                 WHERE v.dataset_digest IS NOT NULL AND v.deleted_at IS NULL
                 UNION ALL
                 SELECT 'run', 'id', m.source_run_id, NULL, NULL, 'logged_model', 'id', m.id, NULL, NULL,
                        'produced', NULL, NULL
                 FROM logged_models m WHERE m.source_run_id IS NOT NULL
                 UNION ALL
                 SELECT 'run', 'id', o.run_id, NULL, NULL, 'logged_model', 'id', o.model_id, NULL, NULL,
                        'produced', NULL, NULL
                 FROM run_models o WHERE o.direction = 'output'
                 UNION ALL
                 SELECT 'logged_model', 'id', i.model_id, NULL, NULL, 'run', 'id', i.run_id, NULL, NULL,
                        'loaded', NULL, NULL
                 FROM run_models i WHERE i.direction = 'input'
                 UNION ALL
                 SELECT 'run', 'text', NULL, v.run_id, NULL, 'version', 'id', v.id, NULL, NULL, 'produced', NULL, NULL
                 FROM model_versions v WHERE v.run_id IS NOT NULL AND v.deleted_at IS NULL
                 UNION ALL
                 SELECT 'logged_model', 'id', v.logged_model_id, NULL, NULL, 'version', 'id', v.id, NULL, NULL,
                        'registered', NULL, NULL
                 FROM model_versions v WHERE v.logged_model_id IS NOT NULL AND v.deleted_at IS NULL
                 UNION ALL
                 -- Said twice, so that either side finds the other by an index.
                 SELECT 'version', 'id', s.id, NULL, NULL, 'version', 'id', v.id, NULL, NULL, 'copied', NULL, NULL
                 FROM model_versions v, models m, model_versions s
                 WHERE m.deleted_at IS NULL AND s.model_id = m.id AND s.deleted_at IS NULL AND v.deleted_at IS NULL
                   AND v.source = 'models:/' || m.name || '/' || s.number
                   AND m.name = substring(v.source FROM '^models:/(.+)/[0-9]+$')
                 UNION ALL
                 SELECT 'version', 'id', a.version_id, NULL, NULL, 'alias', 'id', a.model_id, NULL, a.alias,
                        'named', NULL, NULL
                 FROM aliases a WHERE a.version_id IS NOT NULL
                 UNION ALL
                 SELECT 'version', 'id', v.id, NULL, NULL, 'stage', 'id', v.model_id, NULL, v.stage,
                        'staged', NULL, NULL
                 FROM model_versions v WHERE v.stage <> 'None' AND v.deleted_at IS NULL
                 UNION ALL
                 SELECT 'alias', 'id', e.model_id, NULL, e.alias, 'endpoint', 'id', e.id, NULL, NULL,
                        'followed', NULL, NULL
                 FROM endpoints e WHERE e.alias IS NOT NULL
                 UNION ALL
                 SELECT 'stage', 'id', e.model_id, NULL, e.stage, 'endpoint', 'id', e.id, NULL, NULL,
                        'followed', NULL, NULL
                 FROM endpoints e WHERE e.stage IS NOT NULL
                 UNION ALL
                 SELECT 'version', 'id', e.pinned_version, NULL, NULL, 'endpoint', 'id', e.id, NULL, NULL,
                        'pinned', NULL, NULL
                 FROM endpoints e WHERE e.pinned_version IS NOT NULL
                 UNION ALL
                 SELECT 'version', 'id', r.version_id, NULL, NULL, 'endpoint', 'id', e.id, NULL, NULL,
                        CASE r.number WHEN e.live_release THEN 'live' ELSE 'next' END, NULL, r.number
                 FROM release_versions r JOIN endpoints e ON e.id = r.endpoint_id
                 WHERE r.number IN (e.live_release, e.target_release)
               ) AS steps "# + $rest
            $(, $argument)*
        )
    };
}

/// The steps from these nodes to where they come from, or to what they lead to; at most `limit`.
///
/// # Errors
/// The database is away.
pub async fn links(
    database: &Database,
    direction: Direction,
    nodes: &[Key],
    limit: i64,
) -> Result<Vec<Link>> {
    let mut ids = Vec::new();
    let mut texts = Vec::new();
    for node in nodes {
        match node {
            Key::Dataset(_, digest) => texts.push(digest.clone()),
            Key::Run(run) => {
                // Tables of ours know it by its number, versions by what their authors wrote.
                ids.extend(run.parse::<RunId>().map(|run| run.0));
                texts.push(run.clone());
            }
            Key::LoggedModel(id) => ids.push(id.0),
            Key::Version(id) => ids.push(id.0),
            Key::Alias(model, _) | Key::Stage(model, _) => ids.push(model.0),
            Key::Endpoint(id) => ids.push(id.0),
        }
    }
    let rows = match direction {
        Direction::Down => {
            select_links!(
                "WHERE (from_by = 'id' AND from_id = ANY($1)) OR (from_by = 'text' AND from_text = ANY($2))
                 LIMIT $3",
                &ids,
                &texts,
                limit
            )
            .fetch_all(database.pool())
            .await?
        }
        Direction::Up => {
            select_links!(
                "WHERE (to_by = 'id' AND to_id = ANY($1)) OR (to_by = 'text' AND to_text = ANY($2))
                 LIMIT $3",
                &ids,
                &texts,
                limit
            )
            .fetch_all(database.pool())
            .await?
        }
    };
    // Ids of models stand for their aliases and stages, digests for datasets of several names.
    let asked: HashSet<&Key> = nodes.iter().collect();
    let mut links = HashSet::new();
    for row in rows {
        let link = link(row)?;
        let start = match direction {
            Direction::Down => &link.from,
            Direction::Up => &link.to,
        };
        if asked.contains(start) {
            links.insert(link);
        }
    }
    Ok(links.into_iter().collect())
}

fn link(row: Row) -> Result<Link> {
    let relation: Relation = row
        .relation
        .parse()
        .map_err(|_| Error::inconsistent("lineage", "relation", &row.relation))?;
    Ok(Link {
        from: key(&row.from_kind, row.from_id, row.from_text, row.from_name)?,
        to: key(&row.to_kind, row.to_id, row.to_text, row.to_name)?,
        relation,
        context: row.context,
        release: row.release,
    })
}

fn key(kind: &str, id: Option<Uuid>, text: Option<String>, name: Option<String>) -> Result<Key> {
    let shown = id.map(|id| id.to_string()).or_else(|| text.clone()).unwrap_or_default();
    let wrong = || Error::inconsistent("lineage", "kind", format!("{kind} {shown}"));
    let label = |name: Option<String>| name.ok_or_else(wrong);
    Ok(match (kind, id, text) {
        ("dataset", None, Some(digest)) => Key::Dataset(name, digest),
        ("run", Some(id), None) => Key::Run(RunId(id).to_string()),
        ("run", None, Some(run)) => Key::Run(run),
        ("logged_model", Some(id), None) => Key::LoggedModel(LoggedModelId(id)),
        ("version", Some(id), None) => Key::Version(VersionId(id)),
        ("alias", Some(id), None) => {
            Key::Alias(ModelId(id), label(name)?.parse().map_err(|_| wrong())?)
        }
        ("stage", Some(id), None) => {
            Key::Stage(ModelId(id), label(name)?.parse().map_err(|_| wrong())?)
        }
        ("endpoint", Some(id), None) => Key::Endpoint(EndpointId(id)),
        _ => return Err(wrong()),
    })
}
