//! Webhooks, as MLflow's clients make them.
//!
//! Events that only Bottega has are not to be named in this protocol, whose clients refuse what they
//! do not know: webhooks that hear of nothing else are not listed, and of others those events are
//! not shown. An update here changes MLflow's events and leaves ours.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use auth::{Access, Caller, Permit, verbs};
use domain::{Cursor, Limit, Resource, WebhookId};
use notify::{
    State,
    events::{Event, MLFLOW},
    webhooks::{self, Edit, NewWebhook},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use store::webhooks::Webhook;

use crate::{
    refusal::{Answer, Refusal},
    request::{self, Args, required},
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/webhooks").route(web::get().to(list)).route(web::post().to(create)),
        )
        .service(
            web::resource("/webhooks/{webhook_id}")
                .route(web::get().to(get))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        )
        .service(web::resource("/webhooks/{webhook_id}/test").route(web::post().to(test)));
}

#[derive(Debug, Deserialize)]
struct EventArg {
    entity: Option<String>,
    action: Option<String>,
}

impl EventArg {
    /// Names are in capitals in this protocol.
    fn event(&self) -> Result<Event, Refusal> {
        let name = |text: &Option<String>| text.as_deref().unwrap_or_default().to_lowercase();
        let event = Event::find(&name(&self.entity), &name(&self.action))?;
        if MLFLOW.contains(&event) {
            Ok(event)
        } else {
            Err(Refusal::invalid(format!(
                "`{}.{}` is not one of MLflow's events: ask for it at /api/v1/webhooks",
                event.entity, event.action
            )))
        }
    }
}

fn events(args: &[EventArg]) -> Result<Vec<Event>, Refusal> {
    args.iter().map(EventArg::event).collect()
}

/// `true` for `ACTIVE`.
fn active(status: &str) -> Result<bool, Refusal> {
    match status {
        "ACTIVE" => Ok(true),
        "DISABLED" => Ok(false),
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Refusal::invalid(format!(
                "Invalid value for parameter 'status' supplied: `{shown}`: expected ACTIVE or DISABLED"
            )))
        }
    }
}

async fn permit(access: &Access, caller: &Caller) -> Result<Permit<verbs::Administer>, Refusal> {
    Ok(access.authorize(caller, Resource::Platform).await?)
}

/// What is no id of ours is not there.
fn id(text: &str) -> Result<WebhookId, Refusal> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Refusal::absent(format!("Webhook with ID {shown} not found."))
    })
}

fn is_mlflows(entity: &str, action: &str) -> bool {
    MLFLOW.iter().any(|event| event.entity == entity && event.action == action)
}

fn webhook_json(webhook: &Webhook) -> Value {
    let events: Vec<_> = webhook
        .events
        .iter()
        .filter(|(entity, action)| is_mlflows(entity, action))
        .map(|(entity, action)| {
            json!({"entity": entity.to_uppercase(), "action": action.to_uppercase()})
        })
        .collect();
    let mut shown = json!({
        "webhook_id": webhook.id, "name": webhook.name, "url": webhook.url, "events": events,
        "status": if webhook.active { "ACTIVE" } else { "DISABLED" },
        "creation_timestamp": webhook.created_at.timestamp_millis(),
        "last_updated_timestamp": webhook.updated_at.timestamp_millis(),
    });
    if let Some(description) = &webhook.description {
        shown["description"] = json!(description);
    }
    shown
}

#[derive(Debug, Deserialize)]
struct ListArgs {
    #[serde(default, deserialize_with = "request::number")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<ListArgs>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    // 0 is protobuf's way to leave a number away.
    let asked = args.max_results.filter(|&number| number != 0).map(u32::try_from).transpose();
    let limit = asked.ok().and_then(|asked| Limit::new(asked).ok());
    let limit = limit.ok_or_else(|| Refusal::invalid("max_results must be between 1 and 1000."))?;
    let token = args.page_token.filter(|token| !token.is_empty());
    let cursor = token.as_deref().map(Cursor::parse).transpose()?;
    let page = webhooks::list(&state, &permit, true, cursor.as_ref(), limit).await?;
    let mut answer = json!({"webhooks": page.items.iter().map(webhook_json).collect::<Vec<_>>()});
    if let Some(next) = page.next {
        answer["next_page_token"] = json!(next.encode());
    }
    Ok(HttpResponse::Ok().json(answer))
}

#[derive(Debug, Deserialize)]
struct CreateArgs {
    name: Option<String>,
    url: Option<String>,
    #[serde(default)]
    events: Option<Vec<EventArg>>,
    description: Option<String>,
    secret: Option<SecretString>,
    status: Option<String>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<CreateArgs>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    let new = NewWebhook {
        name: required(args.name, "name")?,
        url: required(args.url, "url")?,
        events: events(&required(args.events, "events")?)?,
        description: args.description,
        secret: args.secret,
        active: args.status.as_deref().map_or(Ok(true), active)?,
    };
    let webhook = webhooks::create(&state, &permit, new).await?;
    Ok(HttpResponse::Ok().json(json!({"webhook": webhook_json(&webhook)})))
}

async fn get(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    webhook: web::Path<String>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    let webhook = webhooks::get(&state, &permit, id(&webhook)?).await?;
    Ok(HttpResponse::Ok().json(json!({"webhook": webhook_json(&webhook)})))
}

#[derive(Debug, Deserialize)]
struct UpdateArgs {
    name: Option<String>,
    url: Option<String>,
    #[serde(default)]
    events: Option<Vec<EventArg>>,
    description: Option<String>,
    secret: Option<SecretString>,
    status: Option<String>,
}

async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    webhook: web::Path<String>,
    Args(args): Args<UpdateArgs>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    let id = id(&webhook)?;
    // A list without members cannot be told from one that is not there.
    let mlflows = args.events.filter(|events| !events.is_empty());
    let events = match mlflows.as_deref().map(events).transpose()? {
        None => None,
        Some(mut events) => {
            let before = webhooks::get(&state, &permit, id).await?;
            for (entity, action) in &before.events {
                if !is_mlflows(entity, action) {
                    events.push(Event::find(entity, action)?);
                }
            }
            Some(events)
        }
    };
    let edit = Edit {
        name: args.name.filter(|name| !name.is_empty()),
        url: args.url.filter(|url| !url.is_empty()),
        events,
        description: args.description,
        secret: args.secret,
        active: args.status.as_deref().map(active).transpose()?,
    };
    let webhook = webhooks::update(&state, &permit, id, edit).await?;
    Ok(HttpResponse::Ok().json(json!({"webhook": webhook_json(&webhook)})))
}

async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    webhook: web::Path<String>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    webhooks::delete(&state, &permit, id(&webhook)?).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

#[derive(Debug, Deserialize)]
struct TestArgs {
    event: Option<EventArg>,
}

async fn test(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    webhook: web::Path<String>,
    Args(args): Args<TestArgs>,
) -> Answer {
    let permit = permit(&access, &caller).await?;
    let event = args.event.as_ref().map(EventArg::event).transpose()?;
    let tested = webhooks::test(&state, &permit, id(&webhook)?, event).await?;
    let mut result = json!({"success": tested.success});
    if let Some(status) = tested.status {
        result["response_status"] = json!(status);
    }
    if let Some(body) = tested.body {
        result["response_body"] = json!(body);
    }
    if let Some(error) = tested.error {
        result["error_message"] = json!(error);
    }
    Ok(HttpResponse::Ok().json(json!({"result": result})))
}
