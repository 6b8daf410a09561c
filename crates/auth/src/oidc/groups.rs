//! What being in a group of the provider gives. It takes effect when somebody logs in.

use domain::{
    MappingId, Problem,
    access::{Role, Subject, SubjectKind},
};
use serde_json::{Value, json};
use store::{
    Change,
    oidc::groups::{self, Gives, Mapping},
    subjects,
};

use super::Oidc;
use crate::{Permit, Result, accounts::absent, verbs};

/// The longest name of a group, in characters.
const NAME: usize = 500;

/// What a group shall give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Membership of the team of that name.
    Team(String),
    /// A role on everything.
    Role(Role),
}

impl Oidc {
    /// All of them, by group.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_groups(&self, _permit: &Permit<verbs::Administer>) -> Result<Vec<Mapping>> {
        Ok(groups::list(&self.database).await?)
    }

    /// Says that whoever logs in and is in a group gets something.
    ///
    /// # Errors
    /// They get it already; there is no such team; the database is away.
    pub async fn add_group(
        &self,
        permit: &Permit<verbs::Administer>,
        group: &str,
        wanted: Wanted,
    ) -> Result<Mapping> {
        check_name(group)?;
        let mut change = Change::begin(&self.database).await?;
        let gives = match wanted {
            Wanted::Role(role) => Gives::Role(role),
            Wanted::Team(name) => {
                let team = Subject { kind: SubjectKind::Team, name };
                let found = subjects::lock(&mut change, &team).await?;
                Gives::Team(found.ok_or_else(|| absent(&team))?.id, team.name)
            }
        };
        let id = groups::insert(&mut change, group, &gives, permit.actor()).await?;
        let (group, created_by) = (group.to_owned(), permit.actor().to_string());
        let made = Mapping { id, group, gives, created_by, created_at: change.now() };
        let event = permit.event("oidc.group-added", json!({"id": id}));
        change.commit(&event.changed(None, Some(&described(&made)))).await?;
        Ok(made)
    }

    /// Takes back what a group gives: whoever has it loses it at their next log-in.
    ///
    /// # Errors
    /// There is none of that id; the database is away.
    pub async fn remove_group(
        &self,
        permit: &Permit<verbs::Administer>,
        id: MappingId,
    ) -> Result<()> {
        let mut change = Change::begin(&self.database).await?;
        let gone = groups::delete(&mut change, id).await?;
        let gone = gone.ok_or_else(|| Problem::not_found("group", id))?;
        let event = permit.event("oidc.group-removed", json!({"id": id}));
        Ok(change.commit(&event.changed(Some(&described(&gone)), None)).await?)
    }
}

fn check_name(group: &str) -> Result<(), Problem> {
    let length = group.chars().count();
    if (1..=NAME).contains(&length) && !group.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("expected 1 to {NAME} characters, as the provider writes the group");
    Err(Problem::invalid("group", message))
}

fn described(mapping: &Mapping) -> Value {
    match &mapping.gives {
        Gives::Team(_, name) => json!({"group": mapping.group, "team": name}),
        Gives::Role(role) => json!({"group": mapping.group, "role": role.as_str()}),
    }
}
