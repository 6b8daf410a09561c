//! `/me`

use actix_web::{HttpResponse, get, put, web::Data};
use rest::{ApiError, Json, NoQuery, openapi};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::{Database, accounts};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Authenticator, Caller};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(me).service(change_password);
}

/// Who the platform takes the caller for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "actor": "user:ana", "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "display_name": "Ana Nováková",
    "email": "ana@bank.example", "teams": ["risk"], "home_team": "risk",
    "token": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c2", "scopes": ["invoke:endpoint:fraud"], "session": null,
    "must_change_password": false,
}))]
pub struct Me {
    /// The actor, as the audit trail writes it.
    actor: String,
    #[schema(required)]
    id: Option<String>,
    display_name: String,
    #[schema(required)]
    email: Option<String>,
    /// The teams that they are a member of.
    teams: Vec<String>,
    /// The team that owns what they make unless they say.
    #[schema(required)]
    home_team: Option<String>,
    /// The id of the token that they used, if they did.
    #[schema(required)]
    token: Option<String>,
    /// What it may be used for; null: all that they may do.
    #[schema(required)]
    scopes: Option<Vec<String>>,
    /// The id of the session that they are in, if they are.
    #[schema(required)]
    session: Option<String>,
    /// Whether the password must be changed before anything else.
    must_change_password: bool,
}

/// Who am I?
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("self"))),
    responses((status = 200, description = "The caller", body = Me), openapi::Reads),
)]
#[get("/me")]
pub async fn me(
    caller: Caller,
    database: Data<Database>,
    _: NoQuery,
) -> Result<Json<Me>, ApiError> {
    let account = match caller.subject {
        Some(id) => accounts::get(&database, id).await?,
        None => None,
    };
    let by_password = caller.token.is_none();
    let mut me = Me {
        actor: caller.actor.to_string(),
        id: caller.subject.map(|id| id.to_string()),
        display_name: String::new(),
        email: None,
        teams: Vec::new(),
        home_team: None,
        token: caller.token.map(|id| id.to_string()),
        scopes: caller.scopes.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        session: caller.session.map(|id| id.to_string()),
        must_change_password: false,
    };
    if let Some(account) = account {
        me.display_name = account.display_name;
        me.email = account.email;
        me.teams = account.teams;
        me.home_team = account.home_team;
        me.must_change_password = by_password && account.must_change_password;
    }
    Ok(Json(me))
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current": "h7kqm-3wzpd-x9ter-n2vsb", "new": "correct horse battery"}))]
pub struct PasswordChange {
    /// The present one.
    #[schema(value_type = String)]
    current: SecretString,
    /// The one from now on, of at least 12 characters.
    #[schema(value_type = String, min_length = 12, max_length = 1024)]
    new: SecretString,
}

/// Change one's own password. All sessions are over, this one too; tokens go on.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("self"))),
    responses((status = 204, description = "It is changed"), openapi::Writes, openapi::Limited),
)]
#[put("/me/password")]
pub async fn change_password(
    caller: Caller,
    authenticator: Data<Authenticator>,
    Json(PasswordChange { current, new }): Json<PasswordChange>,
) -> Result<HttpResponse, ApiError> {
    authenticator.change_password(&caller.own()?, &current, &new).await?;
    Ok(HttpResponse::NoContent().finish())
}
