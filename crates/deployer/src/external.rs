//! The trial of a version that a server of others runs: one question, by its example or by zeros.

use std::time::{Duration, Instant};

use domain::{ErrorCode, external::External};
use remote::Model;
use store::{serving::Loadable, versions};

use crate::{State, state::Trials};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of its answer.
const MOST: usize = 64 << 20;

/// Why the version cannot serve, in words for whoever registered it; absent where it answers.
///
/// # Errors
/// A fault of ours.
pub(crate) async fn obstacle(
    state: &State,
    loadable: &Loadable,
) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let Trials { cache, remote, decode_example, .. } = &state.trials;
    let manifest = versions::manifest(&state.database, loadable.id).await?;
    let folder = cache.folder(&manifest, &loadable.model_file).await?;
    let content = tokio::fs::read(folder.path.join(folder.file.as_str())).await?;
    remote.refresh().await?;
    let asked = async {
        let external = External::read(&content)?;
        let model = Model::new(&external, &loadable.signature)
            .map_err(|failure| failure.of("its server"))?;
        let inputs = match &loadable.input_example {
            Some(example) => decode_example(example, &loadable.signature)?,
            None => model.example()?,
        };
        let host = model.host().to_owned();
        let answer = model.ask(&**remote, &inputs, MOST, Instant::now() + PATIENCE).await;
        answer.map_err(|failure| failure.of(&format!("its server `{host}`")))
    };
    match asked.await {
        Ok(_) => Ok(None),
        Err(problem) if problem.code == ErrorCode::Internal => Err(problem.into()),
        Err(problem) => Ok(Some(problem.message)),
    }
}
