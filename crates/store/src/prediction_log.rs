//! What gateways answered lately: some predictions each second of each node, for a short while.
//!
//! Bookkeeping, and neither governed nor for good: a node writes what it has in one go, and what it
//! cannot write is gone.

use domain::{EndpointId, NodeId, Timestamp};

use crate::{Database, Result};

/// One prediction, or the refusal of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// When it was answered.
    pub at: Timestamp,
    /// The version that answered, by model and number; absent where none was picked.
    pub version: Option<(String, i32)>,
    /// What the answer is called; absent for a refusal.
    pub inference_id: Option<String>,
    /// What the request is called.
    pub request_id: String,
    /// The trace that it was part of, in hexadecimal.
    pub trace_id: Option<String>,
    /// Who asked, as `user:ana`.
    pub caller: String,
    /// By which protocol.
    pub protocol: &'static str,
    /// `ok`, or an error code of the API.
    pub code: &'static str,
    /// What was wrong in the request.
    pub field: Option<String>,
    /// The rows of the request.
    pub rows: i64,
    /// How long it waited for its turn.
    pub queue_micros: i64,
    /// How long the model ran.
    pub compute_micros: i64,
    /// From the request to the answer.
    pub total_micros: i64,
    /// Predictions of this endpoint since the entry before that are not told.
    pub left_out: i64,
}

/// An entry that is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Its place in the log.
    pub id: i64,
    /// The node that answered.
    pub node: NodeId,
    /// When it was answered.
    pub at: Timestamp,
    /// The version that answered, by model and number.
    pub version: Option<(String, i32)>,
    /// What the answer is called.
    pub inference_id: Option<String>,
    /// What the request is called.
    pub request_id: String,
    /// The trace that it was part of, in hexadecimal.
    pub trace_id: Option<String>,
    /// Who asked.
    pub caller: String,
    /// By which protocol.
    pub protocol: String,
    /// `ok`, or an error code of the API.
    pub code: String,
    /// What was wrong in the request.
    pub field: Option<String>,
    /// The rows of the request.
    pub rows: i64,
    /// How long it waited for its turn.
    pub queue_micros: i64,
    /// How long the model ran.
    pub compute_micros: i64,
    /// From the request to the answer.
    pub total_micros: i64,
    /// Predictions of this endpoint on this node since its entry before that are not told.
    pub left_out: i64,
}

/// Writes entries down, in their order.
///
/// # Errors
/// The database is away.
pub async fn write(database: &Database, node: NodeId, entries: &[Entry]) -> Result<()> {
    let mut tx = database.pool().begin().await?;
    // From the first id until the commit, so that ids become visible in their order.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('prediction_log')) IS NULL AS done")
        .fetch_one(&mut *tx)
        .await?;
    let texts = |of: fn(&Entry) -> &str| entries.iter().map(|it| of(it).to_owned()).collect();
    let numbers = |of: fn(&Entry) -> i64| entries.iter().map(of).collect::<Vec<_>>();
    let endpoints: Vec<uuid::Uuid> = entries.iter().map(|it| it.endpoint.0).collect();
    let at: Vec<Timestamp> = entries.iter().map(|it| it.at).collect();
    let models: Vec<Option<String>> =
        entries.iter().map(|it| it.version.as_ref().map(|(model, _)| model.clone())).collect();
    let versions: Vec<Option<i32>> =
        entries.iter().map(|it| it.version.as_ref().map(|(_, number)| *number)).collect();
    let ids: Vec<Option<String>> = entries.iter().map(|it| it.inference_id.clone()).collect();
    let traces: Vec<Option<String>> = entries.iter().map(|it| it.trace_id.clone()).collect();
    let fields: Vec<Option<String>> = entries.iter().map(|it| it.field.clone()).collect();
    let (requests, callers): (Vec<String>, Vec<String>) =
        (texts(|it| &it.request_id), texts(|it| &it.caller));
    let (protocols, codes): (Vec<String>, Vec<String>) =
        (texts(|it| it.protocol), texts(|it| it.code));
    sqlx::query!(
        r#"INSERT INTO prediction_log
               (endpoint_id, node_id, at, model, version, inference_id, request_id, caller, protocol, code, field,
                rows, queue_micros, compute_micros, total_micros, left_out, trace_id)
           SELECT e.id, $1, at, model, version, inference_id, request_id, caller, protocol, code, field,
                  rows, queue_micros, compute_micros, total_micros, left_out, trace_id
           FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
                       $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[],
                       $15::bigint[], $16::bigint[], $17::text[]) WITH ORDINALITY
                AS given (endpoint_id, at, model, version, inference_id, request_id, caller, protocol, code, field,
                          rows, queue_micros, compute_micros, total_micros, left_out, trace_id, place)
           JOIN endpoints e ON e.id = given.endpoint_id
           ORDER BY place"#,
        node.0,
        &endpoints,
        &at,
        &models as &[Option<String>],
        &versions as &[Option<i32>],
        &ids as &[Option<String>],
        &requests,
        &callers,
        &protocols,
        &codes,
        &fields as &[Option<String>],
        &numbers(|it| it.rows),
        &numbers(|it| it.queue_micros),
        &numbers(|it| it.compute_micros),
        &numbers(|it| it.total_micros),
        &numbers(|it| it.left_out),
        &traces as &[Option<String>]
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

struct Row {
    id: i64,
    node_id: uuid::Uuid,
    at: Timestamp,
    model: Option<String>,
    version: Option<i32>,
    inference_id: Option<String>,
    request_id: String,
    caller: String,
    protocol: String,
    code: String,
    field: Option<String>,
    rows: i64,
    queue_micros: i64,
    compute_micros: i64,
    total_micros: i64,
    left_out: i64,
    trace_id: Option<String>,
}

/// `select_entries!("WHERE …", arguments)`: both reads gather the same columns.
macro_rules! select_entries {
    ($rest:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, node_id, at, model, version, inference_id, request_id, caller, protocol, code, field,
                    rows, queue_micros, compute_micros, total_micros, left_out, trace_id
             FROM prediction_log " + $rest,
            $($argument),*
        )
    };
}

/// The entries of an endpoint behind this place that are not older than that, the oldest first.
///
/// # Errors
/// The database is away.
pub async fn next(
    database: &Database,
    endpoint: EndpointId,
    after: i64,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<Written>> {
    let rows = select_entries!(
        "WHERE endpoint_id = $1 AND id > $2 AND ($3::timestamptz IS NULL OR at >= $3) ORDER BY id LIMIT $4",
        endpoint.0,
        after,
        since,
        limit
    );
    Ok(rows.fetch_all(database.pool()).await?.into_iter().map(Written::from).collect())
}

/// The last entries of an endpoint, the oldest first.
///
/// # Errors
/// The database is away.
pub async fn last(database: &Database, endpoint: EndpointId, limit: i64) -> Result<Vec<Written>> {
    let rows =
        select_entries!("WHERE endpoint_id = $1 ORDER BY id DESC LIMIT $2", endpoint.0, limit);
    Ok(rows.fetch_all(database.pool()).await?.into_iter().rev().map(Written::from).collect())
}

impl From<Row> for Written {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            node: NodeId(row.node_id),
            at: row.at,
            version: row.model.zip(row.version),
            inference_id: row.inference_id,
            request_id: row.request_id,
            trace_id: row.trace_id,
            caller: row.caller,
            protocol: row.protocol,
            code: row.code,
            field: row.field,
            rows: row.rows,
            queue_micros: row.queue_micros,
            compute_micros: row.compute_micros,
            total_micros: row.total_micros,
            left_out: row.left_out,
        }
    }
}

/// Forgets what was answered before that; how many entries.
///
/// # Errors
/// The database is away.
pub async fn forget(database: &Database, before: Timestamp) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM prediction_log WHERE at < $1", before)
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected())
}
