//! `/models/{name}/history`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{AliasName, Cursor, Problem, Stage, Timestamp};
use rest::{ApiError, Json, PageQuery, Path, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use store::history::{Filter, Move};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, ModelPath};
use crate::{State, history};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// One move of an alias.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "alias": "champion", "revision": 7, "from_version": 2, "to_version": 3, "reason": "better recall on June",
    "actor": "user:ana", "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "at": "2026-01-02T03:04:05Z",
}))]
pub struct AliasMove {
    alias: String,
    /// Its revision after the move, from 1.
    revision: i32,
    /// Null where it was not set.
    #[schema(required)]
    from_version: Option<i32>,
    /// Null where it was unset.
    #[schema(required)]
    to_version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    actor: String,
    request_id: String,
    at: DateTime<Utc>,
}

impl From<store::aliases::Move> for AliasMove {
    fn from(done: store::aliases::Move) -> Self {
        Self {
            alias: done.alias.to_string(),
            revision: done.revision,
            from_version: done.from,
            to_version: done.to,
            reason: done.reason,
            actor: done.actor,
            request_id: done.request_id,
            at: done.at,
        }
    }
}

/// One move of a version from stage to stage.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "version": 3, "from_stage": "Staging", "to_stage": "Production", "transition": 41,
    "reason": "better recall on June", "actor": "user:ana",
    "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "at": "2026-01-02T03:04:05Z",
}))]
pub struct StageMove {
    version: i32,
    /// Null where the version came back from being deleted.
    #[schema(required, value_type = Option<String>)]
    from_stage: Option<Stage>,
    /// Null where the version was deleted.
    #[schema(required, value_type = Option<String>)]
    to_stage: Option<Stage>,
    /// The same for all that was done together, as the versions that were archived for another one.
    transition: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    actor: String,
    request_id: String,
    at: DateTime<Utc>,
}

impl From<store::stages::Move> for StageMove {
    fn from(done: store::stages::Move) -> Self {
        Self {
            version: done.version,
            from_stage: done.from,
            to_stage: done.to,
            transition: done.transition,
            reason: done.reason,
            actor: done.actor,
            request_id: done.request_id,
            at: done.at,
        }
    }
}

/// One move, of an alias or of a version's stage, as `kind` says.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AnyMove {
    /// An alias was pointed elsewhere.
    Alias(AliasMove),
    /// A version went from stage to stage.
    Stage(StageMove),
}

impl From<Move> for AnyMove {
    fn from(done: Move) -> Self {
        match done {
            Move::Alias(done) => Self::Alias(done.into()),
            Move::Stage(done) => Self::Stage(done.into()),
        }
    }
}

/// Where an alias pointed at a moment.
#[derive(Serialize, ToSchema)]
pub struct AliasThen {
    alias: String,
    version: i32,
    /// Its revision at that moment.
    revision: i32,
    /// When it was put there.
    since: DateTime<Utc>,
    /// Who put it there.
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A version that was in a stage at a moment.
#[derive(Serialize, ToSchema)]
pub struct StageThen {
    #[schema(value_type = String)]
    stage: Stage,
    version: i32,
    /// When it was put there.
    since: DateTime<Utc>,
    /// Who put it there.
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How a model stood at a moment.
#[derive(Serialize, ToSchema)]
pub struct Standing {
    as_of: DateTime<Utc>,
    /// Every alias that was set, by name.
    aliases: Vec<AliasThen>,
    /// Every version that was in another stage than `None`, by stage, then by number: an endpoint
    /// that follows a stage serves the newest in it.
    stages: Vec<StageThen>,
}

impl Standing {
    fn of(standing: history::Standing, as_of: Timestamp) -> Self {
        let alias = |done: store::aliases::Move| {
            Some(AliasThen {
                alias: done.alias.to_string(),
                version: done.to?,
                revision: done.revision,
                since: done.at,
                actor: done.actor,
                reason: done.reason,
            })
        };
        let stage = |done: store::stages::Move| {
            Some(StageThen {
                stage: done.to?,
                version: done.version,
                since: done.at,
                actor: done.actor,
                reason: done.reason,
            })
        };
        Self {
            as_of,
            aliases: standing.aliases.into_iter().filter_map(alias).collect(),
            stages: standing.stages.into_iter().filter_map(stage).collect(),
        }
    }
}

/// A page of what moved; with `as_of` also how everything stood then.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{
        "kind": "alias", "alias": "champion", "revision": 7, "from_version": 2, "to_version": 3,
        "reason": "better recall on June", "actor": "user:ana",
        "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "at": "2026-01-02T03:04:05Z",
    }, {
        "kind": "stage", "version": 3, "from_stage": "Staging", "to_stage": "Production", "transition": 41,
        "actor": "user:ana", "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c0", "at": "2026-01-02T03:00:00Z",
    }],
    "next_cursor": null,
    "standing": {
        "as_of": "2026-01-03T00:00:00Z",
        "aliases": [{
            "alias": "champion", "version": 3, "revision": 7, "since": "2026-01-02T03:04:05Z",
            "actor": "user:ana", "reason": "better recall on June",
        }],
        "stages": [{
            "stage": "Production", "version": 3, "since": "2026-01-02T03:00:00Z", "actor": "user:ana",
        }],
    },
}))]
pub struct History {
    items: Vec<AnyMove>,
    /// `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
    /// How everything stood at `as_of`, whatever the other filters say.
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
}

/// Which moves.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those of this alias; with `stage` those of either.
    #[param(value_type = Option<String>, example = "champion")]
    alias: Option<AliasName>,
    /// Only those to or from this stage.
    #[param(value_type = Option<String>, example = "Production")]
    stage: Option<Stage>,
    /// Not before this instant.
    #[param(format = DateTime, example = "2026-01-01T00:00:00Z")]
    since: Option<String>,
    /// Before this instant.
    #[param(format = DateTime, example = "2026-02-01T00:00:00Z")]
    until: Option<String>,
    /// Who was each alias, and which versions were in each stage, at this instant, and what moved
    /// until then. Not together with `until`.
    #[param(format = DateTime, example = "2026-01-03T00:00:00Z")]
    as_of: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List the moves of a model's aliases and of its versions' stages, newest first: who was champion
/// or in production when, and who decided. With `as_of` also how everything stood at that moment.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(ModelPath, Which),
    responses((status = 200, description = "A page of moves", body = History), openapi::Reads),
)]
#[get("/models/{name}/history")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Query(which): Query<Which>,
) -> Result<Json<History>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let Which { alias, stage, since, until, as_of, cursor, limit } = which;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let (since, until) = (instant("since", since)?, instant("until", until)?);
    let as_of = instant("as_of", as_of)?;
    if as_of.is_some() && until.is_some() {
        let problem = Problem::invalid("until", "`until` and `as_of` both say where to end");
        return Err(ApiError(problem.hint("leave one of them out")));
    }
    let standing = match as_of {
        Some(at) => Some(Standing::of(history::standing(&state, &permit, &name, at).await?, at)),
        None => None,
    };
    let filter = Filter { alias, stage, since, until, as_of };
    let page = history::list(&state, &permit, &name, filter, cursor.as_ref(), limit).await?;
    Ok(Json(History {
        next_cursor: page.next.as_ref().map(Cursor::encode),
        items: page.items.into_iter().map(Into::into).collect(),
        standing,
    }))
}
