//! The dry run: who would lose and gain what, before a change is saved.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{
    Action, AliasName, SubjectId, Timestamp,
    access::{Circumstances, Grant, Principal, Target},
};

use crate::{Policies, grants};

/// One thing that one subject may after a change and not before, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub who: SubjectId,
    /// To which of the targets.
    pub target: usize,
    /// What.
    pub action: Action,
    /// With which alias.
    pub alias: Option<AliasName>,
    /// Whether they gain it, or lose it.
    pub gains: bool,
}

/// What differs between two sets.
struct Difference<'a> {
    grants: HashMap<SubjectId, Vec<&'a Grant>>,
    /// What the policies speak of that are not the same.
    actions: BTreeSet<Action>,
}

/// Whom and what a dry run is about.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Whose rights.
    pub subjects: &'a [Principal],
    /// To what.
    pub targets: &'a [Target],
    /// The aliases that there are. Those of the subjects' grants are looked at in any case.
    pub aliases: &'a [AliasName],
    /// When.
    pub now: Timestamp,
}

impl Policies {
    /// What changes if `next` takes the place of these. Found one by one, so that whoever asks may
    /// stop. Subjects and actions that the difference cannot touch are not asked for; a change of
    /// a policy (not of a grant) asks for each subject and target.
    pub fn changes<'a>(
        &'a self,
        next: &'a Self,
        scope: Scope<'a>,
    ) -> impl Iterator<Item = Change> + 'a {
        let difference = Difference::between(self, next);
        scope.subjects.iter().flat_map(move |who| {
            let given = difference.given(who);
            let actions = difference.actions.clone();
            let aliases = self.aliases(next, who, scope.aliases);
            let is_touched = !given.is_empty() || !actions.is_empty();
            let targets = if is_touched { scope.targets } else { &[] };
            targets.iter().enumerate().flat_map(move |(number, target)| {
                let actions = touched(&given, &actions, target);
                questions(actions, &aliases, scope.now).into_iter().filter_map(
                    move |(action, when)| {
                        let before = self.decide(who, action, target, &when).allowed;
                        let gains = next.decide(who, action, target, &when).allowed;
                        let alias = when.alias;
                        let change = Change { who: who.id, target: number, action, alias, gains };
                        (before != gains).then_some(change)
                    },
                )
            })
        })
    }

    /// The aliases for which `who` may have another answer than for none.
    fn aliases(&self, next: &Self, who: &Principal, known: &[AliasName]) -> BTreeSet<AliasName> {
        let grants = self.grants.of(who).chain(next.grants.of(who));
        grants.filter_map(|grant| grant.conditions.alias.clone()).chain(known.to_vec()).collect()
    }
}

/// The actions on the target whose answer may differ.
fn touched(given: &[&Grant], of_policies: &BTreeSet<Action>, target: &Target) -> BTreeSet<Action> {
    let places: Vec<_> = grants::around(target).collect();
    let mut actions = of_policies.clone();
    for grant in given.iter().filter(|grant| places.contains(&grant.place)) {
        actions.extend(
            Action::ALL.into_iter().filter(|action| grants::covers(grant.privilege, *action)),
        );
    }
    actions
}

/// Each action, and `promote` for no alias in particular and for each that is spoken of.
fn questions(
    actions: BTreeSet<Action>,
    aliases: &BTreeSet<AliasName>,
    now: Timestamp,
) -> Vec<(Action, Circumstances)> {
    let mut questions = Vec::new();
    for action in actions {
        questions.push((action, Circumstances { alias: None, now }));
        if action == Action::Promote {
            let with = |alias: &AliasName| Circumstances { alias: Some(alias.clone()), now };
            questions.extend(aliases.iter().map(|alias| (action, with(alias))));
        }
    }
    questions
}

impl<'a> Difference<'a> {
    fn between(before: &'a Policies, after: &'a Policies) -> Self {
        let mut difference = Self { grants: HashMap::new(), actions: BTreeSet::new() };
        for (one, other) in [(before, after), (after, before)] {
            let known: HashSet<_> = other.grants.all().map(|held| &held.grant).collect();
            for held in one.grants.all().filter(|held| !known.contains(&held.grant)) {
                difference.grants.entry(held.grant.subject).or_default().push(&held.grant);
            }
            difference.actions.extend(one.custom.beyond(&other.custom));
        }
        difference
    }

    /// The grants among them that are `who`'s.
    fn given(&self, who: &Principal) -> Vec<&'a Grant> {
        let given = grants::subjects(who).filter_map(|subject| self.grants.get(&subject));
        given.flatten().copied().collect()
    }
}
