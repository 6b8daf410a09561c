//! Requests for more: asked by whoever needs it, decided by an administrator.

use domain::{
    Cursor, ErrorCode, Limit, Page, Problem, QuotaRequestId, Resource,
    access::Subject,
    quota::{Amount, Holder, Key, RequestState},
};
use serde_json::json;
use store::{
    Change, Database,
    quotas::{self, Asked, NewRequest},
};

use super::{may_see, put};
use crate::{Access, Caller, Permit, verbs};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// For whom: themselves, or a team of theirs.
    pub subject: Subject,
    /// Of which quota.
    pub key: Key,
    /// How much it shall allow.
    pub amount: Amount,
    /// Why.
    pub reason: String,
}

/// What an administrator decides.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is given: as much as was asked for, or that much, with its unit.
    Grant(Option<String>),
    /// It is not.
    Refuse,
}

fn checked(reason: &str) -> Result<&str, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let message = format!("expected a reason of 1 to {LONGEST_REASON} characters");
        return Err(Problem::invalid("reason", message));
    }
    Ok(reason)
}

/// Asks for more. Everybody may, for themselves and for their teams.
///
/// # Errors
/// That much is allowed already; the same is asked for and not decided; the database is away.
pub async fn request(
    access: &Access,
    database: &Database,
    caller: &Caller,
    request: &Request,
) -> Result<Asked, Problem> {
    let reason = checked(&request.reason)?.to_owned();
    let known = may_see(access, database, caller, &request.subject).await?;
    let (key, amount) = (request.key, request.amount);
    let present = quotas::of(database, known.id).await?;
    let present = present.get(key.as_str()).map_or(key.unset(), |(amount, _)| *amount);
    let is_more = match (present.limit(), amount.limit()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(present), Some(asked)) => asked > present,
    };
    if !is_more {
        let present = present.show(key);
        let message = format!("`{key}` of {} is {present} already", request.subject);
        return Err(Problem::invalid("value", message).hint("ask for more than that"));
    }
    // Seeing one's own quotas is all that asking needs.
    let permit = Permit::<verbs::View>::new(caller.clone(), Resource::Platform);
    let mut change = Change::begin(database).await?;
    let new = NewRequest { subject: known.id, key, amount, reason };
    let asked = quotas::request(&mut change, &new, permit.actor()).await?;
    let detail = describe(&asked);
    change.emit("quota_request.created", &asked.subject.to_string(), &detail).await?;
    change.commit(&permit.event("quota_request.created", detail)).await?;
    Ok(asked)
}

fn describe(asked: &Asked) -> serde_json::Value {
    json!({
        "request": asked.id, "subject": asked.subject.to_string(), "quota": asked.key,
        "value": asked.amount.limit(), "reason": asked.reason, "state": asked.state,
        "decision": asked.decision,
    })
}

/// Lists requests, the newest first: those of one subject, or as an administrator all.
///
/// # Errors
/// The caller may not see them; the database is away.
pub async fn requests(
    access: &Access,
    database: &Database,
    caller: &Caller,
    subject: Option<&Subject>,
    state: Option<RequestState>,
    page: (Option<&Cursor>, Limit),
) -> Result<Page<Asked>, Problem> {
    let id = match subject {
        Some(subject) => Some(may_see(access, database, caller, subject).await?.id),
        None => {
            access.authorize::<verbs::Administer>(caller, Resource::Platform).await?;
            None
        }
    };
    Ok(quotas::requests(database, id, state, page.0, page.1).await?)
}

/// Decides a request. What is granted holds at once.
///
/// # Errors
/// There is no such request, or somebody has decided; the database is away.
pub async fn decide(
    database: &Database,
    permit: &Permit<verbs::Administer>,
    id: QuotaRequestId,
    decision: Decision,
    reason: &str,
) -> Result<Asked, Problem> {
    let reason = checked(reason)?;
    let mut change = Change::begin(database).await?;
    let asked = quotas::lock_open(&mut change, id).await?.ok_or_else(|| {
        Problem::new(ErrorCode::NotFound, format!("there is no request `{id}`")).at("request")
    })?;
    let state = match decision {
        Decision::Refuse => RequestState::Refused,
        Decision::Grant(other) => {
            let holder = Holder::Subject(asked.subject.clone());
            let amount = match other {
                Some(text) => Amount::parse(asked.key, &text).map_err(|it| it.at("value"))?,
                None => asked.amount,
            };
            let limit = (asked.key, Some(amount));
            let (before, after) = put(&mut change, permit, &holder, [limit].into_iter()).await?;
            let detail = json!({"subject": holder.to_string(), "request": id});
            let event = permit.event("quota.changed", detail);
            change.record(&event.changed(Some(&before), Some(&after))).await?;
            RequestState::Granted
        }
    };
    let decided = quotas::decide(&mut change, id, state, reason, permit.actor()).await?;
    let what = match state {
        RequestState::Granted => "quota_request.granted",
        RequestState::Open | RequestState::Refused => "quota_request.refused",
    };
    let detail = describe(&decided);
    change.emit(what, &decided.subject.to_string(), &detail).await?;
    change.commit(&permit.event(what, detail)).await?;
    Ok(decided)
}
