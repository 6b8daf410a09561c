//! What of a list a caller may see.

use domain::{
    Action, Timestamp,
    access::{Clause, Conditions, Effect, Grant, Kind, Place, Principal, Visible},
};

use crate::{Policies, grants};

impl Policies {
    /// What `who` may see of the things of a kind: as [`Policies::decide`] of `view` answers for
    /// each of them. Custom policies have no say in it.
    #[must_use]
    pub fn visible(&self, who: &Principal, kind: Kind, now: Timestamp) -> Visible {
        let mut visible = Visible::default();
        for grant in self.grants.of(who).filter(|grant| shows(grant, kind, now)) {
            let clauses = match grant.effect {
                Effect::Allow => &mut visible.allow,
                Effect::Deny => &mut visible.deny,
            };
            let Conditions { env, tag, .. } = grant.conditions.clone();
            let clause = Clause { place: grant.place, env, tag };
            if !clauses.contains(&clause) {
                clauses.push(clause);
            }
        }
        shorten(&mut visible.allow);
        shorten(&mut visible.deny);
        if visible.deny.iter().any(is_everything) {
            visible = Visible::default();
        }
        visible
    }
}

/// Whether the grant is for `view`, and can hold for a thing of the kind.
fn shows(grant: &Grant, kind: Kind, now: Timestamp) -> bool {
    let Conditions { kind: only, env, alias, tag, not_before, expires_at } = &grant.conditions;
    let place_fits = match grant.place {
        Place::Everything => true,
        Place::Team(_) => kind != Kind::Platform,
        Place::Model(_) | Place::Endpoint(_) | Place::Experiment(_) => grant.place.kind() == kind,
    };
    grants::covers(grant.privilege, Action::View)
        && place_fits
        && only.is_none_or(|only| only == kind)
        // Seeing moves no alias; environments are of endpoints, tags of what teams own.
        && alias.is_none()
        && (env.is_none() || kind == Kind::Endpoint)
        && (tag.is_none() || !matches!(kind, Kind::Platform | Kind::Team))
        && grants::in_time(*not_before, *expires_at, now)
}

fn is_everything(clause: &Clause) -> bool {
    clause.place == Place::Everything && clause.env.is_none() && clause.tag.is_none()
}

/// Everything makes all other clauses needless.
fn shorten(clauses: &mut Vec<Clause>) {
    if let Some(all) = clauses.iter().position(is_everything) {
        clauses.swap(0, all);
        clauses.truncate(1);
    }
}
