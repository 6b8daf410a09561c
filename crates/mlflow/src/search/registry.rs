//! `/registered-models/search` and `/model-versions/search`

use actix_web::web::{Data, ServiceConfig, get};
use auth::{Access, Caller};
use domain::{
    access::Kind,
    search::{Fingerprint, Subject, filter, order},
};
use registry::{State, search};
use serde::Deserialize;
use store::search::{Search, View};

use super::{begin, limit, page};
use crate::{
    models::{model_version_json, registered_model_json},
    refusal::{Answer, Refusal},
    request::{Args, number},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/registered-models/search", get().to(models))
        .route("/model-versions/search", get().to(versions));
}

#[derive(Debug, Deserialize)]
struct Asked {
    filter: Option<String>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

/// What is asked for, and how its page tokens are known again.
fn search(
    subject: Subject,
    asked: &Asked,
    (unless_asked, most): (i64, i64),
) -> Result<(Search, Fingerprint), Refusal> {
    let filter_text = asked.filter.as_deref().unwrap_or_default();
    let sorts = order(subject, &asked.order_by)?;
    let search = Search {
        subject,
        experiments: Vec::new(),
        view: View::Active,
        conditions: filter(subject, filter_text)?,
        datasets: Vec::new(),
        order: sorts.into_iter().map(|sort| (sort, None)).collect(),
        after: None,
        limit: limit(asked.max_results, unless_asked, most)?,
    };
    let kind = if subject == Subject::Models { "models" } else { "versions" };
    let fingerprint = Fingerprint::of(&(kind, filter_text, &asked.order_by));
    Ok((begin(search, &fingerprint, asked.page_token.as_ref())?, fingerprint))
}

async fn models(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Asked>,
) -> Answer {
    let permit = access.list(&caller, Kind::Model).await?;
    let (search, fingerprint) = search(Subject::Models, &asked, (100, 1000))?;
    let (found, next) = search::models(&state, &permit, &search).await?;
    let models = found.iter().map(|(model, latest)| registered_model_json(model, latest));
    page("registered_models", models.collect(), &fingerprint, next.as_ref())
}

async fn versions(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<Asked>,
) -> Answer {
    let permit = access.list(&caller, Kind::Model).await?;
    let (search, fingerprint) = search(Subject::Versions, &asked, (10_000, 200_000))?;
    let (found, next) = search::versions(&state, &permit, &search).await?;
    page(
        "model_versions",
        found.iter().map(model_version_json).collect(),
        &fingerprint,
        next.as_ref(),
    )
}
