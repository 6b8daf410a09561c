//! `roles/…`: MLflow's roles are our groups. What a role permits is what its group was granted.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{ServiceConfig, delete, get, patch, post},
};
use auth::grants::oversees;
use domain::{
    SubjectId,
    access::{Subject, SubjectKind, SubjectName},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::groups::{self, Group, Member};

use crate::{
    experiments::done,
    permissions::{Before, Desk, Level, Permission, Place, third::grantable},
    refusal::{Answer, Code, Refusal},
    request::{Args, number, required},
};

/// Below `/api/3.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/roles/create", post().to(create))
        .route("/roles/get", get().to(show))
        .route("/roles/list", get().to(list))
        .route("/roles/update", patch().to(update))
        .route("/roles/delete", delete().to(remove))
        .route("/roles/assign", post().to(assign))
        .route("/roles/unassign", delete().to(unassign))
        .route("/roles/permissions/add", post().to(add))
        .route("/roles/permissions/remove", delete().to(take))
        .route("/roles/permissions/list", get().to(permissions))
        .route("/roles/permissions/update", patch().to(change))
        .route("/roles/users/list", get().to(users))
        .route("/users/roles/list", get().to(of_user));
}

/// What the names of MLflow's roles for single users begin with.
const RESERVED: &str = "__user_";

/// All roles, what they permit and who has them.
pub struct Known {
    roles: Vec<(Group, Vec<Permission>)>,
    members: Vec<Member>,
}

impl Known {
    /// Reads them, for whoever oversees the platform.
    pub async fn read(desk: &Desk) -> Result<Self, Refusal> {
        let groups = groups::list(&desk.database, None).await?;
        let mut given: HashMap<Subject, Vec<Permission>> = HashMap::new();
        for permission in desk.given(None).await? {
            given.entry(permission.subject.clone()).or_default().push(permission);
        }
        let roles = groups.into_iter().map(|group| {
            let permissions = given.remove(&subject(&group)).unwrap_or_default();
            (group, permissions)
        });
        let members = groups::members(&desk.database, None).await?;
        Ok(Self { roles: roles.collect(), members })
    }

    /// An account's roles.
    pub fn of(&self, account: SubjectId) -> Vec<Value> {
        let has = |group: &Group| {
            self.members.iter().any(|member| member.account == account && member.group == group.id)
        };
        let own = self.roles.iter().filter(|(group, _)| has(group));
        own.map(|(group, permissions)| role_json(group, permissions)).collect()
    }
}

fn subject(group: &Group) -> Subject {
    Subject { kind: SubjectKind::Group, name: group.name.clone() }
}

fn role_json(group: &Group, permissions: &[Permission]) -> Value {
    let permissions: Vec<_> =
        permissions.iter().map(|permission| permission_json(group.number, permission)).collect();
    json!({
        "id": group.number, "name": group.name, "workspace": "default",
        "description": group.description, "permissions": permissions,
    })
}

fn permission_json(role: i64, permission: &Permission) -> Value {
    let Permission { place, level, number, .. } = permission;
    json!({
        "id": number, "role_id": role, "resource_type": place.resource_type(),
        "resource_pattern": place.pattern(), "permission": level.as_str(),
    })
}

/// MLflow's words where there is no such role.
fn absent(role: i64) -> impl Fn(auth::Error) -> Refusal {
    move |error| {
        let problem = domain::Problem::from(error);
        if problem.field.as_deref() == Some("group") {
            return no_role(role);
        }
        problem.into()
    }
}

fn no_role(role: i64) -> Refusal {
    Refusal::absent(format!("Role with id={role} not found"))
}

/// There is one workspace.
fn workspace(asked: &str) -> Result<(), Refusal> {
    if asked == "default" {
        return Ok(());
    }
    let message = "Workspace APIs are not available: this server has no workspaces, and its roles are in 'default'";
    Err(Refusal::new(Code::FeatureDisabled, message))
}

fn role_name(given: &str) -> Result<SubjectName, Refusal> {
    if given.trim().is_empty() {
        return Err(Refusal::invalid("Role name cannot be empty."));
    }
    if given.starts_with(RESERVED) {
        return Err(Refusal::invalid(format!(
            "Role name '{given}' uses the reserved '{RESERVED}' prefix. Choose a different name."
        )));
    }
    Ok(SubjectName::of_group(given)?)
}

#[derive(Debug, Deserialize)]
struct New {
    name: Option<String>,
    workspace: Option<String>,
    description: Option<String>,
}

async fn create(desk: Desk, Args(new): Args<New>) -> Answer {
    let name = role_name(&required(new.name, "name")?)?;
    workspace(&required(new.workspace, "workspace")?)?;
    let permit = desk.administering().await?;
    let made = desk.authenticator.create_group(&permit, &name, new.description).await;
    let group = made.map_err(Refusal::creating)?;
    Ok(HttpResponse::Ok().json(json!({"role": role_json(&group, &[])})))
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default, deserialize_with = "number")]
    role_id: Option<i64>,
}

/// A role that the caller may see: their own, or any for who oversees the platform.
async fn seen(desk: &Desk, which: Which) -> Result<Group, Refusal> {
    let role = required(which.role_id, "role_id")?;
    let found = groups::find(&desk.database, role).await?;
    let own = match desk.caller.subject {
        Some(caller) => groups::list(&desk.database, Some(caller)).await?,
        None => Vec::new(),
    };
    if !found.as_ref().is_some_and(|group| own.contains(group)) {
        oversees(&desk.access, &desk.caller).await?;
    }
    found.ok_or_else(|| no_role(role))
}

async fn show(desk: Desk, Args(which): Args<Which>) -> Answer {
    let group = seen(&desk, which).await?;
    let permissions = desk.given(Some(&subject(&group))).await?;
    Ok(HttpResponse::Ok().json(json!({"role": role_json(&group, &permissions)})))
}

#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    workspace: Vec<String>,
}

async fn list(desk: Desk, Args(listed): Args<Listed>) -> Answer {
    listed.workspace.iter().try_for_each(|asked| workspace(asked))?;
    oversees(&desk.access, &desk.caller).await?;
    let known = Known::read(&desk).await?;
    let roles: Vec<_> =
        known.roles.iter().map(|(group, permissions)| role_json(group, permissions)).collect();
    Ok(HttpResponse::Ok().json(json!({"roles": roles})))
}

#[derive(Debug, Deserialize)]
struct Update {
    #[serde(default, deserialize_with = "number")]
    role_id: Option<i64>,
    name: Option<String>,
    description: Option<String>,
}

async fn update(desk: Desk, Args(update): Args<Update>) -> Answer {
    let role = required(update.role_id, "role_id")?;
    if update.name.is_none() && update.description.is_none() {
        return Err(Refusal::invalid(
            "At least one of 'name' or 'description' must be provided to update a role.",
        ));
    }
    let name = update.name.as_deref().map(role_name).transpose()?;
    let permit = desk.administering().await?;
    let changed = desk.authenticator.change_group(&permit, role, name, update.description).await;
    let group = changed.map_err(|error| {
        let refusal = absent(role)(error);
        let is_taken = refusal.code == Code::ResourceConflict;
        if is_taken { Refusal { code: Code::ResourceAlreadyExists, ..refusal } } else { refusal }
    })?;
    let permissions = desk.given(Some(&subject(&group))).await?;
    Ok(HttpResponse::Ok().json(json!({"role": role_json(&group, &permissions)})))
}

async fn remove(desk: Desk, Args(which): Args<Which>) -> Answer {
    let role = required(which.role_id, "role_id")?;
    let permit = desk.administering().await?;
    desk.authenticator.delete_group(&permit, role).await.map_err(absent(role))?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct Assignment {
    username: Option<String>,
    #[serde(default, deserialize_with = "number")]
    role_id: Option<i64>,
}

async fn assign(desk: Desk, Args(asked): Args<Assignment>) -> Answer {
    let (username, role) =
        (required(asked.username, "username")?, required(asked.role_id, "role_id")?);
    let permit = desk.administering().await?;
    let account = desk.user(&username).await?;
    let joined = desk.authenticator.join_group(&permit, role, &account.subject).await;
    let number = joined.map_err(|error| {
        let refusal = absent(role)(error);
        if refusal.code != Code::ResourceConflict {
            return refusal;
        }
        let message = format!(
            "User role assignment (user_id={}, role_id={role}) already exists",
            account.number
        );
        Refusal::new(Code::ResourceAlreadyExists, message)
    })?;
    let assignment = json!({"id": number, "user_id": account.number, "role_id": role});
    Ok(HttpResponse::Ok().json(json!({"assignment": assignment})))
}

async fn unassign(desk: Desk, Args(asked): Args<Assignment>) -> Answer {
    let (username, role) =
        (required(asked.username, "username")?, required(asked.role_id, "role_id")?);
    let permit = desk.administering().await?;
    let account = desk.user(&username).await?;
    let left = desk.authenticator.leave_group(&permit, role, &account.subject).await;
    if !left.map_err(absent(role))? {
        let number = account.number;
        return Err(Refusal::absent(format!(
            "User role assignment (user_id={number}, role_id={role}) not found"
        )));
    }
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct NewPermission {
    #[serde(default, deserialize_with = "number")]
    role_id: Option<i64>,
    resource_type: Option<String>,
    resource_pattern: Option<String>,
    permission: Option<String>,
}

async fn add(desk: Desk, Args(new): Args<NewPermission>) -> Answer {
    let role = required(new.role_id, "role_id")?;
    let (kind, pattern) = (
        required(new.resource_type, "resource_type")?,
        required(new.resource_pattern, "resource_pattern")?,
    );
    let place = Place::new(&kind, &pattern)?;
    let level = grantable(new.permission, &place)?;
    desk.administering().await?;
    let group = groups::find(&desk.database, role).await?.ok_or_else(|| no_role(role))?;
    answer(&desk, &group, place, level, Before::Absent).await
}

/// Gives a role a level at a place, and answers with that permission.
async fn answer(desk: &Desk, group: &Group, place: Place, level: Level, before: Before) -> Answer {
    let (subject, role) = (subject(group), group.number);
    let what = format!(
        "Role permission (role_id={role}, resource_type={}, resource_pattern={})",
        place.resource_type(),
        place.pattern()
    );
    let number = desk.set(&subject, &place, Some(level), before, &what).await?;
    let permission = permission_json(role, &Permission { subject, place, level, number });
    Ok(HttpResponse::Ok().json(json!({"role_permission": permission})))
}

#[derive(Debug, Deserialize)]
struct OfPermission {
    #[serde(default, deserialize_with = "number")]
    role_permission_id: Option<i64>,
    permission: Option<String>,
}

/// A role's permission by its number.
async fn numbered(desk: &Desk, asked: &OfPermission) -> Result<(Group, Permission), Refusal> {
    let number = required(asked.role_permission_id, "role_permission_id")?;
    desk.administering().await?;
    let known = Known::read(desk).await?;
    let all = known.roles.into_iter().flat_map(|(group, permissions)| {
        permissions.into_iter().map(move |permission| (group.clone(), permission))
    });
    let mut found = all.filter(|(_, permission)| permission.number == number);
    found
        .next()
        .ok_or_else(|| Refusal::absent(format!("Role permission with id={number} not found")))
}

async fn take(desk: Desk, Args(asked): Args<OfPermission>) -> Answer {
    let (group, Permission { place, number, .. }) = numbered(&desk, &asked).await?;
    let what = format!("Role permission with id={number}");
    desk.set(&subject(&group), &place, None, Before::Present, &what).await?;
    Ok(done())
}

async fn change(desk: Desk, Args(asked): Args<OfPermission>) -> Answer {
    let (group, Permission { place, .. }) = numbered(&desk, &asked).await?;
    let level = grantable(asked.permission, &place)?;
    answer(&desk, &group, place, level, Before::Present).await
}

async fn permissions(desk: Desk, Args(which): Args<Which>) -> Answer {
    let group = seen(&desk, which).await?;
    let given = desk.given(Some(&subject(&group))).await?;
    let permissions: Vec<_> =
        given.iter().map(|permission| permission_json(group.number, permission)).collect();
    Ok(HttpResponse::Ok().json(json!({"role_permissions": permissions})))
}

async fn users(desk: Desk, Args(which): Args<Which>) -> Answer {
    let group = seen(&desk, which).await?;
    let members = groups::members(&desk.database, Some(group.id)).await?;
    let assignments: Vec<_> = members
        .iter()
        .map(|member| {
            json!({"id": member.number, "user_id": member.account_number, "role_id": member.group_number})
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({"assignments": assignments})))
}

#[derive(Debug, Deserialize)]
struct Named {
    username: Option<String>,
}

async fn of_user(desk: Desk, Args(Named { username }): Args<Named>) -> Answer {
    let username = required(username, "username")?;
    let account = desk.seen(&username).await?;
    let mut roles = Vec::new();
    for group in groups::list(&desk.database, Some(account.id)).await? {
        let permissions = desk.given(Some(&subject(&group))).await?;
        roles.push(role_json(&group, &permissions));
    }
    Ok(HttpResponse::Ok().json(json!({"roles": roles})))
}
