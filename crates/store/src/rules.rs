//! Promotion rules, and the values that they ask for.

use domain::{
    Actor, ModelId, RuleId, Timestamp, VersionId, promotion::Rule as Sentence, tracking::RunId,
};

use crate::{Change, Database, Error, Result, models::one};

/// A rule of a model.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// The alias or stage that it guards; absent where it guards all of them.
    pub target: Option<String>,
    /// What it says.
    pub rule: Sentence,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct Row {
    id: uuid::Uuid,
    target: Option<String>,
    rule: String,
    created_by: String,
    created_at: Timestamp,
}

impl TryFrom<Row> for Rule {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |_| Error::inconsistent("promotion_rules", "rule", row.id);
        Ok(Self {
            id: RuleId(row.id),
            target: row.target,
            rule: row.rule.parse().map_err(wrong)?,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

/// Lists a model's rules in the order of their making. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, model: ModelId) -> Result<Vec<Rule>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, target, rule, created_by, created_at FROM promotion_rules WHERE model_id = $1 ORDER BY id",
        model.0
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter().map(Rule::try_from).collect()
}

/// Lists the rules of a model that the change has locked.
///
/// # Errors
/// The database is away.
pub async fn all(change: &mut Change, model: ModelId) -> Result<Vec<Rule>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, target, rule, created_by, created_at FROM promotion_rules WHERE model_id = $1 ORDER BY id",
        model.0
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter().map(Rule::try_from).collect()
}

/// Gives a model that the change has locked a rule.
///
/// # Errors
/// The database is away.
pub async fn insert(
    change: &mut Change,
    model: ModelId,
    target: Option<&str>,
    rule: &Sentence,
    by: &Actor,
) -> Result<Rule> {
    let (id, now) = (RuleId::new(), change.now());
    sqlx::query!(
        "INSERT INTO promotion_rules (id, model_id, target, rule, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id.0,
        model.0,
        target,
        rule.to_string(),
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(Rule {
        id,
        target: target.map(ToOwned::to_owned),
        rule: rule.clone(),
        created_by: by.to_string(),
        created_at: now,
    })
}

/// Takes a rule away.
///
/// # Errors
/// It is gone; the database is away.
pub async fn delete(change: &mut Change, id: RuleId) -> Result<()> {
    let done = sqlx::query!("DELETE FROM promotion_rules WHERE id = $1", id.0)
        .execute(change.connection())
        .await?;
    one("promotion_rules", done.rows_affected())
}

/// The latest value of a metric that was logged for a version: for the logged model that it was
/// made of, else by the run that trained it. With a dataset only what was measured on it counts,
/// and only logged models know that.
///
/// # Errors
/// The database is away.
pub async fn metric(
    change: &mut Change,
    version: VersionId,
    run: Option<RunId>,
    key: &str,
    dataset: Option<&str>,
) -> Result<Option<f64>> {
    let found = sqlx::query_scalar!(
        r#"SELECT value AS "value!" FROM (
               SELECT 0 AS place, m.value, m.step, m.timestamp
               FROM model_versions v JOIN logged_model_metrics m ON m.model_id = v.logged_model_id
               WHERE v.id = $1 AND m.key = $3 AND ($4::text IS NULL OR $4 IN (m.dataset_name, m.dataset_digest))
               UNION ALL
               SELECT 1, r.value, r.step, r.timestamp
               FROM run_metrics r
               WHERE r.run_id = $2 AND r.key = $3 AND $4::text IS NULL
           ) AS logged
           ORDER BY place, step DESC, timestamp DESC, value DESC
           LIMIT 1"#,
        version.0,
        run.map(|run| run.0),
        key,
        dataset
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(found)
}
