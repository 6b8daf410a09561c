//! `/users`, `/services`

use actix_web::{HttpResponse, delete, get, patch, post, put, web::Data};
use chrono::{DateTime, Utc};
use domain::{
    Problem, Resource,
    access::{Subject, SubjectKind},
};
use rest::{ApiError, Json, NoQuery, PageBody, PageQuery, Path, Query, openapi};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use store::{Database, accounts};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Access, Authenticator, Caller, Changes, Given, NewAccount, verbs};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create_user).service(list_users).service(show_user).service(change_user);
    config.service(set_password).service(create_service).service(list_services);
    config.service(show_service).service(change_service);
    config.service(delete_user).service(delete_service);
}

/// A user or a service account.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "subject": "user:ana", "name": "ana", "display_name": "Ana Nováková",
    "email": "ana@bank.example", "teams": ["risk"], "home_team": "risk", "has_password": true,
    "must_change_password": false, "disabled": false, "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
}))]
pub struct Account {
    id: String,
    /// As grants and the audit trail name it.
    subject: String,
    name: String,
    display_name: String,
    #[schema(required)]
    email: Option<String>,
    /// The teams that it is a member of.
    teams: Vec<String>,
    /// The team that owns what it makes unless it says.
    #[schema(required)]
    home_team: Option<String>,
    has_password: bool,
    must_change_password: bool,
    disabled: bool,
    created_by: String,
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<DateTime<Utc>>,
}

impl From<accounts::Account> for Account {
    fn from(account: accounts::Account) -> Self {
        Self {
            id: account.id.to_string(),
            subject: account.subject.to_string(),
            name: account.subject.name,
            display_name: account.display_name,
            email: account.email,
            teams: account.teams,
            home_team: account.home_team,
            has_password: account.has_password,
            must_change_password: account.must_change_password,
            disabled: account.disabled_at.is_some(),
            created_by: account.created_by,
            created_at: account.created_at,
            disabled_at: account.disabled_at,
        }
    }
}

/// A user.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct UserPath {
    /// Their name.
    #[param(example = "ana")]
    user: String,
}

/// A service account.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct ServicePath {
    /// Its name.
    #[param(example = "ci")]
    service: String,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "ana", "display_name": "Ana Nováková", "email": "ana@bank.example"}))]
pub struct NewUser {
    /// 1 to 255 letters and digits of any script, and `. _ - @ +`. It is for good, and no two names
    /// may be taken for each other.
    name: String,
    #[serde(default)]
    display_name: String,
    email: Option<String>,
    /// The first password, which must be changed before anything else; made where it is absent.
    #[schema(value_type = Option<String>, min_length = 12)]
    password: Option<SecretString>,
}

/// A user with the password that was made for them.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "subject": "user:ana", "name": "ana", "display_name": "",
    "email": null, "teams": [], "home_team": null, "has_password": true, "must_change_password": true,
    "disabled": false, "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
    "password": "h7kqm-3wzpd-x9ter-n2vsb",
}))]
pub struct MadeUser {
    #[serde(flatten)]
    account: Account,
    /// Shown this once; absent where the caller gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Make a user.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The user", body = MadeUser), openapi::Writes),
)]
#[post("/users")]
pub async fn create_user(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Json(NewUser { name, display_name, email, password }): Json<NewUser>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let new = NewAccount { name: name.parse()?, display_name, email };
    let password = password.map_or(Given::Generated, Given::Chosen);
    let (account, shown) = authenticator.create_user(&permit, new, password, true).await?;
    let password = shown.map(|password| password.expose_secret().to_owned());
    Ok(HttpResponse::Created().json(MadeUser { account: account.into(), password }))
}

async fn list(
    caller: &Caller,
    access: &Access,
    database: &Database,
    kind: SubjectKind,
    page: &PageQuery,
) -> Result<Json<PageBody<Account>>, ApiError> {
    access.authorize::<verbs::View>(caller, Resource::Platform).await?;
    let (cursor, limit) = page.bounds()?;
    let found = accounts::list(database, kind, cursor.as_ref(), limit).await?;
    Ok(Json(found.into()))
}

/// An account that the caller may see: their own, or anybody's for whoever sees everything.
async fn show(
    caller: &Caller,
    access: &Access,
    authenticator: &Authenticator,
    subject: &Subject,
) -> Result<Json<Account>, ApiError> {
    if Subject::try_from(&caller.actor).as_ref() != Ok(subject) {
        access.authorize::<verbs::View>(caller, Resource::Platform).await?;
    }
    Ok(Json(authenticator.account(subject).await?.into()))
}

/// List users by name.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!("view:platform"))),
    params(PageQuery),
    responses((status = 200, description = "A page of users", body = PageBody<Account>), openapi::Reads),
)]
#[get("/users")]
pub async fn list_users(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Account>>, ApiError> {
    list(&caller, &access, &database, SubjectKind::User, &page).await
}

/// Show a user.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!(["self", "view:platform when it is another's"]))),
    params(UserPath),
    responses((status = 200, description = "The user", body = Account), openapi::Reads),
)]
#[get("/users/{user}")]
pub async fn show_user(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(UserPath { user }): Path<UserPath>,
    _: NoQuery,
) -> Result<Json<Account>, ApiError> {
    show(&caller, &access, &authenticator, &subject(SubjectKind::User, user)).await
}

/// What to change of an account; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"disabled": true}))]
pub struct AccountChanges {
    display_name: Option<String>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// One of its teams, which owns what it makes unless it says.
    home_team: Option<String>,
    /// Whether it is kept out: its tokens are worth nothing, and its sessions are over.
    disabled: Option<bool>,
}

/// Tells a null from what is absent.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

async fn change(
    caller: &Caller,
    access: &Access,
    authenticator: &Authenticator,
    subject: &Subject,
    AccountChanges { display_name, email, home_team, disabled }: AccountChanges,
) -> Result<Json<Account>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(caller, Resource::Platform).await?;
    let changes = Changes { display_name, email, home_team, disabled };
    Ok(Json(authenticator.update_account(&permit, subject, changes).await?.into()))
}

/// Change a user, disable them, or enable them again.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(UserPath),
    responses((status = 200, description = "The user", body = Account), openapi::Writes),
)]
#[patch("/users/{user}")]
pub async fn change_user(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(UserPath { user }): Path<UserPath>,
    Json(changes): Json<AccountChanges>,
) -> Result<Json<Account>, ApiError> {
    let subject = subject(SubjectKind::User, user);
    change(&caller, &access, &authenticator, &subject, changes).await
}

/// Delete a user: their tokens, sessions, memberships, grants and quotas go at once. What they made
/// stays. Whoever gets the name later is somebody else, and inherits nothing.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(UserPath),
    responses((status = 204, description = "They are gone"), openapi::Writes),
)]
#[delete("/users/{user}")]
pub async fn delete_user(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(UserPath { user }): Path<UserPath>,
    _: NoQuery,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    authenticator.delete_account(&permit, &subject(SubjectKind::User, user)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Delete a service account: its tokens, memberships, grants and quotas go at once. What it made
/// stays.
#[utoipa::path(
    tag = "services",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ServicePath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/services/{service}")]
pub async fn delete_service(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(ServicePath { service }): Path<ServicePath>,
    _: NoQuery,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    authenticator.delete_account(&permit, &subject(SubjectKind::Service, service)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A password for a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct NewPassword {
    /// Made where it is absent.
    #[schema(value_type = Option<String>, min_length = 12)]
    password: Option<SecretString>,
    /// Whether they must change it before anything else; true unless given.
    must_change: Option<bool>,
}

/// The password that was made for a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "ana", "password": "h7kqm-3wzpd-x9ter-n2vsb"}))]
pub struct MadePassword {
    name: String,
    /// Shown this once; absent where the caller gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Give a user another password. Their sessions are over; their tokens go on.
#[utoipa::path(
    tag = "users",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(UserPath),
    responses((status = 200, description = "It is set", body = MadePassword), openapi::Writes),
)]
#[put("/users/{user}/password")]
pub async fn set_password(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(UserPath { user }): Path<UserPath>,
    Json(NewPassword { password, must_change }): Json<NewPassword>,
) -> Result<Json<MadePassword>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let password = password.map_or(Given::Generated, Given::Chosen);
    let must_change = must_change.unwrap_or(true);
    let shown = authenticator.set_password(&permit, &user, password, must_change).await?;
    let password = shown.map(|password| password.expose_secret().to_owned());
    Ok(Json(MadePassword { name: user, password }))
}

/// A service account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "ci", "display_name": "Deploys from CI"}))]
pub struct NewService {
    /// 1 to 255 letters and digits of any script, and `. _ - @ +`. It is for good, and no two names
    /// may be taken for each other.
    name: String,
    #[serde(default)]
    display_name: String,
}

/// Make a service account: a program with tokens of its own, and no password.
#[utoipa::path(
    tag = "services",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The service account", body = Account), openapi::Writes),
)]
#[post("/services")]
pub async fn create_service(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Json(NewService { name, display_name }): Json<NewService>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let new = NewAccount { name: name.parse()?, display_name, email: None };
    let account = authenticator.create_service(&permit, new).await?;
    Ok(HttpResponse::Created().json(Account::from(account)))
}

/// List service accounts by name.
#[utoipa::path(
    tag = "services",
    extensions(("x-bottega-action" = json!("view:platform"))),
    params(PageQuery),
    responses((status = 200, description = "A page of service accounts", body = PageBody<Account>), openapi::Reads),
)]
#[get("/services")]
pub async fn list_services(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Account>>, ApiError> {
    list(&caller, &access, &database, SubjectKind::Service, &page).await
}

/// Show a service account.
#[utoipa::path(
    tag = "services",
    extensions(("x-bottega-action" = json!(["self", "view:platform when it is another's"]))),
    params(ServicePath),
    responses((status = 200, description = "The service account", body = Account), openapi::Reads),
)]
#[get("/services/{service}")]
pub async fn show_service(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(ServicePath { service }): Path<ServicePath>,
    _: NoQuery,
) -> Result<Json<Account>, ApiError> {
    show(&caller, &access, &authenticator, &subject(SubjectKind::Service, service)).await
}

/// Change a service account, disable it, or enable it again.
#[utoipa::path(
    tag = "services",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ServicePath),
    responses((status = 200, description = "The service account", body = Account), openapi::Writes),
)]
#[patch("/services/{service}")]
pub async fn change_service(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Path(ServicePath { service }): Path<ServicePath>,
    Json(changes): Json<AccountChanges>,
) -> Result<Json<Account>, ApiError> {
    if changes.email.is_some() {
        return Err(Problem::invalid("email", "a service account has no address for mail").into());
    }
    let subject = subject(SubjectKind::Service, service);
    change(&caller, &access, &authenticator, &subject, changes).await
}

fn subject(kind: SubjectKind, name: String) -> Subject {
    Subject { kind, name }
}
