//! `experiments/permissions/…` and `registered-models/permissions/…`: one user's permission on one
//! thing, as clients of MLflow 2 set it.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{ServiceConfig, delete, get, patch, post},
};
use auth::verbs;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::Account;

use super::{Before, Desk, Level, Place, level, user};
use crate::{
    experiments::done,
    refusal::{Answer, Refusal},
    request::{Args, required},
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    for part in ["/experiments/permissions", "/registered-models/permissions"] {
        config
            .route(&format!("{part}/create"), post().to(create))
            .route(&format!("{part}/get"), get().to(show))
            .route(&format!("{part}/update"), patch().to(update))
            .route(&format!("{part}/delete"), delete().to(remove));
    }
}

/// Which permission: of an experiment by id, of a registered model by name.
#[derive(Debug, Deserialize)]
struct Named {
    experiment_id: Option<String>,
    name: Option<String>,
    username: Option<String>,
    permission: Option<String>,
}

/// A permission that was asked for.
struct Which {
    place: Place,
    username: String,
    permission: Option<String>,
}

impl Which {
    fn of(path: &str, named: Named) -> Result<Self, Refusal> {
        let place = if path.contains("/experiments/") {
            Place::experiment(&required(named.experiment_id, "experiment_id")?)?
        } else {
            Place::model(&required(named.name, "name")?)?
        };
        let username = required(named.username, "username")?;
        Ok(Self { place, username, permission: named.permission })
    }

    fn level(&self) -> Result<Level, Refusal> {
        level(&required(self.permission.clone(), "permission")?)
    }

    /// As refusals name it.
    fn words(&self) -> String {
        let (pattern, username) = (self.place.pattern(), &self.username);
        if self.is_experiment() {
            return format!(
                "Experiment permission with experiment_id={pattern} and username={username}"
            );
        }
        format!("Registered model permission with name={pattern} and username={username}")
    }

    fn is_experiment(&self) -> bool {
        self.place.resource_type() == "experiment"
    }

    /// As it is answered.
    fn json(&self, account: &Account, level: Level) -> Value {
        let permission = json(&self.place, account.number, level);
        match self.is_experiment() {
            true => json!({"experiment_permission": permission}),
            false => json!({"registered_model_permission": permission}),
        }
    }
}

/// A user's permission on one thing.
pub fn json(place: &Place, user: i64, level: Level) -> Value {
    let key = if place.resource_type() == "experiment" { "experiment_id" } else { "name" };
    json!({key: place.pattern(), "user_id": user, "permission": level.in_second()})
}

/// Who may ask for a permission on a thing: whoever administers it.
async fn authorized(desk: &Desk, which: &Which) -> Result<Account, Refusal> {
    let resource = which.place.resource();
    let permit = desk.access.authorize::<verbs::Administer>(&desk.caller, resource).await;
    let permit = permit.map_err(|problem| which.place.told(problem))?;
    if !permit.is_for_present() {
        return Err(which.place.told(permit.resource().absent()));
    }
    desk.user(&which.username).await
}

async fn create(request: HttpRequest, desk: Desk, Args(named): Args<Named>) -> Answer {
    let which = Which::of(request.path(), named)?;
    let level = which.level()?;
    let account = authorized(&desk, &which).await?;
    let (subject, words) = (user(&which.username), which.words());
    desk.set(&subject, &which.place, Some(level), Before::Absent, &words).await?;
    Ok(HttpResponse::Ok().json(which.json(&account, level)))
}

async fn show(request: HttpRequest, desk: Desk, Args(named): Args<Named>) -> Answer {
    let which = Which::of(request.path(), named)?;
    let account = authorized(&desk, &which).await?;
    let on = Some(which.place.resource());
    let subject = user(&which.username);
    let given =
        auth::grants::list(&desk.access, &desk.database, &desk.caller, Some(&subject), on).await?;
    let mut standings = auth::standing::standings(&given).into_iter();
    let level = standings.find_map(|(_, standing)| Level::given(&standing));
    let level = level.ok_or_else(|| Refusal::absent(format!("{} not found", which.words())))?;
    Ok(HttpResponse::Ok().json(which.json(&account, level)))
}

async fn update(request: HttpRequest, desk: Desk, Args(named): Args<Named>) -> Answer {
    let which = Which::of(request.path(), named)?;
    let level = which.level()?;
    authorized(&desk, &which).await?;
    let (subject, words) = (user(&which.username), which.words());
    desk.set(&subject, &which.place, Some(level), Before::Present, &words).await?;
    Ok(done())
}

async fn remove(request: HttpRequest, desk: Desk, Args(named): Args<Named>) -> Answer {
    let which = Which::of(request.path(), named)?;
    authorized(&desk, &which).await?;
    let (subject, words) = (user(&which.username), which.words());
    desk.set(&subject, &which.place, None, Before::Present, &words).await?;
    Ok(done())
}
