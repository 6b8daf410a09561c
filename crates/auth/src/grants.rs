//! Giving and taking back grants, and the administrator's own policies. Whoever changes either is
//! answered when it decides in this process; others hear of it within half a second.

use domain::{
    Action, AuditEvent, ErrorCode, GrantId, Problem, Resource, Timestamp,
    access::{Conditions, Effect, Grant, Kind, Place, Principal, Privilege, Subject, Target},
};
use policy::{NotGranted, Policies, PolicyError, PolicyText};
use serde_json::{Value, json};
use store::{
    Change, Database,
    access::{self, Snapshot},
    grants::{self, Given, Wanted},
    policies::{self, Written},
};

use crate::{Access, Caller, Permit, access::compile, verbs};

/// A grant that is to be given.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Whose.
    pub subject: Subject,
    /// Whether it gives or takes away.
    pub effect: Effect,
    /// What.
    pub privilege: Privilege,
    /// On what.
    pub resource: Resource,
    /// When.
    pub conditions: Conditions,
    /// Why.
    pub reason: Option<String>,
}

/// What one subject may after a change and not before, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who.
    pub subject: String,
    /// What.
    pub action: Action,
    /// To what.
    pub resource: String,
    /// With which alias.
    pub alias: Option<String>,
    /// Whether they gain it, or lose it.
    pub gains: bool,
}

/// The most differences that a dry run tells.
const DIFFERENCES: usize = 1_000;

/// Whether something is done, or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is done.
    Real,
    /// Who would lose and gain what is told.
    Dry,
}

/// What came of a change.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// What it would change, and whether that is all.
    Dry(Vec<Difference>, bool),
}

/// Gives a grant.
///
/// # Errors
/// The caller may not administer the resource, or not for as long; there is no such subject or
/// resource; nobody could administer the platform any more.
pub async fn add(
    access: &Access,
    database: &Database,
    caller: &Caller,
    new: NewGrant,
    run: Run,
) -> Result<Outcome<Given>, Problem> {
    let NewGrant { subject, effect, privilege, resource, conditions, reason } = new;
    let permit: Permit<verbs::Administer> = access.authorize(caller, resource.clone()).await?;
    let target = permit.target().filter(|target| target.place.is_some());
    let place = target.as_ref().and_then(|target| target.place);
    let (Some(target), Some(place)) = (target, place) else { return Err(resource.absent()) };
    check(&conditions, privilege, place, database.now())?;

    let mut change = Change::begin(database).await.map_err(Problem::from)?;
    let before = lock(&mut change).await?;
    let id = before.names.get(&subject).copied();
    let id =
        id.ok_or_else(|| Problem::not_found(subject.kind.as_str(), &subject.name).at("subject"))?;
    let grant = Grant { id: GrantId::new(), subject: id, effect, privilege, place, conditions };
    within_own(&before, caller, &grant, &target, change.now())?;
    let mut after = before.clone();
    after.grants.push(grant.clone());
    if run == Run::Dry {
        return differences(database, &before, &after, change.now()).await;
    }
    require_administrator(&after, change.now())?;
    let by = caller.actor.to_string();
    let number = grants::insert(&mut change, &grant, None, reason.as_deref(), &by).await;
    let given = Given {
        number: number.map_err(Problem::from)?,
        grant,
        subject,
        resource: resource.to_string(),
        reason,
        created_by: by,
        created_at: change.now(),
    };
    let event = permit.event("grant.added", json!({"reason": given.reason}));
    finish(access, change, event.changed(None, Some(&describe_given(&given)))).await?;
    Ok(Outcome::Done(given))
}

/// Takes a grant back.
///
/// # Errors
/// There is none of that id; the caller may not administer what it is on; nobody could administer
/// the platform any more.
pub async fn remove(
    access: &Access,
    database: &Database,
    caller: &Caller,
    id: GrantId,
    run: Run,
) -> Result<Outcome<()>, Problem> {
    let wanted = Wanted { id: Some(id), ..Wanted::default() };
    let absent = || Problem::not_found("grant", id).at("grant");
    let given = grants::list(database, &wanted).await.map_err(Problem::from)?.pop();
    let given = given.ok_or_else(absent)?;
    let resource: Resource = given.resource.parse()?;
    let hidden =
        |problem: Problem| if problem.code == ErrorCode::NotFound { absent() } else { problem };
    let permit: Permit<verbs::Administer> =
        access.authorize(caller, resource).await.map_err(hidden)?;
    let mut change = Change::begin(database).await.map_err(Problem::from)?;
    let before = lock(&mut change).await?;
    let mut after = before.clone();
    after.grants.retain(|grant| grant.id != id);
    if run == Run::Dry {
        return differences(database, &before, &after, change.now()).await;
    }
    require_administrator(&after, change.now())?;
    if !grants::delete(&mut change, id).await.map_err(Problem::from)? {
        return Err(absent());
    }
    let event = permit.event("grant.removed", json!({}));
    finish(access, change, event.changed(Some(&describe_given(&given)), None)).await?;
    Ok(Outcome::Done(()))
}

/// Lists grants: on a resource for who administers it, a subject's for themselves and their teams,
/// all for who administers or audits the platform.
///
/// # Errors
/// The caller may see none of these.
pub async fn list(
    access: &Access,
    database: &Database,
    caller: &Caller,
    subject: Option<&Subject>,
    on: Option<Resource>,
) -> Result<Vec<Given>, Problem> {
    let live = access.live()?;
    let subject = subject
        .map(|subject| {
            let id = live.names.get(subject).copied();
            id.ok_or_else(|| Problem::not_found(subject.kind.as_str(), &subject.name).at("subject"))
        })
        .transpose()?;
    let mut wanted = Wanted { id: None, subject, place: None };
    let (mut allowed, mut hidden) = (false, None);
    if let Some(on) = on {
        let found = access.target(caller, &on).await?;
        let place = found.place.ok_or_else(|| on.absent())?;
        wanted.place = Some(place);
        allowed = access.may::<verbs::Administer>(caller, &on).await?;
        let sees = allowed || access.may::<verbs::View>(caller, &on).await?;
        hidden = (!sees && on != Resource::Platform).then(|| on.absent());
    }
    let is_own = subject.is_some_and(|subject| {
        let own = live.principal(caller);
        own.is_some_and(|own| own.id == subject || own.teams.contains(&subject))
    });
    if !allowed && !is_own {
        oversees(access, caller).await.map_err(|refused| hidden.clone().unwrap_or(refused))?;
    }
    let found = grants::list(database, &wanted).await.map_err(Problem::from)?;
    match hidden {
        // Of their own they know; that there are none would tell that the thing is there.
        Some(absent) if is_own && found.is_empty() => Err(absent),
        _ => Ok(found),
    }
}

/// Who may administer or audit the platform may look at everybody's grants and policies.
///
/// # Errors
/// The caller may neither.
pub async fn oversees(access: &Access, caller: &Caller) -> Result<(), Problem> {
    if access.may::<verbs::Administer>(caller, &Resource::Platform).await? {
        return Ok(());
    }
    access.authorize::<verbs::Audit>(caller, Resource::Platform).await.map(drop)
}

/// Writes a policy, in place of the one of that name if there is one.
///
/// # Errors
/// The caller may not administer the platform; the text is no policy that may decide; its revision
/// is not `if_revision`; nobody could administer the platform any more.
pub async fn write_policy(
    access: &Access,
    database: &Database,
    caller: &Caller,
    new: PolicyText,
    if_revision: Option<i32>,
    run: Run,
) -> Result<Outcome<Written>, Problem> {
    let permit: Permit<verbs::Administer> = access.authorize(caller, Resource::Platform).await?;
    let mut change = Change::begin(database).await.map_err(Problem::from)?;
    let before = lock(&mut change).await?;
    let find = |subject: &Subject| before.names.get(subject).copied();
    Policies::check(&new, &find).map_err(refused)?;
    let mut after = before.clone();
    after.policies.retain(|(name, _)| *name != new.name);
    after.policies.push((new.name.clone(), new.text.clone()));
    after.policies.sort();
    if run == Run::Dry {
        return differences(database, &before, &after, change.now()).await;
    }
    require_administrator(&after, change.now())?;
    let old = policies::find(&mut change, &new.name).await.map_err(Problem::from)?;
    require_revision(&new.name, old.as_ref(), if_revision)?;
    let by = caller.actor.to_string();
    let written =
        policies::put(&mut change, &new.name, &new.text, &by).await.map_err(Problem::from)?;
    let word = if old.is_some() { "policy.changed" } else { "policy.added" };
    let event = permit.event(word, json!({"policy": new.name}));
    let old = old.map(|old| old.describe());
    finish(access, change, event.changed(old.as_ref(), Some(&written.describe()))).await?;
    Ok(Outcome::Done(written))
}

/// Removes a policy.
///
/// # Errors
/// There is none of that name; as for [`write_policy`].
pub async fn remove_policy(
    access: &Access,
    database: &Database,
    caller: &Caller,
    name: &str,
    run: Run,
) -> Result<Outcome<()>, Problem> {
    let permit: Permit<verbs::Administer> = access.authorize(caller, Resource::Platform).await?;
    let mut change = Change::begin(database).await.map_err(Problem::from)?;
    let before = lock(&mut change).await?;
    let old = policies::find(&mut change, name).await.map_err(Problem::from)?;
    let old = old.ok_or_else(|| Problem::not_found("policy", name).at("policy"))?;
    let mut after = before.clone();
    after.policies.retain(|(other, _)| other != name);
    if run == Run::Dry {
        return differences(database, &before, &after, change.now()).await;
    }
    require_administrator(&after, change.now())?;
    policies::delete(&mut change, name).await.map_err(Problem::from)?;
    let event = permit.event("policy.removed", json!({"policy": name}));
    finish(access, change, event.changed(Some(&old.describe()), None)).await?;
    Ok(Outcome::Done(()))
}

/// What decides, locked until the change ends: two changes cannot take away the last two
/// administrators at once.
pub(crate) async fn lock(change: &mut Change) -> Result<Snapshot, Problem> {
    access::raise(change).await.map_err(Problem::from)?;
    access::within(change).await.map_err(Problem::from)
}

pub(crate) async fn finish(
    access: &Access,
    mut change: Change,
    event: AuditEvent,
) -> Result<(), Problem> {
    let resource = event.resource.to_string();
    change.emit(event.change, &resource, &event.detail).await.map_err(Problem::from)?;
    change.commit(&event).await.map_err(Problem::from)?;
    access.refresh().await?;
    Ok(())
}

/// Refuses conditions under which a grant could never hold.
fn check(
    conditions: &Conditions,
    privilege: Privilege,
    place: Place,
    now: Timestamp,
) -> Result<(), Problem> {
    let Conditions { kind, alias, not_before, expires_at, .. } = conditions;
    if kind.is_some() && !matches!(place, Place::Everything | Place::Team(_)) {
        let message = "`kind` is for grants on a team or on `*`: one thing is of one kind";
        return Err(Problem::invalid("kind", message));
    }
    if expires_at.is_some_and(|end| end <= now || not_before.is_some_and(|start| end <= start)) {
        let message = "a grant that has ended before it begins, or before now, gives nothing";
        return Err(Problem::invalid("expires_at", message));
    }
    let moves = match privilege {
        Privilege::Action(action) => action == Action::Promote,
        Privilege::Role(role) => policy::role_actions(role).contains(&Action::Promote),
    };
    if alias.is_some() && !moves {
        let message = format!("`{privilege}` moves no alias: `alias` is for promote");
        return Err(Problem::invalid("alias", message));
    }
    Ok(())
}

/// Nobody gives for longer than they have it themselves.
pub(crate) fn within_own(
    snapshot: &Snapshot,
    caller: &Caller,
    grant: &Grant,
    target: &Target,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(subject) = caller.subject else { return Ok(()) };
    let who = snapshot.principals.iter().find(|who| who.id == subject);
    let who =
        who.ok_or_else(|| Problem::new(ErrorCode::Unauthenticated, "your account is gone"))?;
    match compile(snapshot).map_err(unreadable)?.may_grant(who, grant, target, now) {
        Ok(_) => Ok(()),
        Err(error @ NotGranted::NotAdministrator(_)) => {
            Err(Problem::new(ErrorCode::Forbidden, error.to_string()))
        }
        Err(error @ NotGranted::Outlives(_)) => {
            Err(Problem::new(ErrorCode::Forbidden, error.to_string()).at("expires_at"))
        }
    }
}

/// Refuses what would leave nobody who may administer the platform.
///
/// # Errors
/// So it would.
pub fn require_administrator(after: &Snapshot, now: Timestamp) -> Result<(), Problem> {
    if compile(after).map_err(unreadable)?.has_administrator(&after.principals, now) {
        return Ok(());
    }
    let message =
        "this takes away the last administrator: nobody could administer the platform any more";
    Err(Problem::conflict(message)
        .hint("make somebody else administrator first: bottega grants add user:NAME role:administrator '*'"))
}

async fn differences<T>(
    database: &Database,
    before: &Snapshot,
    after: &Snapshot,
    now: Timestamp,
) -> Result<Outcome<T>, Problem> {
    let targets = access::targets(database).await.map_err(Problem::from)?;
    let (old, new) = (compile(before).map_err(unreadable)?, compile(after).map_err(unreadable)?);
    let scope = policy::Scope { subjects: &after.principals, targets: &targets, aliases: &[], now };
    let mut told: Vec<_> = old.changes(&new, scope).take(DIFFERENCES + 1).collect();
    let is_all = told.len() <= DIFFERENCES;
    told.truncate(DIFFERENCES);
    let name = |id| {
        let who = after.principals.iter().find(|who: &&Principal| who.id == id);
        who.map(|who| who.actor.to_string()).unwrap_or_default()
    };
    let told = told.into_iter().map(|change| Difference {
        subject: name(change.who),
        action: change.action,
        resource: written(&targets[change.target]),
        alias: change.alias.map(|alias| alias.to_string()),
        gains: change.gains,
    });
    Ok(Outcome::Dry(told.collect(), is_all))
}

/// `model:fraud`
fn written(target: &Target) -> String {
    let name = target.name.as_deref().unwrap_or_default();
    match target.kind {
        Kind::Platform => "*".to_owned(),
        Kind::Model => format!("model:{name}"),
        Kind::Endpoint => format!("endpoint:{name}"),
        Kind::Experiment => format!("experiment:{name}"),
        Kind::Team => format!("team:{name}"),
    }
}

/// How the audit trail describes a grant.
fn describe_given(given: &Given) -> Value {
    let Given { grant, subject, resource, reason, .. } = given;
    describe(grant, subject, resource, reason.as_deref())
}

pub(crate) fn describe(
    grant: &Grant,
    subject: &Subject,
    resource: &str,
    reason: Option<&str>,
) -> Value {
    let Conditions { kind, env, alias, tag, not_before, expires_at } = &grant.conditions;
    json!({
        "id": grant.id, "subject": subject.to_string(), "effect": grant.effect.as_str(),
        "action": grant.privilege.to_string(), "resource": resource,
        "kind": kind.map(Kind::as_str), "env": env, "alias": alias,
        "tag": tag.as_ref().map(|(key, value)| format!("{key}={value}")),
        "not_before": not_before, "expires_at": expires_at, "reason": reason,
    })
}

fn require_revision(
    name: &str,
    old: Option<&Written>,
    if_revision: Option<i32>,
) -> Result<(), Problem> {
    let is = old.map_or(0, |old| old.revision);
    if if_revision.is_none_or(|wanted| wanted == is) {
        return Ok(());
    }
    let message = format!("the policy `{name}` has revision {is}: somebody changed it meanwhile");
    Err(Problem::conflict(message).at("if_revision").hint("read it again"))
}

/// A policy that may not decide, with the place in its text.
fn refused(error: PolicyError) -> Problem {
    let PolicyError { line, column, message, help, .. } = error;
    let problem = Problem::invalid("text", format!("line {line}, column {column}: {message}"));
    match help {
        Some(help) => problem.hint(help),
        None => problem,
    }
}

/// A policy that was stored by a binary which could read it.
fn unreadable(error: PolicyError) -> Problem {
    Problem::conflict(error.to_string())
        .hint("mend or remove that policy first: bottega policies list")
}
