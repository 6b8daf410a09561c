//! Teams and their members.

use domain::{
    Problem,
    access::{Subject, SubjectKind, SubjectName},
    serving::Isolation,
};
use serde_json::json;
use store::{
    Change, access, subjects,
    teams::{self, Team},
};

use crate::{
    Authenticator, Permit, Result,
    accounts::{absent, check_display_name, require_administrator},
    verbs,
};

impl Authenticator {
    /// Makes a team. Its members may work as data scientists on what it will own.
    ///
    /// # Errors
    /// The name is taken, or looks like one that is; the database is away.
    pub async fn create_team(
        &self,
        permit: &Permit<verbs::Administer>,
        name: &SubjectName,
        display_name: &str,
    ) -> Result<Team> {
        check_display_name(display_name)?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let by = permit.actor();
        let id = subjects::insert(&mut change, SubjectKind::Team, name, display_name, by).await?;
        let grant = teams::grant_own(&mut change, id, by).await?;
        let team = format!("team:{name}");
        change.emit("team.created", &team, &json!({})).await?;
        change.emit("grant.added", &team, &json!({"grant": grant})).await?;
        let grant = json!({"id": grant, "subject": team, "action": "role:data-scientist", "resource": team});
        change.record(&permit.event("grant.added", grant)).await?;
        let after = json!({"team": team, "display_name": display_name});
        let event = permit.event("team.created", json!({"team": team}));
        change.commit(&event.changed(None, Some(&after))).await?;
        self.refresh().await?;
        self.team(name.as_str()).await
    }

    /// The team of that name.
    ///
    /// # Errors
    /// There is none; the database is away.
    pub async fn team(&self, name: &str) -> Result<Team> {
        let found = teams::find(&self.database, name).await?;
        Ok(found.ok_or_else(|| Problem::not_found("team", name))?)
    }

    /// Sets where a team's versions run, unless they say it themselves; takes it back with nothing.
    ///
    /// # Errors
    /// There is no such team; the database is away.
    pub async fn isolate_team(
        &self,
        permit: &Permit<verbs::Administer>,
        name: &str,
        isolation: Option<Isolation>,
    ) -> Result<Team> {
        let team = Subject { kind: SubjectKind::Team, name: name.to_owned() };
        let mut change = Change::begin(&self.database).await?;
        let row = subjects::lock(&mut change, &team).await?.ok_or_else(|| absent(&team))?;
        // Nobody changes it from here on.
        let before = self.team(name).await?;
        teams::set_isolation(&mut change, row.id, isolation).await?;
        let team = team.to_string();
        let detail = json!({"team": team, "isolation": isolation});
        change.emit("team.edited", &team, &detail).await?;
        let describe = |isolation: Option<Isolation>| json!({"team": team, "isolation": isolation});
        let event = permit.event("team.edited", detail);
        change
            .commit(&event.changed(Some(&describe(before.isolation)), Some(&describe(isolation))))
            .await?;
        self.team(name).await
    }

    /// Makes an account a member of a team: what the team may, it may. `false` if it was so before.
    ///
    /// # Errors
    /// One of the two is not there; the member is a team; the database is away.
    pub async fn add_member(
        &self,
        permit: &Permit<verbs::Administer>,
        team: &str,
        member: &Subject,
    ) -> Result<bool> {
        let (mut change, team, account) = self.both(team, member).await?;
        let added = teams::add(&mut change, team.id, account.id, permit.actor()).await?;
        if added {
            self.tell(change, permit, "team.member-added", &team.subject, member).await?;
        }
        Ok(added)
    }

    /// Ends a membership. `false` if there was none.
    ///
    /// # Errors
    /// One of the two is not there; the member is the last administrator through this team; the
    /// database is away.
    pub async fn remove_member(
        &self,
        permit: &Permit<verbs::Administer>,
        team: &str,
        member: &Subject,
    ) -> Result<bool> {
        let (mut change, team, account) = self.both(team, member).await?;
        let removed = teams::remove(&mut change, team.id, account.id).await?;
        if removed {
            require_administrator(&mut change).await?;
            self.tell(change, permit, "team.member-removed", &team.subject, member).await?;
        }
        Ok(removed)
    }

    async fn both(
        &self,
        team: &str,
        member: &Subject,
    ) -> Result<(Change, subjects::Row, subjects::Row)> {
        if matches!(member.kind, SubjectKind::Team | SubjectKind::Group) {
            let message = format!("`{member}`: members are users and service accounts");
            return Err(Problem::invalid("member", message)
                .hint("expected user:NAME or service:NAME")
                .into());
        }
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let team = Subject { kind: SubjectKind::Team, name: team.to_owned() };
        let found = subjects::lock(&mut change, &team).await?.ok_or_else(|| absent(&team))?;
        let account = subjects::lock(&mut change, member).await?.ok_or_else(|| absent(member))?;
        Ok((change, found, account))
    }

    async fn tell(
        &self,
        mut change: Change,
        permit: &Permit<verbs::Administer>,
        what: &'static str,
        team: &Subject,
        member: &Subject,
    ) -> Result<()> {
        let detail = json!({"team": team.to_string(), "member": member.to_string()});
        change.emit(what, &team.to_string(), &detail).await?;
        change.commit(&permit.event(what, detail)).await?;
        Ok(self.refresh().await?)
    }
}
