//! What somebody may, all grants and policies taken together.

use domain::{
    Action, Problem, Resource, SubjectId,
    access::{Circumstances, Kind, Place, Subject, Target},
};

use super::Access;
use crate::{Caller, grants::oversees, verbs};

/// To what.
#[derive(Debug, Clone, Copy)]
pub enum On<'a> {
    /// This.
    One(&'a Resource),
    /// Any one of these, whoever owns it.
    Any(Kind),
}

/// What a subject may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// What they may.
    pub allowed: Vec<Action>,
    /// Whether something denies that they see it, rather than nothing giving it.
    pub denied: bool,
}

impl Access {
    /// What a subject may do to something: told to themselves, to who administers the thing, and to
    /// who administers or audits the platform. Nothing of what is not there, or not to be seen.
    ///
    /// # Errors
    /// There is no such subject; the caller may not ask; the database is away.
    pub async fn rights(
        &self,
        caller: &Caller,
        subject: &Subject,
        on: On<'_>,
    ) -> Result<Rights, Problem> {
        let live = self.live()?;
        let target = match on {
            On::One(resource) => self.target(caller, resource).await?,
            On::Any(kind) => Target::new_of(kind).into(),
        };
        let is_own = Subject::try_from(&caller.actor).is_ok_and(|own| own == *subject);
        if !is_own {
            let resource = match on {
                On::One(resource) => resource,
                On::Any(_) => &Resource::Platform,
            };
            if !self.may_with::<verbs::Administer>(caller, resource, &target)? {
                oversees(self, caller).await?;
            }
        }
        if !live.names.contains_key(subject) {
            return Err(Problem::not_found(subject.kind.as_str(), &subject.name).at("subject"));
        }
        let is_absent = matches!(on, On::One(_)) && target.place.is_none();
        let Some(who) = live.named(subject).filter(|_| !is_absent) else {
            return Ok(Rights::default());
        };
        let when = Circumstances { alias: None, now: self.now() };
        let decide = |action| live.policies.decide(who, action, &target, &when);
        let view = decide(Action::View);
        if is_own && !view.allowed {
            return Ok(Rights::default());
        }
        let allowed = Action::ALL.into_iter().filter(|action| decide(*action).allowed);
        let denied = !view.allowed && !view.policies.is_empty();
        Ok(Rights { allowed: allowed.collect(), denied })
    }

    /// Whether an account may administer the platform.
    ///
    /// # Errors
    /// The database is away for too long.
    pub fn administers(&self, account: SubjectId) -> Result<bool, Problem> {
        let live = self.live()?;
        let platform = Target::of(Place::Everything);
        let when = Circumstances { alias: None, now: self.now() };
        let may = |who| live.policies.decide(who, Action::Administer, &platform, &when).allowed;
        Ok(live.by_id(account).is_some_and(may))
    }
}
