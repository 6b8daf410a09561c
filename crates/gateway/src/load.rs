//! Makes a version ready: its files, its engine, its first runs.

mod kind;
mod onnx;

use std::sync::Arc;

use domain::{Problem, Signature, Tensor, VersionId, serving::Isolation};
use inference::process::{Bounds, Host};
use serde_json::Value;
use store::{
    printed::Line,
    serving::{self, Loadable},
    versions,
};

use self::kind::Kind;
use crate::{State, identity::Labels, live::Served, sync::in_time};

/// Why a version is not ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A fault of ours, such as a store that is away: it may work in a moment.
    Passing(String),
    /// It cannot be loaded here, whoever tries; in words for whoever deployed it.
    Lasting(String),
}

impl Failure {
    pub(crate) fn panicked() -> Self {
        Self::Lasting("loading the model panicked".to_owned())
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Passing(why) | Self::Lasting(why) => why,
        }
    }
}

impl From<inference::Error> for Failure {
    fn from(error: inference::Error) -> Self {
        use inference::Error;
        match error {
            Error::Fetch(cause) if cause.is_damage() => {
                let Problem { message, hint, .. } = cause.into();
                Self::Lasting(format!("{message}: {}", hint.unwrap_or_default()))
            }
            Error::Fetch(_)
            | Error::Cache { .. }
            | Error::Worker(_)
            | Error::Thread(_)
            | Error::Gone(_) => Self::Passing(error.to_string()),
            Error::Library(_)
            | Error::Model(_)
            | Error::Input(_)
            | Error::Run(_)
            | Error::Failed(_)
            | Error::Memory
            | Error::OutputTooLarge { .. }
            | Error::Timeout
            | Error::Overloaded
            | Error::Draining => Self::Lasting(Problem::from(error).message),
        }
    }
}

/// Fetches, loads and warms a version.
pub(crate) async fn load(
    state: &State,
    version: VersionId,
    isolation: Isolation,
) -> Result<Served, Failure> {
    let database = &state.given.database;
    let gone = || Failure::Lasting("the version is gone, or has no model to load".to_owned());
    let loadable = in_time(serving::loadable(database, version)).await;
    let loadable = loadable.map_err(Failure::Passing)?.ok_or_else(gone)?;
    let manifest = in_time(versions::manifest(database, version)).await;
    let manifest = manifest.map_err(Failure::Passing)?;
    let folder = state.given.cache.folder(&manifest, &loadable.model_file).await?;
    let example =
        loadable.input_example.as_ref().and_then(|example| tensors(example, &loadable.signature));
    let options = state.given.settings.replica.clone();
    let processes = processes(state, &loadable);
    let digest = manifest.digest();
    let chosen = Kind::choose(state, (&loadable, &folder), &digest, (isolation, processes)).await?;
    let (kind, suspicion) = chosen;
    let loaded = tokio::task::spawn_blocking(move || {
        let (replica, bytes) = kind.load(&folder, &options, example)?;
        Ok::<_, inference::Error>((replica, bytes, folder))
    });
    let (replica, bytes, folder) = loaded.await.map_err(|_| Failure::panicked())??;
    Ok(Served {
        version,
        labels: Labels::new(&loadable.model, loadable.number, &digest),
        model: loadable.model,
        number: loadable.number,
        model_file: loadable.model_file.to_string(),
        signature: replica.serves(loadable.signature),
        input_example: loadable.input_example,
        bytes,
        runtime: loadable.runtime,
        replica,
        isolation,
        suspicion,
        _folder: folder,
    })
}

/// What starts a version's processes, and what each of them may take.
fn processes(state: &State, loadable: &Loadable) -> (Host, Bounds) {
    let (given, model, number) = (&state.given, loadable.model.to_string(), loadable.number);
    let (printed, database) = (Arc::clone(&state.printed), given.database.clone());
    let version = loadable.id;
    let host = given.host.printing(Arc::new(move |line| {
        tracing::info!(target: "model", model, number, line, "printed");
        printed.note(Line { version, at: database.now(), text: line.to_owned() });
    }));
    let bounds = Bounds {
        memory_bytes: given.settings.process_memory,
        output_bytes: given.settings.replica.max_output_bytes,
        ..Bounds::default()
    };
    (host, bounds)
}

/// What an example holds. It was found good when the version was registered; should it not fit any
/// more, made-up values warm the model as well.
fn tensors(example: &Value, signature: &Signature) -> Option<Vec<Tensor>> {
    let body = example.to_string();
    protocol::v2::json::decode(body.as_bytes(), signature).ok().map(|request| request.inputs)
}
