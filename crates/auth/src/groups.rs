//! Groups: who is in one has what it was granted. They own nothing, and are nobody's home.

use domain::{
    Problem,
    access::{Subject, SubjectKind, SubjectName},
};
use serde_json::{Value, json};
use store::{
    Change, access,
    groups::{self, Group},
    subjects,
};

use crate::{
    Authenticator, Permit, Result,
    accounts::{absent, require_administrator},
    verbs,
};

/// The longest description, in characters.
const DESCRIPTION: usize = 1024;

impl Authenticator {
    /// Makes a group.
    ///
    /// # Errors
    /// The name is taken, or looks like one that is; the description is too long; the database is
    /// away.
    pub async fn create_group(
        &self,
        permit: &Permit<verbs::Administer>,
        name: &SubjectName,
        description: Option<String>,
    ) -> Result<Group> {
        check(description.as_deref())?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let kind = SubjectKind::Group;
        let id = subjects::insert(&mut change, kind, name, "", permit.actor()).await?;
        groups::describe(&mut change, id, description.as_deref()).await?;
        let number = groups::number(&mut change, id).await?;
        let made = Group { id, number, name: name.to_string(), description };
        self.told(change, permit, "group.created", (None, Some(&made)), Value::Null).await?;
        Ok(made)
    }

    /// Calls a group something else, or says otherwise what it is for; what is absent stays.
    ///
    /// # Errors
    /// There is none of that number; the name is taken; the description is too long; the database is
    /// away.
    pub async fn change_group(
        &self,
        permit: &Permit<verbs::Administer>,
        number: i64,
        name: Option<SubjectName>,
        description: Option<String>,
    ) -> Result<Group> {
        check(description.as_deref())?;
        let (mut change, before) = self.locked(number).await?;
        let mut after = before.clone();
        if let Some(name) = name {
            groups::rename(&mut change, before.id, &name).await?;
            after.name = name.to_string();
        }
        if description.is_some() {
            groups::describe(&mut change, before.id, description.as_deref()).await?;
            after.description = description;
        }
        let states = (Some(&before), Some(&after));
        self.told(change, permit, "group.changed", states, Value::Null).await?;
        Ok(after)
    }

    /// Deletes a group with what it was granted. Its members stay.
    ///
    /// # Errors
    /// There is none of that number; the last administrator is one through it; the database is away.
    pub async fn delete_group(
        &self,
        permit: &Permit<verbs::Administer>,
        number: i64,
    ) -> Result<()> {
        let (mut change, before) = self.locked(number).await?;
        subjects::delete(&mut change, before.id).await?;
        require_administrator(&mut change).await?;
        self.told(change, permit, "group.deleted", (Some(&before), None), Value::Null).await
    }

    /// Puts an account into a group. Answers the number of the membership.
    ///
    /// # Errors
    /// There is no such account, or no group of that number; it was in it before; the database is
    /// away.
    pub async fn join_group(
        &self,
        permit: &Permit<verbs::Administer>,
        number: i64,
        member: &Subject,
    ) -> Result<i64> {
        let (mut change, group) = self.locked(number).await?;
        let account = subjects::lock(&mut change, member).await?.ok_or_else(|| absent(member))?;
        let joined = groups::add(&mut change, group.id, account.id, permit.actor()).await?;
        let joined = joined.ok_or_else(|| {
            Problem::conflict(format!("`{member}` is in the group `{}`", group.name)).at("member")
        })?;
        let detail = json!({"member": member.to_string()});
        let states = (Some(&group), Some(&group));
        self.told(change, permit, "group.member-added", states, detail).await?;
        Ok(joined)
    }

    /// Takes an account out of a group. `false` if it was not in it.
    ///
    /// # Errors
    /// There is no such account, or no group of that number; the last administrator is one through
    /// the group; the database is away.
    pub async fn leave_group(
        &self,
        permit: &Permit<verbs::Administer>,
        number: i64,
        member: &Subject,
    ) -> Result<bool> {
        let (mut change, group) = self.locked(number).await?;
        let account = subjects::lock(&mut change, member).await?.ok_or_else(|| absent(member))?;
        if !groups::remove(&mut change, group.id, account.id).await? {
            return Ok(false);
        }
        require_administrator(&mut change).await?;
        let detail = json!({"member": member.to_string()});
        let states = (Some(&group), Some(&group));
        self.told(change, permit, "group.member-removed", states, detail).await?;
        Ok(true)
    }

    /// Raising the revision first, changes of groups come one after the other.
    async fn locked(&self, number: i64) -> Result<(Change, Group)> {
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let group = groups::lock(&mut change, number).await?;
        Ok((change, group.ok_or_else(|| Problem::not_found("group", number).at("group"))?))
    }

    async fn told(
        &self,
        mut change: Change,
        permit: &Permit<verbs::Administer>,
        what: &'static str,
        (before, after): (Option<&Group>, Option<&Group>),
        mut detail: Value,
    ) -> Result<()> {
        let named = |group: &Group| format!("group:{}", group.name);
        let group = before.or(after).map(named).unwrap_or_default();
        if detail.is_null() {
            detail = json!({});
        }
        detail["group"] = json!(group);
        let described = |group: &Group| json!({"group": named(group), "id": group.id, "description": group.description});
        let (was, is) = (before.map(described), after.map(described));
        change.emit(what, &group, &detail).await?;
        change.commit(&permit.event(what, detail).changed(was.as_ref(), is.as_ref())).await?;
        Ok(self.refresh().await?)
    }
}

fn check(description: Option<&str>) -> Result<(), Problem> {
    let is_wrong = |text: &str| text.chars().count() > DESCRIPTION || text.contains('\0');
    if description.is_some_and(is_wrong) {
        let message = format!("expected at most {DESCRIPTION} characters");
        return Err(Problem::invalid("description", message));
    }
    Ok(())
}
