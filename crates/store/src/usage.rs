//! What was used, by whom, of what, on which day; and what that costs.
//!
//! Counting is bookkeeping; prices are governed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::{Actor, NodeId, SubjectId, Timestamp};

use crate::{Change, Database, Result};

/// What one subject used of one endpoint's model since it was counted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Who, as `user:ana`.
    pub subject: String,
    /// The model's name.
    pub model: String,
    /// The endpoint's name on the wire.
    pub endpoint: String,
    /// The team that owns the endpoint.
    pub team: Option<SubjectId>,
    /// How much.
    pub counts: Counts,
}

/// How much was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered or failed.
    pub requests: i64,
    /// Rows of their inputs.
    pub rows: i64,
    /// Requests that failed.
    pub errors: i64,
    /// Time that the model ran, in microseconds; what shared a run shares its time.
    pub cpu_micros: i64,
    /// Bytes of the requests' bodies.
    pub bytes_in: i64,
    /// Bytes of the answers' bodies.
    pub bytes_out: i64,
}

impl Counts {
    /// Adds some more.
    pub const fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.rows = self.rows.saturating_add(more.rows);
        self.errors = self.errors.saturating_add(more.errors);
        self.cpu_micros = self.cpu_micros.saturating_add(more.cpu_micros);
        self.bytes_in = self.bytes_in.saturating_add(more.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(more.bytes_out);
    }
}

/// Counts what a node used, as its part number `epoch`; `false` if that part was counted before.
///
/// # Errors
/// The database is away: then the same part may be sent again.
pub async fn flush(database: &Database, node: NodeId, epoch: i64, used: &[Used]) -> Result<bool> {
    let mut tx = database.pool().begin().await?;
    let now = database.now();
    let is_new = sqlx::query!(
        "INSERT INTO usage_flushes AS f (node_id, epoch, flushed_at) VALUES ($1, $2, $3)
         ON CONFLICT (node_id) DO UPDATE SET epoch = $2, flushed_at = $3 WHERE f.epoch < $2",
        node.0,
        epoch,
        now
    )
    .execute(&mut *tx)
    .await?;
    if is_new.rows_affected() == 0 {
        return Ok(false);
    }
    let texts = |of: fn(&Used) -> &str| used.iter().map(|it| of(it).to_owned()).collect::<Vec<_>>();
    let counts = |of: fn(&Counts) -> i64| used.iter().map(|it| of(&it.counts)).collect::<Vec<_>>();
    let teams: Vec<Option<uuid::Uuid>> = used.iter().map(|it| it.team.map(|id| id.0)).collect();
    sqlx::query!(
        r#"INSERT INTO usage_daily AS u
               (day, subject, model, endpoint, team, requests, rows, errors, cpu_micros, bytes_in, bytes_out)
           SELECT $1, subject, model, endpoint, coalesce(s.name, ''),
                  sum(requests), sum(rows), sum(errors), sum(cpu_micros), sum(bytes_in), sum(bytes_out)
           FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[],
                       $9::bigint[], $10::bigint[], $11::bigint[])
                AS given (subject, model, endpoint, team_id, requests, rows, errors, cpu_micros, bytes_in, bytes_out)
           LEFT JOIN subjects s ON s.id = team_id
           GROUP BY 2, 3, 4, 5
           ORDER BY 2, 3, 4, 5
           ON CONFLICT (day, subject, model, endpoint, team) DO UPDATE SET
             requests = u.requests + excluded.requests, rows = u.rows + excluded.rows,
             errors = u.errors + excluded.errors, cpu_micros = u.cpu_micros + excluded.cpu_micros,
             bytes_in = u.bytes_in + excluded.bytes_in, bytes_out = u.bytes_out + excluded.bytes_out"#,
        now.date_naive(),
        &texts(|it| &it.subject),
        &texts(|it| &it.model),
        &texts(|it| &it.endpoint),
        &teams as &[Option<uuid::Uuid>],
        &counts(|it| it.requests),
        &counts(|it| it.rows),
        &counts(|it| it.errors),
        &counts(|it| it.cpu_micros),
        &counts(|it| it.bytes_in),
        &counts(|it| it.bytes_out)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Notes how many bytes of files each subject has today. It may be repeated: what counts is the most
/// of the day.
///
/// # Errors
/// The database is away.
pub async fn sample_artifacts(database: &Database) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO usage_daily AS u (day, subject, model, endpoint, team, artifact_bytes)
           SELECT $1, v.created_by, m.name, '', coalesce(s.name, ''), least(sum(v.size), 9223372036854775807)
           FROM model_versions v JOIN models m ON m.id = v.model_id LEFT JOIN subjects s ON s.id = m.team_id
           WHERE v.size > 0
           GROUP BY 2, 3, 5
           ORDER BY 2, 3, 5
           ON CONFLICT (day, subject, model, endpoint, team)
             DO UPDATE SET artifact_bytes = greatest(u.artifact_bytes, excluded.artifact_bytes)"#,
        database.now().date_naive()
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Which use; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before that day.
    pub since: Option<NaiveDate>,
    /// Before that day.
    pub until: Option<NaiveDate>,
    /// By whom, as `user:ana`.
    pub subject: Option<String>,
    /// Of what that team owns.
    pub team: Option<String>,
    /// Of that model.
    pub model: Option<String>,
    /// Through that endpoint.
    pub endpoint: Option<String>,
}

/// What use is told apart by; the rest is summed up.
pub const COLUMNS: [&str; 5] = ["day", "subject", "team", "model", "endpoint"];

/// Use, summed up.
#[derive(Debug, Clone)]
pub struct Total {
    /// On which day.
    pub day: Option<NaiveDate>,
    /// By whom.
    pub subject: Option<String>,
    /// Of what which team owns; empty for none.
    pub team: Option<String>,
    /// Of which model.
    pub model: Option<String>,
    /// Through which endpoint; empty for none.
    pub endpoint: Option<String>,
    /// How much.
    pub counts: Counts,
    /// Bytes of files, each for each day.
    pub artifact_byte_days: i64,
    /// What it costs, as a decimal number; absent while there are no prices.
    pub cost: Option<String>,
}

/// Sums up use by some of [`COLUMNS`], in their order: `limit` of them from the `offset`th on.
///
/// # Errors
/// The database is away.
pub async fn totals(
    database: &Database,
    filter: &Filter,
    by: &[String],
    offset: i64,
    limit: i64,
) -> Result<Vec<Total>> {
    let rows = sqlx::query!(
        r#"WITH price AS (
             SELECT count(*) AS known,
                    coalesce(max(price) FILTER (WHERE unit = 'requests'), 0) AS requests,
                    coalesce(max(price) FILTER (WHERE unit = 'rows'), 0) AS rows,
                    coalesce(max(price) FILTER (WHERE unit = 'cpu_seconds'), 0) AS cpu_seconds,
                    coalesce(max(price) FILTER (WHERE unit = 'bytes_in'), 0) AS bytes_in,
                    coalesce(max(price) FILTER (WHERE unit = 'bytes_out'), 0) AS bytes_out,
                    coalesce(max(price) FILTER (WHERE unit = 'artifact_byte_days'), 0) AS artifact_byte_days
             FROM usage_prices
           ), total AS (
             SELECT CASE WHEN 'day' = ANY($1::text[]) THEN day END AS day,
                    CASE WHEN 'subject' = ANY($1) THEN subject END AS subject,
                    CASE WHEN 'team' = ANY($1) THEN team END AS team,
                    CASE WHEN 'model' = ANY($1) THEN model END AS model,
                    CASE WHEN 'endpoint' = ANY($1) THEN endpoint END AS endpoint,
                    sum(requests) AS requests, sum(rows) AS rows, sum(errors) AS errors,
                    sum(cpu_micros) AS cpu_micros, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out,
                    sum(artifact_bytes) AS artifact_byte_days
             FROM usage_daily
             WHERE ($2::date IS NULL OR day >= $2)
               AND ($3::date IS NULL OR day < $3)
               AND ($4::text IS NULL OR subject = $4)
               AND ($5::text IS NULL OR team = $5)
               AND ($6::text IS NULL OR model = $6)
               AND ($7::text IS NULL OR endpoint = $7)
             GROUP BY 1, 2, 3, 4, 5
           )
           SELECT day, subject, team, model, endpoint,
                  t.requests::bigint AS "requests!", t.rows::bigint AS "rows!", errors::bigint AS "errors!",
                  cpu_micros::bigint AS "cpu_micros!", t.bytes_in::bigint AS "bytes_in!",
                  t.bytes_out::bigint AS "bytes_out!", t.artifact_byte_days::bigint AS "artifact_byte_days!",
                  CASE WHEN p.known > 0 THEN trim_scale(round(
                    t.requests * p.requests + t.rows * p.rows + cpu_micros / 1000000.0 * p.cpu_seconds
                    + t.bytes_in * p.bytes_in + t.bytes_out * p.bytes_out
                    + t.artifact_byte_days * p.artifact_byte_days, 6))::text END AS cost
           FROM total t CROSS JOIN price p
           ORDER BY day, subject COLLATE "C", team COLLATE "C", model COLLATE "C", endpoint COLLATE "C"
           OFFSET $8 LIMIT $9"#,
        by,
        filter.since,
        filter.until,
        filter.subject,
        filter.team,
        filter.model,
        filter.endpoint,
        offset,
        limit
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Total {
            day: row.day,
            subject: row.subject,
            team: row.team,
            model: row.model,
            endpoint: row.endpoint,
            counts: Counts {
                requests: row.requests,
                rows: row.rows,
                errors: row.errors,
                cpu_micros: row.cpu_micros,
                bytes_in: row.bytes_in,
                bytes_out: row.bytes_out,
            },
            artifact_byte_days: row.artifact_byte_days,
            cost: row.cost,
        })
        .collect())
}

/// What use costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// In which currency, by its three letters.
    pub currency: String,
    /// Of one unit, as a decimal number.
    pub units: BTreeMap<String, String>,
    /// Who set them, and when.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

/// The prices; absent while nobody has set any.
///
/// # Errors
/// The database is away.
pub async fn prices(database: &Database) -> Result<Option<Prices>> {
    let rows = sqlx::query!(
        r#"SELECT unit, trim_scale(price)::text AS "price!", currency, set_by, set_at FROM usage_prices ORDER BY unit"#
    )
    .fetch_all(database.pool())
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (currency, set_by, set_at) = (first.currency.clone(), first.set_by.clone(), first.set_at);
    let units = rows.into_iter().map(|row| (row.unit, row.price)).collect();
    Ok(Some(Prices { currency, units, set_by, set_at }))
}

/// Replaces all prices, each a decimal number. None are none.
///
/// # Errors
/// The database is away.
pub async fn set_prices(
    change: &mut Change,
    currency: &str,
    units: &BTreeMap<String, String>,
    by: &Actor,
) -> Result<()> {
    let now = change.now();
    sqlx::query!("LOCK TABLE usage_prices IN SHARE ROW EXCLUSIVE MODE")
        .execute(change.connection())
        .await?;
    sqlx::query!("DELETE FROM usage_prices").execute(change.connection()).await?;
    let (names, prices): (Vec<String>, Vec<String>) = units.clone().into_iter().unzip();
    sqlx::query!(
        "INSERT INTO usage_prices (unit, price, currency, set_by, set_at)
         SELECT unit, price::numeric, $3, $4, $5 FROM unnest($1::text[], $2::text[]) AS given (unit, price)",
        &names,
        &prices,
        currency,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Gives what somebody used another name: the one that they had is free for somebody else.
///
/// # Errors
/// The database is away.
pub async fn rename(change: &mut Change, subject: &str, to: &str) -> Result<()> {
    sqlx::query!("UPDATE usage_daily SET subject = $2 WHERE subject = $1", subject, to)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// As [`rename`], for a team.
///
/// # Errors
/// The database is away.
pub async fn rename_team(change: &mut Change, team: &str, to: &str) -> Result<()> {
    sqlx::query!("UPDATE usage_daily SET team = $2 WHERE team = $1", team, to)
        .execute(change.connection())
        .await?;
    Ok(())
}
