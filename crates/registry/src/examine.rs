//! What a version's files are, found out before any row is written: is everything there, what would
//! run it, what goes in and comes out.

use std::collections::HashMap;

use domain::{
    Digest, FilePath, Manifest, Problem, Runtime, Signature,
    onnx::{Interface, OnnxFacts, Scanner},
};
use futures_util::TryStreamExt as _;
use store::blobs;

use crate::{Error, Result, State, models::listed};

/// The file by which MLflow describes a model that its Python packages load.
const PACKAGE: &str = "MLmodel";

/// What was found.
#[derive(Debug)]
pub(crate) struct Examined {
    pub runtime: Runtime,
    pub model_file: Option<FilePath>,
    pub facts: Option<OnnxFacts>,
    pub signature: Option<Signature>,
    /// Why no trial is needed to know that it is not servable.
    pub not_servable: Option<String>,
}

impl Examined {
    /// Nothing here runs it, for this reason.
    pub fn nothing(why: String) -> Self {
        Self {
            runtime: Runtime::None,
            model_file: None,
            facts: None,
            signature: None,
            not_servable: Some(why),
        }
    }
}

/// Checks that the bytes of all files are here with the sizes that the manifest says. They stay
/// for a while, so that the version can name them.
pub(crate) async fn require_bytes(state: &State, manifest: &Manifest) -> Result<()> {
    let digests: Vec<Digest> = manifest.files().map(|(_, entry)| entry.digest).collect();
    let here: HashMap<_, _> = blobs::touch(&state.database, &digests).await?.into_iter().collect();
    for (path, entry) in manifest.files() {
        match here.get(&entry.digest) {
            Some(size) if *size == entry.size => {}
            Some(size) => {
                let claimed = entry.size;
                let message =
                    format!("`{path}` has {size} bytes here ({}), not {claimed}", entry.digest);
                return Err(Problem::invalid("files", message).into());
            }
            None => {
                let message = format!("the bytes of `{path}` ({}) are not here", entry.digest);
                return Err(Problem::invalid("files", message)
                    .hint("upload them first: PUT /api/v1/blobs/{digest}")
                    .into());
            }
        }
    }
    Ok(())
}

/// Finds out what would run these files. `given` is the signature that their author gave.
pub(crate) async fn examine(
    state: &State,
    manifest: &Manifest,
    given: Option<Signature>,
) -> Result<Examined> {
    let Some(path) = model_file(manifest)? else {
        let is_packaged = manifest.files().any(|(path, _)| path.as_str() == PACKAGE);
        let (runtime, why) = match is_packaged {
            true => (Runtime::Python, "it needs the Python runtime, which is not here yet"),
            false => (Runtime::None, "no runtime here can serve it: it holds no .onnx file"),
        };
        let nothing = Examined::nothing(why.to_owned());
        return Ok(Examined { runtime, signature: given, ..nothing });
    };
    let facts = scan(state, manifest, &path).await?;
    require_external_files(manifest, &path, &facts)?;
    let (signature, not_servable) = match &facts.interface {
        Interface::Signature(read) => {
            let signature = match given {
                Some(given) => read.overridden_by(given)?,
                None => read.clone(),
            };
            (Some(signature), None)
        }
        Interface::Unsupported(why) => (None, Some(why.clone())),
    };
    Ok(Examined {
        runtime: Runtime::Onnx,
        model_file: Some(path),
        facts: Some(facts),
        signature,
        not_servable,
    })
}

/// The file that would be loaded; absent where none is ONNX.
fn model_file(manifest: &Manifest) -> Result<Option<FilePath>, Problem> {
    if let Some(path) = manifest.onnx_file() {
        return Ok(Some(path.clone()));
    }
    let is_onnx = |path: &&FilePath| path.as_str().to_ascii_lowercase().ends_with(".onnx");
    let candidates: Vec<_> = manifest.files().map(|(path, _)| path).filter(is_onnx).collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    let shown = listed(candidates.iter().take(5));
    let message = format!("{} files end in .onnx: {shown}", candidates.len());
    Err(Problem::invalid("files", message).hint("name the one to be loaded `model.onnx`"))
}

/// Streams the model file by the scanner.
async fn scan(state: &State, manifest: &Manifest, path: &FilePath) -> Result<OnnxFacts> {
    let at = |problem: Problem| {
        let message = format!("`{path}`: {}", problem.message);
        Error::from(Problem { message, ..problem })
    };
    let entry = manifest.get(path).ok_or_else(Problem::internal)?;
    let mut body = state.artifacts.open(&entry.digest).await?.body;
    let mut scanner = Scanner::default();
    while let Some(chunk) = body.try_next().await? {
        scanner.feed(&chunk).map_err(at)?;
    }
    scanner.finish().map_err(at)
}

/// Weights beside the model must be among the files.
fn require_external_files(
    manifest: &Manifest,
    model: &FilePath,
    facts: &OnnxFacts,
) -> Result<(), Problem> {
    let named = facts.external_paths(model)?;
    let missing: Vec<_> = named.iter().filter(|path| manifest.get(path).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("`{model}` keeps weights in files that are not given: {}", listed(missing));
    Err(Problem::invalid("files", message).hint("push the whole folder of the model"))
}
