//! Who may grant what, and that somebody can.

use domain::{
    Action, Timestamp,
    access::{Circumstances, Effect, Grant, Place, Principal, Target},
};

use crate::{Decision, Policies, PolicyRef, grants};

/// Why somebody may not add or remove a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// They may not administer the place.
    #[error("only who may administer the place can grant on it")]
    NotAdministrator(Decision),
    /// Their own right ends before.
    #[error("your own right to administer it ends at {0}: a grant by you must end no later")]
    Outlives(Timestamp),
}

impl Policies {
    /// Whether `who` may add or remove `grant`, which is on `target`: only who may administer the
    /// place, and only for as long as that lasts. So none but who administers everything gives
    /// `administer`, `audit` or `view-data` on everything.
    ///
    /// # Errors
    /// They may not.
    pub fn may_grant(
        &self,
        who: &Principal,
        grant: &Grant,
        target: &Target,
        now: Timestamp,
    ) -> Result<Decision, NotGranted> {
        let when = Circumstances { alias: None, now };
        // Whoever brings another thing's facts gets no answer for this one.
        let target =
            Target { place: Some(grant.place), kind: grant.place.kind(), ..target.clone() };
        let decision = self.decide(who, Action::Administer, &target, &when);
        if !decision.allowed {
            return Err(NotGranted::NotAdministrator(decision));
        }
        let is_given =
            |held: &&grants::Held| decision.policies.contains(&PolicyRef::Grant(held.grant.id));
        let by_policy = decision.policies.iter().any(|used| matches!(used, PolicyRef::Policy(_)));
        let ends: Option<Vec<_>> = self
            .grants
            .slice(who, Action::Administer, &target)
            .filter(is_given)
            .map(|held| held.grant.conditions.expires_at)
            .collect();
        // The last of their rights to end counts; one without an end is for good.
        let end = ends.filter(|_| !by_policy).and_then(|ends| ends.into_iter().max());
        match end {
            Some(end)
                if grant.effect == Effect::Allow
                    && grant.conditions.expires_at.is_none_or(|at| at > end) =>
            {
                Err(NotGranted::Outlives(end))
            }
            _ => Ok(decision),
        }
    }

    /// Whether somebody of `active` may administer the platform, now and at every later moment
    /// that a grant knows of.
    #[must_use]
    pub fn has_administrator(&self, active: &[Principal], now: Timestamp) -> bool {
        let platform = Target::of(Place::Everything);
        let moments = self
            .grants
            .all()
            .filter(|held| {
                held.grant.place == Place::Everything
                    && grants::covers(held.grant.privilege, Action::Administer)
            })
            .flat_map(|held| [held.grant.conditions.not_before, held.grant.conditions.expires_at])
            .flatten()
            .filter(|at| *at > now);
        std::iter::once(now).chain(moments).all(|now| {
            let when = Circumstances { alias: None, now };
            active.iter().any(|who| self.decide(who, Action::Administer, &platform, &when).allowed)
        })
    }
}
