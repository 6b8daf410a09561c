//! What decides: the roles' policies, the grants and the administrator's own policies, by Cedar.
//!
//! No I/O and no clock: whoever asks brings the facts of the caller and of the thing
//! ([`domain::access`]) and the time. [`Policies`] is made whole when a grant or a policy changes,
//! and shared. Each grant is a Cedar policy ([`grants`]); a decision looks at those of the caller,
//! of their teams, and of the place and what it is in, and at the administrator's own.
//!
//! A `forbid` beats every `permit`; one that cannot be evaluated counts as one that holds.

mod changes;
mod custom;
mod decision;
mod entities;
mod error;
mod explain;
mod grants;
mod roles;
mod rules;
mod visible;

#[cfg(test)]
mod tests;

use domain::{
    Action, SubjectId,
    access::{Circumstances, Grant, Place, Principal, Privilege, Subject, Target},
};

pub use changes::{Change, Scope};
pub use custom::PolicyText;
pub use decision::{Decision, Failure, PolicyRef};
pub use error::PolicyError;
pub use explain::{Explanation, Missed, Near, Remedy};
pub use roles::{role_actions, role_text};
pub use rules::NotGranted;

/// All that decides, compiled. Immutable.
#[derive(Debug)]
pub struct Policies {
    grants: grants::Grants,
    custom: custom::Custom,
}

/// Finds a user, a team or a service account by name.
pub type Names<'a> = &'a dyn Fn(&Subject) -> Option<SubjectId>;

impl Policies {
    /// Compiles them. A name that `names` does not know (any more) stands for nobody.
    ///
    /// # Errors
    /// A text is not a policy that may decide: syntax, a word that the schema does not have, `view`.
    /// What is stored may say so after an upgrade: see [`Policies::of_administrators`].
    pub fn new(
        grants: Vec<Grant>,
        custom: &[PolicyText],
        names: Names<'_>,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            grants: grants::Grants::new(grants),
            custom: custom::Custom::new(custom, names)?,
        })
    }

    /// What decides while a policy that is stored cannot be read, so that somebody can mend it:
    /// who may administer the platform may that, and everybody else nothing.
    #[must_use]
    pub fn of_administrators(grants: Vec<Grant>) -> Self {
        let administers = |grant: &Grant| {
            grant.place == Place::Everything && grants::covers(grant.privilege, Action::Administer)
        };
        let alone = |grant| Grant { privilege: Privilege::Action(Action::Administer), ..grant };
        let grants = grants.into_iter().filter(administers).map(alone).collect();
        Self { grants: grants::Grants::new(grants), custom: custom::Custom::default() }
    }

    /// Whether `text` may be saved. Stricter than [`Policies::new`]: whom it names must be there.
    ///
    /// # Errors
    /// As there, and a name that `names` does not know.
    pub fn check(text: &PolicyText, names: Names<'_>) -> Result<(), PolicyError> {
        custom::check(text, names)
    }

    /// Whether `who` may do `action` to `target`.
    #[must_use]
    pub fn decide(
        &self,
        who: &Principal,
        action: Action,
        target: &Target,
        when: &Circumstances,
    ) -> Decision {
        let slice: Vec<_> = self.grants.slice(who, action, target).collect();
        decision::decide(&slice, &self.custom, &decision::Question { who, action, target, when })
    }
}
