//! Quotas: who may have how much, and who asks for more.
//!
//! What is counted as objects is checked by `store` when a change is committed; what flows by the
//! [`Limiter`](crate::Limiter).

mod requests;

use std::collections::BTreeMap;

use domain::{
    Problem, Resource, Timestamp,
    access::{Subject, SubjectKind},
    quota::{Amount, Holder, Key, Kind},
};
use serde_json::{Value, json};
use store::{
    Change, Database, access,
    quotas::{self, Known, Limit, Limits},
};

use crate::{Access, Caller, Permit, verbs};

pub use requests::{Decision, Request, decide, request, requests};

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was set for this subject.
    Own,
    /// It was set for all of its kind.
    Default,
    /// Nobody set any.
    Nobody,
}

/// One quota of a subject, as it stands.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Which.
    pub key: Key,
    /// How much it allows.
    pub amount: Amount,
    /// Where that comes from.
    pub origin: Origin,
    /// How much of it is used, where that is counted.
    pub used: Option<u64>,
    /// When the count begins anew.
    pub resets_at: Option<Timestamp>,
}

impl Quota {
    /// Whether anything keeps to it yet.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        !matches!(self.key.kind(), Kind::Absent)
    }
}

/// All quotas of a subject, or of a kind.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Whose.
    pub holder: Holder,
    /// In the order of [`Key::ALL`].
    pub quotas: Vec<Quota>,
}

/// Whether the caller may see the quotas and the use of that subject: its own, those of its teams,
/// or as an administrator any.
///
/// # Errors
/// They may not; there is no such subject; the database is away.
pub async fn may_see(
    access: &Access,
    database: &Database,
    caller: &Caller,
    subject: &Subject,
) -> Result<Known, Problem> {
    let found = quotas::find(database, subject).await?;
    let is_own = Subject::try_from(&caller.actor).is_ok_and(|own| own == *subject);
    let is_member = match (caller.subject, &found) {
        (Some(caller), Some(found)) if subject.kind == SubjectKind::Team => {
            quotas::is_member(database, caller, found.id).await?
        }
        _ => false,
    };
    if !is_own && !is_member {
        access.authorize::<verbs::Administer>(caller, Resource::Platform).await?;
    }
    found.ok_or_else(|| absent(subject))
}

fn absent(subject: &Subject) -> Problem {
    Problem::not_found(subject.kind.as_str(), &subject.name).at("subject")
}

/// The quotas of a subject.
///
/// # Errors
/// The database is away.
pub async fn of_subject(database: &Database, known: &Known) -> Result<Sheet, Problem> {
    let limits = quotas::of(database, known.id).await?;
    let objects: Vec<Key> =
        Key::ALL.iter().copied().filter(|key| key.kind() == Kind::Objects).collect();
    let used = quotas::used(database, &known.subject, known.id, &objects).await?;
    let now = database.now();
    let mut sheet = Vec::new();
    for &key in shown() {
        let found = limits.get(key.as_str()).copied();
        let (amount, origin) = match found {
            Some((amount, true)) => (amount, Origin::Own),
            Some((amount, false)) => (amount, Origin::Default),
            None => (key.unset(), Origin::Nobody),
        };
        let (used, resets_at) = match key.kind() {
            Kind::Objects => (used.get(key.as_str()).map(|count| count.unsigned_abs()), None),
            Kind::Period(period) => {
                let counted = quotas::counted(database, known.id, key, period.start(now)).await?;
                (Some(counted), Some(period.end(now)))
            }
            Kind::Rate | Kind::Share | Kind::Absent => (None, None),
        };
        sheet.push(Quota { key, amount, origin, used, resets_at });
    }
    Ok(Sheet { holder: Holder::Subject(known.subject.clone()), quotas: sheet })
}

/// The limits of all of a kind that have none of their own.
///
/// # Errors
/// The database is away.
pub async fn of_kind(database: &Database, kind: SubjectKind) -> Result<Sheet, Problem> {
    let limits = quotas::defaults(database, kind).await?;
    let quota = |&key: &Key| {
        let found = limits.get(key.as_str()).copied();
        let origin = if found.is_some() { Origin::Own } else { Origin::Nobody };
        let amount = found.unwrap_or(key.unset());
        Quota { key, amount, origin, used: None, resets_at: None }
    };
    Ok(Sheet { holder: Holder::Default(kind), quotas: shown().map(quota).collect() })
}

/// The quotas that can be set.
fn shown() -> impl Iterator<Item = &'static Key> {
    Key::ALL.iter().filter(|key| key.kind() != Kind::Absent)
}

/// All limits that were set.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    _permit: &Permit<verbs::Administer>,
) -> Result<Vec<Limit>, Problem> {
    Ok(quotas::list(database).await?)
}

/// Sets limits, or takes those away that are given as absent. They hold from now on, whatever is
/// there already: what is over a limit stays, and only more of it is refused.
///
/// # Errors
/// There is no such subject; the database is away.
pub async fn set(
    database: &Database,
    permit: &Permit<verbs::Administer>,
    holder: &Holder,
    limits: &BTreeMap<&'static str, (Key, Option<Amount>)>,
) -> Result<(), Problem> {
    let mut change = Change::begin(database).await?;
    let limits = limits.values().copied();
    let (before, after) = put(&mut change, permit, holder, limits).await?;
    let detail = json!({"subject": holder.to_string()});
    let event = permit.event("quota.changed", detail).changed(Some(&before), Some(&after));
    Ok(change.commit(&event).await?)
}

/// Writes limits down, and tells everybody to read them; answers them as they were and as they are.
async fn put(
    change: &mut Change,
    permit: &Permit<verbs::Administer>,
    holder: &Holder,
    limits: impl Iterator<Item = (Key, Option<Amount>)>,
) -> Result<(Value, Value), Problem> {
    let gone = || match holder {
        Holder::Subject(subject) => absent(subject),
        Holder::Default(_) => Problem::internal(),
    };
    let before = quotas::lock(change, holder).await?.ok_or_else(gone)?;
    for (key, amount) in limits {
        quotas::set(change, holder, key, amount, permit.actor()).await?;
    }
    let after = quotas::lock(change, holder).await?.ok_or_else(gone)?;
    access::raise(change).await?;
    let told = json!({"subject": holder.to_string(), "limits": describe(&after)});
    change.emit("quota.changed", &holder.to_string(), &told).await?;
    Ok((describe(&before), describe(&after)))
}

fn describe(limits: &Limits) -> Value {
    let limits = limits.iter().map(|(key, amount)| ((*key).to_owned(), json!(amount.limit())));
    Value::Object(limits.collect())
}
