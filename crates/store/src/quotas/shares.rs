//! Whose share each account takes of what is busy.

use domain::{SubjectId, quota::Tenant};

use crate::{Database, Error, Result};

/// The tenant of each account that is not one by itself at the weight of 1. An account that a weight was
/// set for is a tenant by itself; else its home team is.
///
/// # Errors
/// The database is away.
pub async fn tenants(database: &Database) -> Result<Vec<(SubjectId, Tenant)>> {
    let rows = sqlx::query!(
        r#"WITH shares AS (
               SELECT a.id AS account, CASE WHEN own.value IS NULL THEN coalesce(a.home_team, a.id) ELSE a.id END AS tenant
               FROM accounts a LEFT JOIN quotas own ON own.subject_id = a.id AND own.key = 'weight')
           SELECT s.account AS "account!", s.tenant AS "tenant!", coalesce(q.value, 1) AS "weight!"
           FROM shares s LEFT JOIN effective_quotas q ON q.subject_id = s.tenant AND q.key = 'weight'
           WHERE s.tenant <> s.account OR q.value <> 1"#
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let weight = u16::try_from(row.weight)
                .map_err(|_| Error::inconsistent("quotas", "value", row.tenant))?;
            Ok((SubjectId(row.account), Tenant { id: SubjectId(row.tenant), weight }))
        })
        .collect()
}
