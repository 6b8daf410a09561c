//! Webhooks: made, changed, deleted, tried.

use auth::{Permit, verbs};
use domain::{Cursor, DeliveryId, Limit, Page, Problem, WebhookId};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store::{
    Change,
    webhooks::{self, EventName, Webhook},
};

use crate::{
    Result, State,
    events::{Event, MLFLOW},
    send,
};

const LONGEST_NAME: usize = 63;
const LONGEST_URL: usize = 500;
const LONGEST_TEXT: usize = 1000;

/// What a new webhook is made of.
#[derive(Debug)]
pub struct NewWebhook {
    /// What people call it: letters, digits, `.`, `_` and `-`, a letter or digit at both ends.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its deliveries go.
    pub url: String,
    /// What they are signed with.
    pub secret: Option<SecretString>,
    /// What it hears of; at least one.
    pub events: Vec<Event>,
    /// Whether it is told anything.
    pub active: bool,
}

/// What shall be different about a webhook; what is absent stays.
#[derive(Debug, Default)]
pub struct Edit {
    /// Its name.
    pub name: Option<String>,
    /// What it is for; empty for none.
    pub description: Option<String>,
    /// Where its deliveries go.
    pub url: Option<String>,
    /// What they are signed with; empty for no signature.
    pub secret: Option<SecretString>,
    /// All that it hears of.
    pub events: Option<Vec<Event>>,
    /// Whether it is told anything.
    pub active: Option<bool>,
}

/// What came of an example that was sent to a receiver.
#[derive(Debug)]
pub struct Tested {
    /// Whether it was taken.
    pub success: bool,
    /// The status that it answered.
    pub status: Option<u16>,
    /// The beginning of what it answered.
    pub body: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// Lists webhooks, newest first; `mlflow`: only those that hear of anything that MLflow has too.
///
/// # Errors
/// A cursor of another list.
pub async fn list(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    mlflow: bool,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Webhook>> {
    let entities: Option<Vec<_>> =
        mlflow.then(|| MLFLOW.iter().map(|event| event.entity.to_owned()).collect());
    Ok(webhooks::list(&state.database, entities.as_deref(), cursor, limit).await?)
}

/// One webhook.
///
/// # Errors
/// It is not there.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    id: WebhookId,
) -> Result<Webhook> {
    Ok(webhooks::get(&state.database, id).await?.ok_or_else(|| absent(id))?)
}

/// Makes a webhook. It hears of what happens from now on.
///
/// # Errors
/// A field that is wrong; a URL that leads to where webhooks may not go.
pub async fn create(
    state: &State,
    permit: &Permit<verbs::Administer>,
    new: NewWebhook,
) -> Result<Webhook> {
    let id = WebhookId::new();
    check(&new.name, new.description.as_deref(), new.secret.as_ref())?;
    check_url(state, &new.url).await?;
    let secret = seal(state, id, new.secret.as_ref())?;
    let row = webhooks::NewWebhook {
        id,
        name: &new.name,
        description: new.description.as_deref().filter(|text| !text.is_empty()),
        url: &new.url,
        active: new.active,
        secret: secret.as_deref(),
        events: &names(&new.events)?,
    };
    let mut change = Change::begin(&state.database).await?;
    let webhook = webhooks::insert(&mut change, &row, permit.actor()).await?;
    let event = permit.event("webhook.created", json!({"webhook": id}));
    change.commit(&event.changed(None, Some(&describe(&webhook)))).await?;
    Ok(webhook)
}

/// Changes a webhook.
///
/// # Errors
/// It is not there; a field that is wrong; a URL that leads to where webhooks may not go.
pub async fn update(
    state: &State,
    permit: &Permit<verbs::Administer>,
    id: WebhookId,
    edit: Edit,
) -> Result<Webhook> {
    if let Some(url) = &edit.url {
        check_url(state, url).await?;
    }
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    let name = edit.name.unwrap_or_else(|| before.name.clone());
    let description = edit.description.or_else(|| before.description.clone());
    check(&name, description.as_deref(), edit.secret.as_ref())?;
    let secret = match &edit.secret {
        Some(secret) => seal(state, id, Some(secret))?,
        None => before.secret.clone(),
    };
    let events = edit.events.as_deref().map_or_else(|| Ok(before.events.clone()), names)?;
    let row = webhooks::NewWebhook {
        id,
        name: &name,
        description: description.as_deref().filter(|text| !text.is_empty()),
        url: edit.url.as_deref().unwrap_or(&before.url),
        active: edit.active.unwrap_or(before.active),
        secret: secret.as_deref(),
        events: &events,
    };
    let after = webhooks::update(&mut change, &row).await?;
    let event = permit.event("webhook.edited", json!({"webhook": id}));
    change.commit(&event.changed(Some(&describe(&before)), Some(&describe(&after)))).await?;
    Ok(after)
}

/// Deletes a webhook with its deliveries.
///
/// # Errors
/// It is not there.
pub async fn delete(
    state: &State,
    permit: &Permit<verbs::Administer>,
    id: WebhookId,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    webhooks::delete(&mut change, id).await?;
    let event = permit.event("webhook.deleted", json!({"webhook": id}));
    Ok(change.commit(&event.changed(Some(&describe(&before)), None)).await?)
}

/// Sends a webhook an example of an event at once, of its first unless one is given. It is no
/// delivery: nothing is kept of it.
///
/// # Errors
/// The webhook is not there. That nobody answers is no error, but what came of it.
pub async fn test(
    state: &State,
    permit: &Permit<verbs::Administer>,
    id: WebhookId,
    event: Option<Event>,
) -> Result<Tested> {
    let webhook = get(state, permit, id).await?;
    let event = match (event, webhook.events.first()) {
        (Some(event), _) => event,
        (None, Some((entity, action))) => Event::find(entity, action)?,
        (None, None) => return Err(Problem::invalid("event", "it hears of no event").into()),
    };
    let body = event.example(state.database.now());
    let to = (id, webhook.url.as_str());
    Ok(match send::send(state, to, webhook.secret.as_deref(), DeliveryId::new(), &body).await {
        Ok(answer) => Tested {
            success: answer.status < 400,
            status: Some(answer.status),
            body: Some(answer.body),
            error: None,
        },
        Err(error) => Tested { success: false, status: None, body: None, error: Some(error) },
    })
}

pub(crate) async fn lock(change: &mut Change, id: WebhookId) -> Result<Webhook> {
    Ok(webhooks::lock(change, id).await?.ok_or_else(|| absent(id))?)
}

fn absent(id: WebhookId) -> Problem {
    Problem::not_found("webhook", id).at("webhook_id")
}

/// A webhook as the audit trail keeps it: no secret, and of the URL only where it leads, since the
/// rest is often one.
fn describe(webhook: &Webhook) -> Value {
    let origin = reqwest::Url::parse(&webhook.url)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    json!({
        "name": webhook.name, "description": webhook.description, "origin": origin,
        "active": webhook.active, "signed": webhook.secret.is_some(), "events": webhook.events,
    })
}

fn check(
    name: &str,
    description: Option<&str>,
    secret: Option<&SecretString>,
) -> Result<(), Problem> {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let is_name = bytes.len() <= LONGEST_NAME
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && is_end(bytes.first())
        && is_end(bytes.last());
    if !is_name {
        let shown: String = name.chars().take(80).collect();
        let message = format!(
            "Webhook name `{shown}` is invalid: expected 1 to {LONGEST_NAME} letters, digits, `.`, `_` and `-`, with a letter or digit at both ends"
        );
        return Err(Problem::invalid("name", message));
    }
    let lengths = [
        ("description", description.map(|text| text.chars().count())),
        ("secret", secret.map(|text| text.expose_secret().chars().count())),
    ];
    for (field, length) in lengths {
        if let Some(length) = length.filter(|&length| length > LONGEST_TEXT) {
            let message = format!("{length} characters: expected up to {LONGEST_TEXT}");
            return Err(Problem::invalid(field, message));
        }
    }
    Ok(())
}

async fn check_url(state: &State, url: &str) -> Result<(), Problem> {
    if url.chars().count() > LONGEST_URL {
        let message = format!("the URL is too long: expected up to {LONGEST_URL} characters");
        return Err(Problem::invalid("url", message));
    }
    state.guard.check(url).await.map(drop)
}

fn names(events: &[Event]) -> Result<Vec<EventName>, Problem> {
    if events.is_empty() {
        return Err(Problem::invalid(
            "events",
            "Webhook events must be a non-empty list: name at least one",
        ));
    }
    Ok(events.iter().map(|event| event.name()).collect())
}

fn seal(
    state: &State,
    id: WebhookId,
    secret: Option<&SecretString>,
) -> Result<Option<Vec<u8>>, Problem> {
    let Some(secret) = secret.filter(|secret| !secret.expose_secret().is_empty()) else {
        return Ok(None);
    };
    state.vault.seal(id.0.as_bytes(), secret).map(Some).ok_or_else(Problem::internal)
}
