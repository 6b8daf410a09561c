//! Resolving: from what people write to the bytes that it means.

use auth::{Permit, verbs};
use domain::{Manifest, ModelRef, VersionSelector};
use store::{
    aliases::{self, Alias},
    versions::{self, Version},
};

use crate::{Result, State};

/// What a reference means now.
#[derive(Debug)]
pub struct Resolved {
    /// The version.
    pub version: Version,
    /// The alias that led there.
    pub alias: Option<Alias>,
    /// Its files.
    pub manifest: Manifest,
}

/// What `fraud@champion` or `fraud/3` means now.
///
/// # Errors
/// The model, the alias or the version is not there.
pub async fn resolve(
    state: &State,
    permit: &Permit<verbs::View>,
    reference: &ModelRef,
) -> Result<Resolved> {
    let (version, alias) = match &reference.version {
        VersionSelector::Number(number) => {
            (crate::versions::get(state, permit, &reference.model, *number).await?, None)
        }
        VersionSelector::Stage(stage) => {
            let model = crate::models::get(state, permit, &reference.model).await?;
            let stage = crate::stages::canonical(&model, stage.as_str())?;
            let newest = versions::get_by_stage(&state.database, &model.name, &stage).await?;
            (newest.ok_or_else(|| crate::stages::empty(&model, &stage))?, None)
        }
        VersionSelector::Alias(name) => {
            let model = crate::models::get(state, permit, &reference.model).await?;
            let absent = || crate::aliases::absent(&model, name);
            // Alias and revision are read in one look; the version that they name is immutable.
            let all = aliases::list(&state.database, model.id).await?;
            let alias = all.into_iter().find(|alias| alias.alias == *name).ok_or_else(absent)?;
            let (id, _) = alias.version.ok_or_else(absent)?;
            let version = versions::get_by_id(&state.database, id).await?.ok_or_else(absent)?;
            (version, Some(alias))
        }
    };
    let manifest = versions::manifest(&state.database, version.id).await?;
    Ok(Resolved { version, alias, manifest })
}
