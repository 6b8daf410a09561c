//! `model-versions/…`

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, delete, get, patch, post},
};
use auth::{Access, Caller, verbs};
use registry::{
    State, register,
    rules::Gate,
    stages::{self, Order},
    versions::{self, Edit},
};
use serde::Deserialize;
use serde_json::json;
use store::versions::Version;

use super::{
    Tag, description, download_uri, model_version_json, name, permit,
    source::{self, Claim},
    tags, told, version,
};
use crate::{
    refusal::Answer,
    request::{Args, required},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/model-versions/create", post().to(create))
        .route("/model-versions/get", get().to(show))
        .route("/model-versions/update", patch().to(update))
        .route("/model-versions/delete", delete().to(remove))
        .route("/model-versions/get-download-uri", get().to(uri))
        .route("/model-versions/transition-stage", post().to(transition))
        .route("/model-versions/set-tag", post().to(set_tag))
        .route("/model-versions/delete-tag", delete().to(delete_tag));
}

#[derive(Debug, Deserialize)]
struct Create {
    name: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    model_id: Option<String>,
    run_link: Option<String>,
    description: Option<String>,
    tags: Option<Vec<Tag>>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    tracking: Data<tracking::State>,
    Args(new): Args<Create>,
) -> Answer {
    let name = name(new.name, "name")?;
    let permit = permit::<verbs::Register>(&access, &caller, &name).await?;
    let claim = Claim {
        source: registry::text::bounded("source", required(new.source, "source")?, 2048)?,
        run_id: registry::text::optional("run_id", new.run_id, 500)?,
        model_id: new.model_id,
        run_link: registry::text::optional("run_link", new.run_link, 2048)?,
    };
    let tags = tags(new.tags)?;
    let located = source::locate(&caller, &access, &state, &tracking, claim, &tags).await?;
    let submission = located.submission(description(new.description)?, tags);
    let version =
        register::add(&state, &permit, &name, submission).await.map_err(told(&name, None))?;
    Ok(answer(&version))
}

#[derive(Debug, Deserialize)]
struct Named {
    name: Option<String>,
    version: Option<String>,
}

async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Named>,
) -> Answer {
    Ok(answer(&read(&caller, &access, &state, asked).await?))
}

async fn uri(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Named>,
) -> Answer {
    let mut version = read(&caller, &access, &state, asked).await?;
    // Of a copy it is where the files of the original are.
    for _ in 0..COPIES {
        let Some(original) = original(&version) else { break };
        let Ok(original) = read(&caller, &access, &state, original).await else { break };
        version = original;
    }
    Ok(HttpResponse::Ok().json(json!({"artifact_uri": download_uri(&version)})))
}

/// More copies of copies than these nobody makes.
const COPIES: usize = 8;

/// What a version is a copy of, whose files are not here.
fn original(version: &Version) -> Option<Named> {
    let source = version.origin.source.as_deref().filter(|_| version.origin.is_external)?;
    let (name, number) = source.strip_prefix("models:/")?.rsplit_once('/')?;
    Some(Named { name: Some(name.to_owned()), version: Some(number.to_owned()) })
}

async fn read(
    caller: &Caller,
    access: &Access,
    state: &State,
    asked: Named,
) -> Result<Version, crate::refusal::Refusal> {
    let (name, number) = (name(asked.name, "name")?, version(asked.version)?);
    let permit = permit::<verbs::View>(access, caller, &name).await?;
    versions::get(state, &permit, &name, number).await.map_err(told(&name, Some(number)))
}

#[derive(Debug, Deserialize)]
struct Update {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
}

async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(update): Args<Update>,
) -> Answer {
    let (name, number) = (name(update.name, "name")?, version(update.version)?);
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let edit = Edit { description: Some(description(update.description)?), ..Edit::default() };
    let edited = versions::update(&state, &permit, &name, number, edit)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(answer(&edited))
}

/// The aliases that point to it go with it.
async fn remove(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Named>,
) -> Answer {
    let (name, number) = (name(asked.name, "name")?, version(asked.version)?);
    let delete = permit::<verbs::Delete>(&access, &caller, &name).await?;
    let promote = permit::<verbs::Promote>(&access, &caller, &name).await?;
    versions::delete_with_aliases(&state, &delete, &promote, &name, number)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
struct Transition {
    name: Option<String>,
    version: Option<String>,
    stage: Option<String>,
    /// In a query string it would be a text; clients send JSON.
    archive_existing_versions: Option<bool>,
}

async fn transition(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Transition>,
) -> Answer {
    let (name, number) = (name(asked.name, "name")?, version(asked.version)?);
    let order = Order {
        stage: required(asked.stage, "stage")?,
        archive_existing: asked.archive_existing_versions.unwrap_or_default(),
        reason: None,
    };
    let permit = permit::<verbs::Promote>(&access, &caller, &name).await?;
    let placed = stages::transition(&state, &permit, Gate::Closed, &name, number, &order)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(answer(&placed.version))
}

#[derive(Debug, Deserialize)]
struct VersionTag {
    name: Option<String>,
    version: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

async fn set_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(tag): Args<VersionTag>,
) -> Answer {
    let (name, number) = (name(tag.name, "name")?, version(tag.version)?);
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let (key, value) = Tag { key: tag.key, value: tag.value }.checked()?;
    versions::set_tag(&state, &permit, &name, number, &key, &value)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(nothing())
}

async fn delete_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(tag): Args<VersionTag>,
) -> Answer {
    let (name, number) = (name(tag.name, "name")?, version(tag.version)?);
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let key = required(tag.key, "key")?;
    versions::delete_tag(&state, &permit, &name, number, &key)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(nothing())
}

fn answer(version: &Version) -> HttpResponse {
    HttpResponse::Ok().json(json!({"model_version": model_version_json(version)}))
}

fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}
