//! What a version's files are, found out before any row is written: is everything there, what would
//! run it, what goes in and comes out.

use std::collections::HashMap;

use domain::{
    Digest, FilePath, Manifest, Problem, Runtime, Signature,
    external::External,
    onnx::{Interface, OnnxFacts, Scanner},
};
use futures_util::TryStreamExt as _;
use serde_json::Value;
use store::{blobs, versions::Packaging};

use crate::{
    Error, Result, State, example, external,
    models::listed,
    own,
    package::{self, Package, is_onnx},
};

/// What was found.
#[derive(Debug)]
pub(crate) struct Examined {
    pub runtime: Runtime,
    pub model_file: Option<FilePath>,
    pub facts: Option<OnnxFacts>,
    pub signature: Option<Signature>,
    pub input_example: Option<Value>,
    pub packaging: Packaging,
    /// Why no trial is needed to know that it is not servable.
    pub not_servable: Option<String>,
}

/// What its author says of a version beside its files.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub signature: Option<Signature>,
    pub input_example: Option<Value>,
}

impl Examined {
    /// Nothing here runs it, for this reason.
    pub fn nothing(why: String) -> Self {
        Self {
            runtime: Runtime::None,
            model_file: None,
            facts: None,
            signature: None,
            input_example: None,
            packaging: Packaging::default(),
            not_servable: Some(why),
        }
    }

    /// A file says how whoever answers is asked, and a signature what.
    fn asked(
        runtime: Runtime,
        file: FilePath,
        signature: Signature,
        input_example: Option<Value>,
    ) -> Result<Self> {
        signature.require_no_params()?;
        if let Some(example) = &input_example {
            example::check(example, Some(&signature))?;
        }
        Ok(Self {
            runtime,
            model_file: Some(file),
            facts: None,
            signature: Some(signature),
            input_example,
            packaging: Packaging::default(),
            not_servable: None,
        })
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

/// Finds out what would run these files.
pub(crate) async fn examine(state: &State, manifest: &Manifest, given: Given) -> Result<Examined> {
    if let Some((file, server)) = external::read(state, manifest).await? {
        return elsewhere(state, file, &server, given).await;
    }
    if let Some((file, _)) = own::read(state, manifest).await? {
        return by_itself(file, given);
    }
    let package = package::read(state, manifest).await?;
    let (runtime, mut model_file, mut obstacle) = runtime(manifest, package.as_ref())?;
    let facts = match &model_file {
        Some(path) => {
            let facts = scan(state, manifest, path).await?;
            require_external_files(manifest, path, &facts)?;
            Some(facts)
        }
        None => None,
    };
    let mut notes = Vec::new();
    let interface = facts.as_ref().map(|facts| &facts.interface);
    let (signature, unsupported) =
        signature(interface, package.as_ref(), given.signature, &mut notes)?;
    let input_example = match (given.input_example, &package) {
        (Some(example), _) => {
            example::check(&example, signature.as_ref())?;
            Some(example)
        }
        (None, Some(package)) => {
            package.example(state, manifest, signature.as_ref(), &mut notes).await?
        }
        (None, None) => None,
    };
    let mut packaging = match &package {
        Some(package) => package.packaging(notes),
        None => Packaging::default(),
    };
    if let (Runtime::Python, Some(package)) = (runtime, &package) {
        match package.python(state, manifest, signature.as_ref()).await? {
            Ok(python) => {
                model_file = Some(python.file()?);
                packaging.python = Some(python);
            }
            Err(why) => obstacle = Some(why),
        }
    }
    Ok(Examined {
        runtime,
        model_file,
        facts,
        signature,
        input_example,
        packaging,
        not_servable: obstacle.or(unsupported),
    })
}

/// What a server of others runs.
async fn elsewhere(
    state: &State,
    file: FilePath,
    server: &External,
    given: Given,
) -> Result<Examined> {
    let Given { signature, input_example } = given;
    let signature = external::signature(state, server, signature).await?;
    Examined::asked(Runtime::External, file, signature, input_example)
}

/// What a program of its author's runs.
fn by_itself(file: FilePath, Given { signature, input_example }: Given) -> Result<Examined> {
    let signature = signature.ok_or_else(|| {
        Problem::invalid("signature", "a program does not say what goes in and what comes out")
            .hint("give a signature: {\"inputs\": […], \"outputs\": […]}")
    })?;
    signature.require_distinct_names()?;
    Examined::asked(Runtime::Process, file, signature, input_example)
}

/// What runs it, the file that this loads, and why nothing here does.
fn runtime(
    manifest: &Manifest,
    package: Option<&Package>,
) -> Result<(Runtime, Option<FilePath>, Option<String>), Problem> {
    let onnx = match package {
        Some(package) => package.onnx_file(manifest)?,
        None => model_file(manifest)?,
    };
    Ok(match (onnx, package) {
        (Some(file), _) => (Runtime::Onnx, Some(file), None),
        (None, Some(package)) if package.mlmodel.is_python() => (Runtime::Python, None, None),
        (None, Some(package)) => (Runtime::None, None, Some(package.obstacle())),
        (None, None) => {
            let why = "no runtime here can serve it: it holds no .onnx file";
            (Runtime::None, None, Some(why.to_owned()))
        }
    })
}

/// What goes in and comes out, or why an ONNX file does not say it. The file's own word stands,
/// but for what its author adds to it, here or in an `MLmodel` file.
fn signature(
    interface: Option<&Interface>,
    package: Option<&Package>,
    given: Option<Signature>,
    notes: &mut Vec<String>,
) -> Result<(Option<Signature>, Option<String>), Problem> {
    let read = match interface {
        Some(Interface::Unsupported(why)) => return Ok((None, Some(why.clone()))),
        Some(Interface::Signature(read)) => Some(read),
        None => None,
    };
    let told = match (given, read) {
        (Some(given), Some(read)) => Some(read.overridden_by(given)?),
        (Some(given), None) => {
            if !package.is_some_and(Package::takes_params) {
                given.require_no_params()?;
            }
            Some(given)
        }
        (None, read) => package.and_then(|package| package.signature(read, notes)),
    };
    Ok((told.or_else(|| read.cloned()), None))
}

/// The file that would be loaded where no `MLmodel` names it; absent where none is ONNX.
fn model_file(manifest: &Manifest) -> Result<Option<FilePath>, Problem> {
    if let Some(path) = manifest.onnx_file() {
        return Ok(Some(path.clone()));
    }
    let candidates: Vec<_> =
        manifest.files().map(|(path, _)| path).filter(|path| is_onnx(path)).collect();
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
