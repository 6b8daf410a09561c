//! Where environments of Python packages are, and what they are built from.

use std::sync::Arc;

use inference::{EnvironmentSettings, Environments};

use super::platform::refused;
use crate::{output::Failure, settings::Settings};

/// This machine's environments.
pub fn environments(settings: &Settings) -> Result<Arc<Environments>, Failure> {
    let listed = |text: &Option<String>| -> Vec<String> {
        let parts = text.as_deref().unwrap_or_default().split(',');
        parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let given = EnvironmentSettings {
        uv: settings.uv.clone(),
        index: settings.python_index_url.clone(),
        find_links: listed(&settings.python_find_links),
        builds: settings.python_builds,
        pythons: listed(&settings.python_dir).into_iter().map(Into::into).collect(),
        uv_cache: settings.python_cache_dir.clone(),
        limit: settings.python_environment_bytes,
        time: settings.python_build_timeout,
    };
    let folder = settings.data_dir.join("python/environments");
    let environments = Environments::new(folder, given);
    Ok(Arc::new(environments.map_err(|error| refused("data_dir", &error))?))
}
