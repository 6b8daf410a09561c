//! Deleting accounts and teams: whoever gets the name later is somebody else, and inherits nothing.

use domain::{
    Problem, SubjectId,
    access::{Subject, SubjectKind},
};
use policy::{Policies, PolicyText};
use serde_json::json;
use store::{Change, access, subjects, teams, usage};

use crate::{
    Authenticator, Permit, Result,
    accounts::{absent, require_administrator},
    verbs,
};

/// The account that the platform's own token is of.
const BUILT_IN: &str = "admin";

/// How many of the things that a team owns are named.
const NAMED: i64 = 10;

impl Authenticator {
    /// Deletes a user or a service account. Their tokens, sessions, memberships, grants and quotas
    /// go at once; what they made stays, and so does their name in the audit trail.
    ///
    /// # Errors
    /// There is none such; it is the account of the platform's own token, the last administrator's,
    /// or one that a policy names; the database is away.
    pub async fn delete_account(
        &self,
        permit: &Permit<verbs::Administer>,
        subject: &Subject,
    ) -> Result<()> {
        if subject.kind == SubjectKind::User && subject.name == BUILT_IN {
            let message = format!("`{subject}` is whom the platform's own token is of: it stays");
            let hint = format!("keep them out instead: bottega users disable {BUILT_IN}");
            return Err(Problem::conflict(message).hint(hint).into());
        }
        let before = self.account(subject).await?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let found = subjects::lock(&mut change, subject).await?.ok_or_else(|| absent(subject))?;
        unnamed(&mut change, subject).await?;
        usage::rename(&mut change, &subject.to_string(), &former(subject, found.id)).await?;
        subjects::delete(&mut change, found.id).await?;
        require_administrator(&mut change).await?;
        let what = match subject.kind {
            SubjectKind::Service => "service.deleted",
            SubjectKind::User | SubjectKind::Team | SubjectKind::Group => "user.deleted",
        };
        change.emit(what, &subject.to_string(), &json!({})).await?;
        let detail = json!({"subject": subject.to_string(), "id": found.id});
        let was = json!({
            "display_name": before.display_name, "email": before.email, "teams": before.teams,
            "home_team": before.home_team, "disabled": before.disabled_at.is_some(),
        });
        change.commit(&permit.event(what, detail).changed(Some(&was), None)).await?;
        Ok(self.refresh().await?)
    }

    /// Deletes a team that owns nothing. Its members stay, in their other teams.
    ///
    /// # Errors
    /// There is none such; it owns something; the last administrator is one through it; a policy
    /// names it; the database is away.
    pub async fn delete_team(&self, permit: &Permit<verbs::Administer>, name: &str) -> Result<()> {
        let team = Subject { kind: SubjectKind::Team, name: name.to_owned() };
        let before = self.team(name).await?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let found = subjects::lock(&mut change, &team).await?.ok_or_else(|| absent(&team))?;
        owns_nothing(&mut change, &team, found.id).await?;
        unnamed(&mut change, &team).await?;
        let former = former(&team, found.id);
        let former = former.strip_prefix("team:").unwrap_or(&former);
        usage::rename_team(&mut change, name, former).await?;
        teams::empty(&mut change, found.id).await?;
        subjects::delete(&mut change, found.id).await?;
        require_administrator(&mut change).await?;
        change.emit("team.deleted", &team.to_string(), &json!({})).await?;
        let detail = json!({"team": team.to_string(), "id": found.id});
        let was = json!({"display_name": before.display_name, "members": before.members});
        change.commit(&permit.event("team.deleted", detail).changed(Some(&was), None)).await?;
        Ok(self.refresh().await?)
    }
}

/// What a subject's use is kept under from now on. No name has a `~`.
fn former(subject: &Subject, id: SubjectId) -> String {
    format!("{subject}~{id}")
}

/// Refuses a team that owns something, with what that is.
async fn owns_nothing(change: &mut Change, team: &Subject, id: SubjectId) -> Result<(), Problem> {
    let (owned, all) = teams::owned(change, id, NAMED).await.map_err(Problem::from)?;
    if owned.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = owned
        .iter()
        .map(|owned| match owned.is_deleted {
            true => format!("{} (deleted, and kept for a while)", owned.resource),
            false => owned.resource.clone(),
        })
        .collect();
    let more = usize::try_from(all).unwrap_or_default().saturating_sub(named.len());
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let message = format!("`{team}` owns {}", named.join(", "));
    Err(Problem::conflict(message)
        .at("team")
        .hint("delete these for good, or give them to another team, first"))
}

/// Refuses to delete whom a policy names: a later one of that name would stand in their place.
async fn unnamed(change: &mut Change, subject: &Subject) -> Result<(), Problem> {
    let snapshot = access::within(change).await.map_err(Problem::from)?;
    let with = |other: &Subject| snapshot.names.get(other).copied();
    let without = |other: &Subject| with(other).filter(|_| other != subject);
    for (name, text) in &snapshot.policies {
        let policy = PolicyText { name: name.clone(), text: text.clone() };
        if Policies::check(&policy, &with).is_ok() && Policies::check(&policy, &without).is_err() {
            let message = format!("the policy `{name}` names `{subject}`");
            return Err(Problem::conflict(message)
                .hint("change or remove the policy first: bottega policies list"));
        }
    }
    Ok(())
}
