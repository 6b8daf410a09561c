//! What decides now: swapped whole whenever a grant, a policy or an account changes.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use domain::{
    Action, ActorKind, AliasName, SubjectId, Timestamp,
    access::{Circumstances, Principal, Subject, SubjectKind, Target},
};
use policy::{Decision, Policies, PolicyError, PolicyText};
use quick_cache::{Equivalent, sync::Cache};
use store::access::Snapshot;

use crate::Caller;

/// How many decisions are remembered.
const DECISIONS: usize = 50_000;

/// Ids by name.
pub type Names = HashMap<Subject, SubjectId>;

/// Who there is and what decides, with the decisions that were made of it.
pub(crate) struct Live {
    pub revision: i64,
    pub policies: Policies,
    pub names: Names,
    pub homes: HashMap<SubjectId, SubjectId>,
    principals: HashMap<SubjectId, Principal>,
    teams: HashMap<SubjectId, String>,
    decisions: Cache<Asked, Arc<Decision>>,
}

impl Default for Live {
    /// Nobody may do anything.
    fn default() -> Self {
        Self::of(Snapshot::default())
    }
}

impl Live {
    pub fn of(snapshot: Snapshot) -> Self {
        let policies = compile(&snapshot).unwrap_or_else(|error| {
            tracing::error!(%error, "a policy cannot be read: all but administrators are refused");
            Policies::of_administrators(snapshot.grants.clone())
        });
        let Snapshot { revision, principals, homes, names, .. } = snapshot;
        let teams = names
            .iter()
            .filter(|(subject, _)| subject.kind == SubjectKind::Team)
            .map(|(subject, id)| (*id, subject.name.clone()))
            .collect();
        let principals = principals.into_iter().map(|who| (who.id, who)).collect();
        let decisions = Cache::new(DECISIONS);
        Self { revision, policies, names, homes, principals, teams, decisions }
    }

    pub fn principal(&self, caller: &Caller) -> Option<&Principal> {
        self.principals.get(&caller.subject?)
    }

    pub fn by_id(&self, id: SubjectId) -> Option<&Principal> {
        self.principals.get(&id)
    }

    pub fn named(&self, subject: &Subject) -> Option<&Principal> {
        self.principals.get(self.names.get(subject)?)
    }

    pub fn team_name(&self, id: SubjectId) -> Option<&str> {
        self.teams.get(&id).map(String::as_str)
    }

    /// Whether they may, from memory where that was decided before.
    pub fn decide(
        &self,
        caller: &Caller,
        action: Action,
        target: &Target,
        alias: Option<&AliasName>,
        now: impl Fn() -> Timestamp,
    ) -> Arc<Decision> {
        // Bottega itself may; nobody who calls is that.
        let Some(subject) = caller.subject else {
            return settled(caller.actor.kind == ActorKind::System);
        };
        let Some(who) = self.principals.get(&subject) else { return settled(false) };
        let asking = Asking { subject, action, target, alias };
        if let Some(known) = self.decisions.get(&asking)
            && known.valid_until.is_none_or(|end| now() < end)
        {
            return known;
        }
        let when = Circumstances { alias: alias.cloned(), now: now() };
        let decision = Arc::new(self.policies.decide(who, action, target, &when));
        self.decisions.insert(asking.into(), Arc::clone(&decision));
        decision
    }
}

/// A decision that no policy was asked for.
fn settled(allowed: bool) -> Arc<Decision> {
    let (policies, failures) = (Vec::new(), Vec::new());
    Arc::new(Decision { allowed, policies, failures, valid_until: None })
}

/// All that decides of a snapshot.
///
/// # Errors
/// A policy that is stored cannot be read.
pub(crate) fn compile(snapshot: &Snapshot) -> Result<Policies, PolicyError> {
    let texts: Vec<_> = snapshot
        .policies
        .iter()
        .map(|(name, text)| PolicyText { name: name.clone(), text: text.clone() })
        .collect();
    let find = |subject: &Subject| snapshot.names.get(subject).copied();
    Policies::new(snapshot.grants.clone(), &texts, &find)
}

/// A decision that was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    subject: SubjectId,
    action: Action,
    target: Target,
    alias: Option<AliasName>,
}

#[derive(PartialEq, Eq)]
struct Asking<'a> {
    subject: SubjectId,
    action: Action,
    target: &'a Target,
    alias: Option<&'a AliasName>,
}

/// By who does what to which thing: questions that differ in the rest alone are few.
impl Hash for Asking<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Target { kind, place, name, .. } = self.target;
        let to_be_made = place.is_none().then_some(name);
        (self.subject, self.action, kind, place, to_be_made).hash(state);
    }
}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { subject, action, target, alias } = self;
        let asking = Asking { subject: *subject, action: *action, target, alias: alias.as_ref() };
        asking.hash(state);
    }
}

impl Equivalent<Asked> for Asking<'_> {
    fn equivalent(&self, key: &Asked) -> bool {
        self.subject == key.subject
            && self.action == key.action
            && *self.target == key.target
            && self.alias == key.alias.as_ref()
    }
}

impl From<Asking<'_>> for Asked {
    fn from(asking: Asking<'_>) -> Self {
        let Asking { subject, action, target, alias } = asking;
        Self { subject, action, target: target.clone(), alias: alias.cloned() }
    }
}
