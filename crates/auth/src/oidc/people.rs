//! Whoever a provider vouches for, as a user here: found or made, and given what their groups give.

use std::collections::BTreeSet;

use domain::{
    AuditEvent, ErrorCode, Problem, Resource, SubjectId,
    access::{Role, Subject, SubjectKind, SubjectName},
};
use serde_json::{Value, json};
use store::{
    Change, access, accounts, grants,
    oidc::{
        groups::{self, Gives, Held, Mapping},
        identities,
    },
    subjects, teams,
};

use super::{Oidc, Provider};
use crate::{Permit, Result, grants::require_administrator, verbs};

/// The most groups of somebody that are looked at.
const GROUPS: usize = 10_000;

/// Somebody as a provider tells of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// What the provider calls them, for good.
    pub subject: String,
    /// What a user made of them is to be called.
    pub name: Option<String>,
    pub display_name: String,
    pub groups: Vec<String>,
}

/// A user who may come in.
pub(super) struct Entered {
    pub id: SubjectId,
    pub user: String,
    /// Whether something about who may do what has changed.
    pub changed: bool,
}

/// What the groups of somebody change.
#[derive(Debug, Default)]
struct Plan {
    join: Vec<(SubjectId, String, String)>,
    leave: Vec<(SubjectId, String)>,
    give: Vec<(Role, String)>,
    take: Vec<(domain::GrantId, Role)>,
}

impl Plan {
    fn of(mappings: Vec<Mapping>, held: &Held) -> Self {
        let (mut plan, mut teams, mut roles) = (Self::default(), BTreeSet::new(), BTreeSet::new());
        for Mapping { group, gives, .. } in mappings {
            match gives {
                Gives::Team(id, name) => {
                    if teams.insert(id) && !held.teams.contains(&id) {
                        plan.join.push((id, name, group));
                    }
                }
                Gives::Role(role) => {
                    let has = held.roles_by_group.iter().any(|(_, held)| *held == role);
                    if roles.insert(role) && !has {
                        plan.give.push((role, group));
                    }
                }
            }
        }
        let left = |(id, _): &&(SubjectId, String)| !teams.contains(id);
        plan.leave = held.teams_by_group.iter().filter(left).cloned().collect();
        let lost = |(_, role): &&(domain::GrantId, Role)| !roles.contains(role);
        plan.take = held.roles_by_group.iter().filter(lost).copied().collect();
        plan
    }

    fn is_empty(&self) -> bool {
        self.join.is_empty()
            && self.leave.is_empty()
            && self.give.is_empty()
            && self.take.is_empty()
    }
}

impl Oidc {
    /// The user whom a provider vouches for, with what their groups give, in this change.
    pub(super) async fn enter(
        &self,
        change: &mut Change,
        provider: &Provider,
        person: &Person,
    ) -> Result<Entered> {
        let mut changed = false;
        let mut found = identities::find(change, &provider.issuer, &person.subject).await?;
        if found.is_none() {
            // Two of the same at once come one after the other.
            access::raise(change).await?;
            changed = true;
            found = identities::find(change, &provider.issuer, &person.subject).await?;
        }
        let (id, user) = match found {
            Some(user) if user.disabled => {
                let message = format!("the user `{}` is disabled", user.user);
                return Err(Problem::new(ErrorCode::Forbidden, message)
                    .hint("ask an administrator")
                    .into());
            }
            Some(user) => (user.account, user.user),
            None => self.make(change, provider, person).await?,
        };
        identities::touch(change, &provider.issuer, &person.subject).await?;
        changed |= self.follow_groups(change, id, &user, &person.groups).await?;
        Ok(Entered { id, user, changed })
    }

    fn permit(&self) -> Permit<verbs::Administer> {
        self.access.system::<verbs::Administer>("oidc", Resource::Platform)
    }

    /// Makes a user of somebody who comes for the first time, where that is wanted.
    async fn make(
        &self,
        change: &mut Change,
        provider: &Provider,
        person: &Person,
    ) -> Result<(SubjectId, String)> {
        let (subject, issuer) = (&person.subject, &provider.issuer);
        let link = |name: &str| {
            format!(
                "an administrator says who you are: bottega oidc identities link {name} --subject '{subject}'"
            )
        };
        if !provider.create_users {
            let message = format!("you are `{subject}` there, which is no user here yet");
            return Err(Problem::new(ErrorCode::Forbidden, message).hint(link("NAME")).into());
        }
        let unnamed = |why: &str| {
            let message = format!("you are `{subject}` there, and no user can be made: {why}");
            Problem::new(ErrorCode::Forbidden, message).hint(link("NAME"))
        };
        let claim = &provider.name_claim;
        let name = person.name.as_deref();
        let name = name.ok_or_else(|| unnamed(&format!("the provider tells no `{claim}`")))?;
        let name: SubjectName =
            name.parse().map_err(|problem: Problem| unnamed(&problem.message))?;
        let permit = self.permit();
        let (kind, by) = (SubjectKind::User, permit.actor());
        let made = subjects::insert(change, kind, &name, &person.display_name, by).await;
        let id = made.map_err(|error| match crate::Error::from(error) {
            // Whoever has the name must say that they are the same.
            crate::Error::Refused(problem) => {
                let message = format!(
                    "you are `{subject}` there, and no user can be made: {}",
                    problem.message
                );
                Problem::new(ErrorCode::Forbidden, message).hint(link(name.as_str())).into()
            }
            error => error,
        })?;
        accounts::insert(change, id, None).await?;
        identities::insert(change, issuer, subject, id, by).await?;
        let user = Subject { kind, name: name.to_string() }.to_string();
        change.emit("user.created", &user, &json!({})).await?;
        let after = json!({
            "subject": user, "display_name": person.display_name, "issuer": issuer, "identity": subject,
        });
        let event = permit.event("user.created", json!({"subject": user}));
        change.record(&event.changed(None, Some(&after))).await?;
        Ok((id, name.to_string()))
    }

    /// Gives and takes what groups give. What was given by hand is not looked at.
    async fn follow_groups(
        &self,
        change: &mut Change,
        id: SubjectId,
        user: &str,
        groups: &[String],
    ) -> Result<bool> {
        let groups = groups.get(..GROUPS).unwrap_or(groups);
        let planned = |mappings, held: &Held| Plan::of(mappings, held);
        let plan = planned(groups::of(change, groups).await?, &groups::held(change, id).await?);
        if plan.is_empty() {
            return Ok(false);
        }
        // From here on nobody else changes who may do what: looked at again, it stays so.
        access::raise(change).await?;
        let mut plan = planned(groups::of(change, groups).await?, &groups::held(change, id).await?);
        let (permit, subject) = (self.permit(), format!("user:{user}"));
        self.add(change, &permit, id, &subject, &plan).await?;
        if self.leaves_no_administrator(change, id, &plan).await? {
            let detail =
                json!({"subject": subject, "why": "nobody else could administer the platform"});
            change.record(&permit.event("oidc.groups-kept", detail).refused()).await?;
            (plan.leave, plan.take) = (Vec::new(), Vec::new());
        }
        for (team, name) in &plan.leave {
            teams::remove(change, *team, id).await?;
            let detail = json!({"team": format!("team:{name}"), "member": subject});
            tell(change, permit.event("team.member-removed", detail)).await?;
        }
        for (grant, role) in &plan.take {
            grants::delete(change, *grant).await?;
            let before = described(*grant, &subject, *role);
            let event = permit.event("grant.removed", json!({}));
            tell(change, event.changed(Some(&before), None)).await?;
        }
        Ok(true)
    }

    async fn add(
        &self,
        change: &mut Change,
        permit: &Permit<verbs::Administer>,
        id: SubjectId,
        subject: &str,
        plan: &Plan,
    ) -> Result<()> {
        for (team, name, group) in &plan.join {
            teams::add(change, *team, id, permit.actor()).await?;
            groups::mark_member(change, *team, id).await?;
            let detail = json!({"team": format!("team:{name}"), "member": subject, "group": group});
            tell(change, permit.event("team.member-added", detail)).await?;
        }
        for (role, group) in &plan.give {
            let grant = groups::grant(id, *role);
            let reason = format!("in the group `{group}`");
            let reason = reason.chars().take(1000).collect::<String>();
            grants::insert(change, &grant, None, Some(&reason), &permit.actor().to_string())
                .await?;
            groups::mark_grant(change, grant.id).await?;
            let after = described(grant.id, subject, *role);
            let event = permit.event("grant.added", json!({"group": group, "reason": reason}));
            tell(change, event.changed(None, Some(&after))).await?;
        }
        Ok(())
    }

    /// Whether nobody could administer the platform once that is taken away.
    async fn leaves_no_administrator(
        &self,
        change: &mut Change,
        id: SubjectId,
        plan: &Plan,
    ) -> Result<bool> {
        if plan.leave.is_empty() && plan.take.is_empty() {
            return Ok(false);
        }
        let mut after = access::within(change).await?;
        after.grants.retain(|grant| plan.take.iter().all(|(taken, _)| *taken != grant.id));
        for who in after.principals.iter_mut().filter(|who| who.id == id) {
            who.teams.retain(|team| plan.leave.iter().all(|(left, _)| left != team));
        }
        Ok(require_administrator(&after, change.now()).is_err())
    }
}

async fn tell(change: &mut Change, event: AuditEvent) -> Result<()> {
    change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
    Ok(change.record(&event).await?)
}

/// How the audit trail describes a grant that a group gave.
fn described(id: domain::GrantId, subject: &str, role: Role) -> Value {
    json!({
        "id": id, "subject": subject, "effect": "allow", "action": format!("role:{}", role.as_str()),
        "resource": "*",
    })
}
