//! Requests for more.

use domain::{
    Actor, Cursor, Limit as PageLimit, Page, Problem, QuotaRequestId, SubjectId, Timestamp,
    access::{Subject, SubjectKind},
    quota::{Amount, Key, RequestState},
};
use uuid::Uuid;

use super::limits::{amount, key, value};
use crate::{Change, Database, Error, Result, error::breaks};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// For whom.
    pub subject: SubjectId,
    /// Of which quota.
    pub key: Key,
    /// How much it shall allow.
    pub amount: Amount,
    /// Why.
    pub reason: String,
}

/// A request as it stands.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its id.
    pub id: QuotaRequestId,
    /// For whom.
    pub subject: Subject,
    /// Of which quota.
    pub key: Key,
    /// How much it shall allow.
    pub amount: Amount,
    /// Why.
    pub reason: String,
    /// Who asks, as `user:ana`.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// How far it has come.
    pub state: RequestState,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why so.
    pub decision: Option<String>,
}

struct Row {
    id: Uuid,
    kind: String,
    name: String,
    key: String,
    value: Option<i64>,
    reason: String,
    asked_by: String,
    asked_at: Timestamp,
    state: String,
    decided_by: Option<String>,
    decided_at: Option<Timestamp>,
    decision: Option<String>,
}

impl TryFrom<Row> for Asked {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |column| Error::inconsistent("quota_requests", column, row.id);
        let kind = SubjectKind::parse(&row.kind).ok_or_else(|| wrong("subject_id"))?;
        Ok(Self {
            id: QuotaRequestId(row.id),
            state: row.state.parse().map_err(|_| wrong("state"))?,
            subject: Subject { kind, name: row.name },
            key: key("quota_requests", &row.key)?,
            amount: amount(row.value),
            reason: row.reason,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
            decision: row.decision,
        })
    }
}

macro_rules! select_request {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT r.id, s.kind, s.name, r.key, r.value, r.reason, r.asked_by, r.asked_at, r.state,
                      r.decided_by, r.decided_at, r.decision
               FROM quota_requests r JOIN subjects s ON s.id = r.subject_id "# + $rest
            $(, $argument)*
        )
    };
}

/// Asks for more.
///
/// # Errors
/// The same is asked for already (conflict); the database is away.
pub async fn request(change: &mut Change, new: &NewRequest, by: &Actor) -> Result<Asked> {
    let (id, now) = (QuotaRequestId::new(), change.now());
    sqlx::query!(
        "INSERT INTO quota_requests (id, subject_id, key, value, reason, asked_by, asked_at, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'open')",
        id.0,
        new.subject.0,
        new.key.as_str(),
        value(new.amount),
        new.reason,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "quota_requests_open") {
            let message =
                format!("more of `{}` is asked for already, and nobody has decided", new.key);
            Error::Refused(Problem::conflict(message).hint("`bottega quota requests` shows it"))
        } else {
            error.into()
        }
    })?;
    let row = select_request!("WHERE r.id = $1", id.0).fetch_one(change.connection()).await?;
    row.try_into()
}

/// Lists requests, the newest first: of one subject or of all, in one state or in any.
///
/// # Errors
/// The cursor is not of this list; the database is away.
pub async fn requests(
    database: &Database,
    subject: Option<SubjectId>,
    state: Option<RequestState>,
    cursor: Option<&Cursor>,
    limit: PageLimit,
) -> Result<Page<Asked>> {
    let before = cursor.map(Cursor::key_as::<Uuid>).transpose()?;
    let rows = select_request!(
        "WHERE ($1::uuid IS NULL OR r.subject_id = $1)
           AND ($2::text IS NULL OR r.state = $2)
           AND ($3::uuid IS NULL OR r.id < $3)
         ORDER BY r.id DESC LIMIT $4",
        subject.map(|id| id.0),
        state.map(RequestState::as_str),
        before,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let asked = rows.into_iter().map(Asked::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(asked, limit, |asked| asked.id.to_string()))
}

/// A request, locked until the change ends. `None` if there is none.
///
/// # Errors
/// It was decided before (conflict); the database is away.
pub async fn lock_open(change: &mut Change, id: QuotaRequestId) -> Result<Option<Asked>> {
    let row = select_request!("WHERE r.id = $1 FOR UPDATE OF r", id.0)
        .fetch_optional(change.connection())
        .await?;
    let asked = row.map(Asked::try_from).transpose()?;
    if let Some(decided) = asked.as_ref().filter(|asked| asked.state != RequestState::Open) {
        let by = decided.decided_by.as_deref().unwrap_or_default();
        let message = format!("{by} has decided already: {}", decided.state);
        return Err(Problem::conflict(message).into());
    }
    Ok(asked)
}

/// Decides.
///
/// # Errors
/// The request is gone; the database is away.
pub async fn decide(
    change: &mut Change,
    id: QuotaRequestId,
    state: RequestState,
    why: &str,
    by: &Actor,
) -> Result<Asked> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE quota_requests SET state = $2, decision = $3, decided_by = $4, decided_at = $5 WHERE id = $1",
        id.0,
        state.as_str(),
        why,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    crate::models::one("quota_requests", done.rows_affected())?;
    let row = select_request!("WHERE r.id = $1", id.0).fetch_one(change.connection()).await?;
    row.try_into()
}
