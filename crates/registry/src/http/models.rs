//! `/models`

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, patch, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{ModelName, Stage, access::Kind};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, AsOf, ModelPath};
use crate::{State, history, models, text};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(show).service(update).service(delete);
}

/// A model: a name that versions and aliases hang on.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "fraud", "description": "Scores card payments", "owner": "user:ana", "team": "risk",
    "tags": {"team": "risk"}, "latest_version": 4, "aliases": {"champion": 3},
    "stages": ["None", "Staging", "Production", "Archived"],
    "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
}))]
pub struct Model {
    name: String,
    description: String,
    /// Who made it.
    owner: String,
    /// The team that owns it; null where none does.
    #[schema(required)]
    team: Option<String>,
    tags: BTreeMap<String, String>,
    /// The newest version that is there; null before the first.
    #[schema(required)]
    latest_version: Option<i32>,
    /// Where each alias points.
    aliases: BTreeMap<String, i32>,
    /// The stages that its versions may be in.
    #[schema(value_type = Vec<String>)]
    stages: Vec<Stage>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// The moment that was asked for: `aliases` and `latest_version` are as they were then.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
}

impl From<store::models::Model> for Model {
    fn from(model: store::models::Model) -> Self {
        let aliases = model.aliases.into_iter();
        Self {
            name: model.name.to_string(),
            description: model.description,
            owner: model.owner,
            team: model.team,
            tags: model.tags,
            latest_version: model.latest_version,
            aliases: aliases.map(|(alias, number)| (alias.to_string(), number)).collect(),
            stages: model.stages,
            created_at: model.created_at,
            updated_at: model.updated_at,
            as_of: None,
        }
    }
}

/// Which models.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those whose name holds this, whatever the case.
    #[param(example = "fra")]
    search: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List models, by name.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("each view:model"))),
    params(Filter),
    responses((status = 200, description = "A page of models", body = PageBody<Model>), openapi::Reads),
)]
#[get("/models")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(filter): Query<Filter>,
) -> Result<Json<PageBody<Model>>, ApiError> {
    let permit = access.list(&caller, Kind::Model).await?;
    let Filter { search, cursor, limit } = filter;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let page = models::list(&state, &permit, search.as_deref(), cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// What a new model is made of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "fraud", "description": "Scores card payments", "tags": {"team": "risk"}}))]
pub struct NewModel {
    /// 1 to 255 characters without `/` and `:`.
    #[schema(value_type = String)]
    name: ModelName,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// The team that is to own it; your home team unless you say.
    #[schema(examples("risk"))]
    team: Option<String>,
}

impl TryFrom<NewModel> for models::NewModel {
    type Error = domain::Problem;

    fn try_from(new: NewModel) -> Result<Self, Self::Error> {
        Ok(Self {
            name: new.name,
            description: text::bounded("description", new.description, text::DESCRIPTION)?,
            tags: text::tags(new.tags)?,
        })
    }
}

/// Make a model without versions. Registering a version makes its model as well.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("register:model"))),
    responses((status = 201, description = "The model", body = Model), openapi::Writes),
)]
#[post("/models")]
pub async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Json(new): Json<NewModel>,
) -> Result<HttpResponse, ApiError> {
    let (resource, team) = (path::model(&new.name), new.team.as_deref());
    let permit = access.authorize_with(&caller, resource, team, None).await?;
    let model = models::create(&state, &permit, &new.try_into()?).await?;
    Ok(HttpResponse::Created().json(Model::from(model)))
}

/// Show a model. With `as_of` its aliases and its newest version are those of that moment; the rest
/// is as it is now.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(ModelPath, AsOf),
    responses((status = 200, description = "The model", body = Model), openapi::Reads),
)]
#[get("/models/{name}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Query(as_of): Query<AsOf>,
) -> Result<Json<Model>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let as_of = as_of.instant()?;
    let model = match as_of {
        Some(at) => history::model(&state, &permit, &name, at).await?,
        None => models::get(&state, &permit, &name).await?,
    };
    Ok(Json(Model { as_of, ..model.into() }))
}

/// What shall be different; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Scores card payments", "tags": {"team": "risk"}}))]
pub struct ModelEdit {
    description: Option<String>,
    /// All tags; those that are not named go.
    tags: Option<BTreeMap<String, String>>,
}

impl TryFrom<ModelEdit> for models::Edit {
    type Error = domain::Problem;

    fn try_from(edit: ModelEdit) -> Result<Self, Self::Error> {
        Ok(Self {
            description: text::optional("description", edit.description, text::DESCRIPTION)?,
            tags: edit.tags.map(text::tags).transpose()?,
        })
    }
}

/// Change a model's description or tags.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("edit:model"))),
    params(ModelPath),
    responses((status = 200, description = "The model", body = Model), openapi::Writes),
)]
#[patch("/models/{name}")]
pub async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Json(edit): Json<ModelEdit>,
) -> Result<Json<Model>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    Ok(Json(models::update(&state, &permit, &name, edit.try_into()?).await?.into()))
}

/// Delete a model with its versions and aliases, if no endpoint needs it.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("delete:model"))),
    params(ModelPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/models/{name}")]
pub async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    models::delete(&state, &permit, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}
