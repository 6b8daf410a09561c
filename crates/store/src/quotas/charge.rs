//! What a change adds, against the limits of whose it is.

use std::collections::BTreeMap;

use domain::{
    SubjectId,
    access::{Subject, SubjectKind},
    quota::{Key, Spent},
};
use uuid::Uuid;

use super::limits::key;
use crate::{Change, Database, Error, Result};

/// Something that a change adds: the limit, and the row.
pub(crate) struct Charge {
    pub(crate) key: Key,
    pub(crate) id: Uuid,
    /// Only for the team that owns it: for who made it, it is nothing new.
    pub(crate) team_only: bool,
}

/// A limit that a change must keep.
struct Due {
    subject: SubjectId,
    name: Subject,
    key: Key,
    limit: i64,
}

/// Refuses a change that adds more than the limits of those allow whose it is: who made it, and the
/// team that owns it. The rows are there already, and are counted with the others.
pub(crate) async fn settle(change: &mut Change, charges: &[Charge]) -> Result<()> {
    let dues = dues(change, charges).await?;
    let mut subjects: Vec<Uuid> = dues.iter().map(|due| due.subject.0).collect();
    subjects.sort_unstable();
    subjects.dedup();
    if subjects.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "SELECT id FROM subjects WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
        &subjects
    )
    .fetch_all(change.connection())
    .await?;
    for subject in subjects {
        let mine = dues.iter().filter(|due| due.subject.0 == subject);
        let keys: Vec<Key> = mine.clone().map(|due| due.key).collect();
        let Some(first) = mine.clone().next() else { continue };
        let used = count(change.connection(), &first.name, first.subject, &keys).await?;
        for due in mine {
            let used = used.get(&due.key.as_str()).copied().unwrap_or_default();
            if used > due.limit {
                // The one that is refused is not there: the others are what is used.
                return Err(Error::Refused(due.spent(used, charges).refusal()));
            }
        }
    }
    Ok(())
}

impl Due {
    fn spent(&self, with_new: i64, charges: &[Charge]) -> Spent {
        let new = charges.iter().filter(|charge| charge.key == self.key).count();
        // Of bytes it is not known here how many of them are new.
        let new = if self.key == Key::ArtifactBytes { 0 } else { new as u64 };
        let used = with_new.unsigned_abs().saturating_sub(new);
        Spent {
            subject: self.name.to_string(),
            quota: self.key,
            limit: self.limit.unsigned_abs(),
            used,
            resets_at: None,
            pace: None,
        }
    }
}

async fn dues(change: &mut Change, charges: &[Charge]) -> Result<Vec<Due>> {
    let (keys, ids): (Vec<String>, Vec<Uuid>) =
        charges.iter().map(|charge| (charge.key.to_string(), charge.id)).unzip();
    let team_only: Vec<bool> = charges.iter().map(|charge| charge.team_only).collect();
    let rows = sqlx::query!(
        r#"SELECT DISTINCT s.id, s.kind, s.name, q.key AS "key!", q.value AS "value!"
           FROM unnest($1::text[], $2::uuid[], $3::bool[]) AS charge (key, id, team_only)
           CROSS JOIN LATERAL (
             SELECT owner, team_id FROM models WHERE charge.key = 'models' AND id = charge.id
             UNION ALL
             SELECT v.created_by, m.team_id FROM model_versions v JOIN models m ON m.id = v.model_id
             WHERE charge.key IN ('versions', 'artifact_bytes') AND v.id = charge.id
             UNION ALL
             SELECT owner, team_id FROM endpoints WHERE charge.key IN ('endpoints', 'replicas') AND id = charge.id
           ) AS made
           CROSS JOIN LATERAL (
             SELECT made.team_id AS id
             UNION
             SELECT id FROM subjects
             WHERE NOT charge.team_only AND kind = split_part(made.owner, ':', 1)
               AND name COLLATE "C" = substr(made.owner, strpos(made.owner, ':') + 1)
           ) AS payer
           JOIN subjects s ON s.id = payer.id
           JOIN effective_quotas q ON q.subject_id = s.id AND q.key = charge.key
           WHERE q.value IS NOT NULL"#,
        &keys,
        &ids,
        &team_only
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = SubjectKind::parse(&row.kind)
                .ok_or_else(|| Error::inconsistent("subjects", "kind", row.id))?;
            Ok(Due {
                subject: SubjectId(row.id),
                name: Subject { kind, name: row.name },
                key: key("quotas", &row.key)?,
                limit: row.value,
            })
        })
        .collect()
}

/// How much of each of the limits on objects a subject uses.
///
/// # Errors
/// The database is away.
pub async fn used(
    database: &Database,
    subject: &Subject,
    id: SubjectId,
    keys: &[Key],
) -> Result<BTreeMap<&'static str, i64>> {
    let mut connection = database.pool().acquire().await?;
    count(&mut connection, subject, id, keys).await
}

/// Only what is asked for is counted.
async fn count(
    connection: &mut sqlx::PgConnection,
    subject: &Subject,
    id: SubjectId,
    keys: &[Key],
) -> Result<BTreeMap<&'static str, i64>> {
    let (owner, team) = match subject.kind {
        SubjectKind::Team => (None, Some(id.0)),
        SubjectKind::User | SubjectKind::Service => (Some(subject.to_string()), None),
        SubjectKind::Group => (None, None),
    };
    let wanted: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let row = sqlx::query!(
        r#"SELECT
             CASE WHEN 'models' = ANY($3::text[]) THEN
               (SELECT count(*) FROM models WHERE owner = $1) + (SELECT count(*) FROM models WHERE team_id = $2)
             END AS models,
             CASE WHEN 'versions' = ANY($3) THEN
               (SELECT count(*) FROM model_versions WHERE created_by = $1)
               + (SELECT count(*) FROM model_versions v JOIN models m ON m.id = v.model_id WHERE m.team_id = $2)
             END AS versions,
             CASE WHEN 'artifact_bytes' = ANY($3) THEN least(9223372036854775807,
               (SELECT coalesce(sum(size), 0) FROM model_versions WHERE created_by = $1)
               + (SELECT coalesce(sum(v.size), 0) FROM model_versions v JOIN models m ON m.id = v.model_id WHERE m.team_id = $2)
             )::bigint END AS artifact_bytes,
             CASE WHEN 'endpoints' = ANY($3) THEN
               (SELECT count(*) FROM endpoints WHERE owner = $1) + (SELECT count(*) FROM endpoints WHERE team_id = $2)
             END AS endpoints,
             CASE WHEN 'replicas' = ANY($3) THEN
               (SELECT coalesce(sum(greatest(1, (SELECT count(*) FROM release_versions r
                                                 WHERE r.endpoint_id = e.id AND r.number = coalesce(e.target_release, e.live_release)))), 0)
                FROM endpoints e WHERE e.owner = $1 OR e.team_id = $2)::bigint
             END AS replicas"#,
        owner,
        team,
        &wanted
    )
    .fetch_one(connection)
    .await?;
    let counts = [
        (Key::Models, row.models),
        (Key::Versions, row.versions),
        (Key::ArtifactBytes, row.artifact_bytes),
        (Key::Endpoints, row.endpoints),
        (Key::Replicas, row.replicas),
    ];
    Ok(counts.into_iter().filter_map(|(key, count)| Some((key.as_str(), count?))).collect())
}
