//! Finding models and versions as MLflow's clients search them.

use std::collections::HashMap;

use auth::{Permit, verbs};
use domain::{ModelId, VersionId, search::Position};
use store::{
    models::{self, Model},
    search::{self, Search},
    versions::{self, Version},
};

use crate::{Result, State};

/// Models, each with the newest version in each of its stages, and where the next page begins.
///
/// # Errors
/// The page token's values are none of this search.
pub async fn models(
    state: &State,
    permit: &Permit<verbs::View>,
    search: &Search,
) -> Result<(Vec<(Model, Vec<Version>)>, Option<Position>)> {
    let found = search::find(&state.database, permit.visible(), search).await?;
    let ids: Vec<ModelId> = found.ids.into_iter().map(ModelId).collect();
    let mut newest: HashMap<ModelId, Vec<Version>> = HashMap::new();
    for version in versions::newest_in_stages(&state.database, &ids).await? {
        newest.entry(version.model_id).or_default().push(version);
    }
    let models = models::load(&state.database, &ids).await?.into_iter();
    let models = models.map(|model| {
        let versions = newest.remove(&model.id).unwrap_or_default();
        (model, versions)
    });
    Ok((models.collect(), found.next))
}

/// Versions, and where the next page begins.
///
/// # Errors
/// The page token's values are none of this search.
pub async fn versions(
    state: &State,
    permit: &Permit<verbs::View>,
    search: &Search,
) -> Result<(Vec<Version>, Option<Position>)> {
    let found = search::find(&state.database, permit.visible(), search).await?;
    let ids: Vec<VersionId> = found.ids.into_iter().map(VersionId).collect();
    Ok((versions::load(&state.database, &ids).await?, found.next))
}
