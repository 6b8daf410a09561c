//! `users/permissions/…` and `users/current/permissions`: a user's permission on anything, as
//! clients of MLflow 3 set it and ask for it.

use actix_web::{
    HttpResponse,
    web::{ServiceConfig, get, post},
};
use domain::access::{Subject, SubjectKind};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{accounts::Account, groups};

use super::{Before, Desk, Level, Permission, Place, absent_user, level, user};
use crate::{
    experiments::done,
    refusal::{Answer, Code, Refusal},
    request::{Args, required},
};

/// Below `/api/3.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/users/permissions/grant", post().to(grant))
        .route("/users/permissions/revoke", post().to(revoke))
        .route("/users/permissions/get", get().to(effective))
        .route("/users/permissions/list", get().to(list))
        .route("/users/current/permissions", get().to(own));
}

#[derive(Debug, Deserialize)]
struct Named {
    username: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    permission: Option<String>,
}

impl Named {
    fn place(&self) -> Result<Place, Refusal> {
        let resource_type = required(self.resource_type.clone(), "resource_type")?;
        Place::new(&resource_type, &required(self.resource_id.clone(), "resource_id")?)
    }

    fn username(&self) -> Result<String, Refusal> {
        required(self.username.clone(), "username")
    }
}

/// A permission as refusals name it.
fn words(username: &str, place: &Place) -> String {
    format!(
        "Permission for user={username} on resource_type={}, resource_id={}",
        place.resource_type(),
        place.pattern()
    )
}

/// What stands for no access here is the absence of a permission, or `DENY`.
pub fn grantable(text: Option<String>, place: &Place) -> Result<Level, Refusal> {
    let text = required(text, "permission")?;
    let level = level(&text)?;
    if text == "NO_PERMISSIONS" {
        return Err(Refusal::invalid(format!(
            "Invalid permission 'NO_PERMISSIONS' for resource_type='{}'. Resource-level grants accept only: ('DENY', 'EDIT', 'MANAGE', 'READ', 'USE').",
            place.resource_type()
        )));
    }
    Ok(level)
}

async fn grant(desk: Desk, Args(named): Args<Named>) -> Answer {
    let (username, place) = (named.username()?, named.place()?);
    let level = grantable(named.permission, &place)?;
    let what = words(&username, &place);
    desk.set(&user(&username), &place, Some(level), Before::Absent, &what).await?;
    Ok(done())
}

async fn revoke(desk: Desk, Args(named): Args<Named>) -> Answer {
    let (username, place) = (named.username()?, named.place()?);
    let what = words(&username, &place);
    desk.set(&user(&username), &place, None, Before::Present, &what).await?;
    Ok(done())
}

/// What the user may in the end, all grants, teams and policies taken together.
async fn effective(desk: Desk, Args(named): Args<Named>) -> Answer {
    let (username, place) = (named.username()?, named.place()?);
    let resource = place.resource();
    let rights = desk.access.rights(&desk.caller, &user(&username), place.on(&resource)).await;
    let rights = rights.map_err(|problem| match problem.field.as_deref() {
        Some("subject") => absent_user(&username, problem),
        _ => problem.into(),
    })?;
    let level = Level::held(&rights);
    Ok(HttpResponse::Ok().json(json!({
        "allowed": level.is_some_and(Level::is_use),
        "permission": level.map_or("NO_PERMISSIONS", Level::as_str),
    })))
}

async fn list(desk: Desk, Args(named): Args<Named>) -> Answer {
    let username = named.username()?;
    let account = desk.seen(&username).await?;
    let given = desk.given(Some(&account.subject)).await?;
    answer(&desk, &account, given).await
}

async fn own(desk: Desk, Args(_): Args<Nothing>) -> Answer {
    let account = current(&desk).await?;
    let given = desk.given(Some(&account.subject)).await?;
    answer(&desk, &account, given).await
}

/// No arguments.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// The caller's account.
pub async fn current(desk: &Desk) -> Result<Account, Refusal> {
    let subject = Subject::try_from(&desk.caller.actor).map_err(|()| {
        Refusal::new(Code::PermissionDenied, "only users and service accounts have permissions")
    })?;
    Ok(desk.authenticator.account(&subject).await?)
}

/// All permissions of an account and of its roles.
async fn answer(desk: &Desk, account: &Account, own: Vec<Permission>) -> Answer {
    let mut rows = Vec::new();
    let name = format!("__user_{}__", account.number);
    rows.extend(own.iter().map(|permission| row(account.number, &name, permission)));
    for group in groups::list(&desk.database, Some(account.id)).await? {
        let subject = Subject { kind: SubjectKind::Group, name: group.name.clone() };
        let given = desk.given(Some(&subject)).await?;
        rows.extend(given.iter().map(|permission| row(group.number, &group.name, permission)));
    }
    let is_admin = desk.access.administers(account.id)?;
    Ok(HttpResponse::Ok().json(json!({"is_admin": is_admin, "permissions": rows})))
}

fn row(role: i64, name: &str, Permission { place, level, .. }: &Permission) -> Value {
    json!({
        "role_id": role, "role_name": name, "workspace": "default",
        "resource_type": place.resource_type(), "resource_pattern": place.pattern(),
        "permission": level.as_str(),
    })
}
