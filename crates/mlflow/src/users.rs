//! `users/…`: MLflow's users are ours; an administrator is whoever may administer the platform.

use actix_web::{
    HttpResponse,
    web::{ServiceConfig, delete, get, patch, post},
};
use auth::{
    Given, NewAccount,
    grants::{self, NewGrant, Run},
};
use domain::{
    Action, Cursor, GrantId, Limit, Resource,
    access::{Conditions, Effect, Grant, Privilege, Role, Subject, SubjectKind},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::{self, Account};

use crate::{
    experiments::done,
    permissions::{
        Desk, Permission, absent_user, second,
        third::{Nothing, current},
        user,
    },
    refusal::{Answer, Code, Refusal},
    request::{Args, required},
    roles,
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/users/create", post().to(create))
        .route("/users/get", get().to(show))
        .route("/users/list", get().to(list))
        .route("/users/current", get().to(whoami))
        .route("/users/update-password", patch().to(set_password))
        .route("/users/update-admin", patch().to(set_admin))
        .route("/users/delete", delete().to(remove));
}

#[derive(Debug, Deserialize)]
struct New {
    username: Option<String>,
    password: Option<SecretString>,
}

/// The password is theirs at once: MLflow knows no first one.
async fn create(desk: Desk, Args(new): Args<New>) -> Answer {
    let (Some(username), Some(password)) = (new.username.clone(), new.password) else {
        let missing = if new.username.is_none() { "username" } else { "password" };
        return Err(required::<String>(None, missing).err().unwrap_or_else(empty));
    };
    let permit = desk.administering().await?;
    if username.is_empty() || password.expose_secret().is_empty() {
        return Err(empty());
    }
    let account = NewAccount { name: username.parse()?, display_name: String::new(), email: None };
    let made = desk.authenticator.create_user(&permit, account, Given::Chosen(password), false);
    let (account, _) = made.await.map_err(Refusal::creating)?;
    Ok(HttpResponse::Ok().json(json!({"user": user_json(&account, false, &[])})))
}

fn empty() -> Refusal {
    Refusal::invalid("Username and password cannot be empty.")
}

/// A user with what they were given themselves, which clients of MLflow 2 want to be told.
fn user_json(account: &Account, is_admin: bool, given: &[Permission]) -> Value {
    let of = |resource_type: &str| -> Vec<Value> {
        let of_type = given.iter().filter(|given| {
            given.place.kind().is_none() && given.place.resource_type() == resource_type
        });
        of_type.map(|given| second::json(&given.place, account.number, given.level)).collect()
    };
    json!({
        "id": account.number, "username": account.subject.name, "is_admin": is_admin,
        "experiment_permissions": of("experiment"),
        "registered_model_permissions": of("registered_model"),
    })
}

#[derive(Debug, Deserialize)]
struct Named {
    username: Option<String>,
}

async fn show(desk: Desk, Args(Named { username }): Args<Named>) -> Answer {
    let username = required(username, "username")?;
    let account = desk.seen(&username).await?;
    let given = desk.given(Some(&account.subject)).await?;
    let is_admin = desk.access.administers(account.id)?;
    Ok(HttpResponse::Ok().json(json!({"user": user_json(&account, is_admin, &given)})))
}

async fn list(desk: Desk, Args(Nothing {}): Args<Nothing>) -> Answer {
    grants::oversees(&desk.access, &desk.caller).await?;
    let roles = roles::Known::read(&desk).await?;
    let limit = Limit::new(Some(1000))?;
    let (mut users, mut cursor): (_, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page =
            accounts::list(&desk.database, SubjectKind::User, cursor.as_ref(), limit).await?;
        for account in page.items {
            users.push(json!({
                "id": account.number, "username": account.subject.name,
                "is_admin": desk.access.administers(account.id)?, "roles": roles.of(account.id),
            }));
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(HttpResponse::Ok().json(json!({"users": users})));
        }
    }
}

async fn whoami(desk: Desk, Args(Nothing {}): Args<Nothing>) -> Answer {
    let account = current(&desk).await?;
    let is_admin = desk.access.administers(account.id)?;
    Ok(HttpResponse::Ok().json(json!({
        "user": {"id": account.number, "username": account.subject.name, "is_admin": is_admin},
        "is_basic_auth": desk.caller.token.is_none() && desk.caller.session.is_none(),
    })))
}

#[derive(Debug, Deserialize)]
struct NewPassword {
    username: Option<String>,
    password: Option<SecretString>,
    current_password: Option<SecretString>,
}

async fn set_password(desk: Desk, Args(new): Args<NewPassword>) -> Answer {
    let username = required(new.username, "username")?;
    let Some(password) = new.password else {
        return Err(required::<String>(None, "password").err().unwrap_or_else(empty));
    };
    if Subject::try_from(&desk.caller.actor).as_ref() == Ok(&user(&username)) {
        let current = new.current_password.filter(|given| !given.expose_secret().is_empty());
        let current = current.ok_or_else(|| {
            Refusal::invalid("Current password is required when changing your own password.")
        })?;
        let own = desk.caller.own()?;
        desk.authenticator.change_password(&own, &current, &password).await?;
        return Ok(done());
    }
    let permit = desk.administering().await?;
    let set = desk.authenticator.set_password(&permit, &username, Given::Chosen(password), false);
    set.await.map_err(|error| absent_user(&username, error.into()))?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct Admin {
    username: Option<String>,
    is_admin: Option<bool>,
}

async fn set_admin(desk: Desk, Args(Admin { username, is_admin }): Args<Admin>) -> Answer {
    let username = required(username, "username")?;
    let is_admin = required(is_admin, "is_admin")?;
    desk.administering().await?;
    let account = desk.user(&username).await?;
    let own = own_rights(&desk, &account).await?;
    if !is_admin {
        dismiss(&desk, &account, own).await?;
    } else if own.is_empty() && !desk.access.administers(account.id)? {
        let new = NewGrant {
            subject: account.subject,
            effect: Effect::Allow,
            privilege: Privilege::Role(Role::Administrator),
            resource: Resource::Platform,
            conditions: Conditions::default(),
            reason: None,
        };
        grants::add(&desk.access, &desk.database, &desk.caller, new, Run::Real).await?;
    }
    Ok(done())
}

/// The grants that make somebody an administrator by themselves, disabled or not.
async fn own_rights(desk: &Desk, account: &Account) -> Result<Vec<GrantId>, Refusal> {
    let (access, database, caller) = (&desk.access, &desk.database, &desk.caller);
    let on = Some(Resource::Platform);
    let given = grants::list(access, database, caller, Some(&account.subject), on).await?;
    let administers = |grant: &Grant| {
        let privileges =
            [Privilege::Role(Role::Administrator), Privilege::Action(Action::Administer)];
        grant.effect == Effect::Allow
            && grant.conditions.kind.is_none()
            && privileges.contains(&grant.privilege)
    };
    let own = given.into_iter().filter(|given| administers(&given.grant));
    Ok(own.map(|given| given.grant.id).collect())
}

/// Takes back what makes somebody an administrator by themselves.
async fn dismiss(desk: &Desk, account: &Account, own: Vec<GrantId>) -> Result<(), Refusal> {
    let (access, database, caller) = (&desk.access, &desk.database, &desk.caller);
    for grant in own {
        grants::remove(access, database, caller, grant, Run::Real).await?;
    }
    if desk.access.administers(account.id)? {
        let message = format!(
            "{} is an administrator through a team, a role or a policy: see `bottega grants explain {} administer '*'`",
            account.subject.name, account.subject
        );
        return Err(Refusal::new(Code::ResourceConflict, message));
    }
    Ok(())
}

async fn remove(desk: Desk, Args(Named { username }): Args<Named>) -> Answer {
    let username = required(username, "username")?;
    let permit = desk.administering().await?;
    if Subject::try_from(&desk.caller.actor).as_ref() == Ok(&user(&username)) {
        return Err(Refusal::new(
            Code::BadRequest,
            "Users cannot delete their own account. Ask another admin to delete this user instead.",
        ));
    }
    let gone = desk.authenticator.delete_account(&permit, &user(&username)).await;
    gone.map_err(|error| absent_user(&username, error.into()))?;
    Ok(done())
}
