//! A version that MLflow packaged: the folder of its files that is the model, and what the
//! `MLmodel` file there says.
//!
//! The folder is the top of the tree, or the only folder at the top that has the file: what
//! `mlflow artifacts download` and archives make is pushed as it is. Deeper ones are parts of
//! something else.

use domain::{
    FileEntry, FilePath, Manifest, Problem, Signature,
    mlmodel::{self, MlModel},
    python::{self, Loader, PythonModel},
};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use store::versions::Packaging;

use crate::{Error, Result, State, example, models::listed};

/// Flavours that take more room are kept by name alone: they are shown with their version, in
/// lists too.
const MOST_FLAVORS: usize = 64 << 10;

/// What was found.
#[derive(Debug)]
pub(crate) struct Package {
    /// Where the model is in the tree; `""` for the top.
    folder: String,
    /// The path of its `MLmodel` file.
    file: FilePath,
    pub mlmodel: MlModel,
}

/// Reads the `MLmodel` file, if there is one.
pub(crate) async fn read(state: &State, manifest: &Manifest) -> Result<Option<Package>> {
    let Some((file, entry)) = find(manifest)? else { return Ok(None) };
    let at = |problem: Problem| {
        let message = format!("`{file}`: {}", problem.message);
        Error::from(Problem { message, ..problem })
    };
    let content = content(state, entry, mlmodel::MAX_BYTES).await?.map_err(|why| {
        let hint = "leave MLmodel out if it is not MLflow's";
        at(Problem::invalid("files", why).hint(hint))
    })?;
    let mlmodel = MlModel::parse(&content).map_err(at)?;
    Ok(Some(Package { folder: file.parent().to_owned(), file: file.clone(), mlmodel }))
}

fn find(manifest: &Manifest) -> Result<Option<(&FilePath, &FileEntry)>, Problem> {
    let depth = |path: &FilePath| path.as_str().matches('/').count();
    let is_mlmodel = |path: &FilePath| path.as_str().rsplit('/').next() == Some(mlmodel::FILE);
    let mut found: Vec<_> =
        manifest.files().filter(|(path, _)| is_mlmodel(path) && depth(path) <= 1).collect();
    if let Some(top) = found.iter().find(|(path, _)| depth(path) == 0) {
        return Ok(Some(*top));
    }
    if found.len() > 1 {
        let shown = listed(found.iter().take(5).map(|(path, _)| path));
        let message = format!("{} folders hold an MLmodel file: {shown}", found.len());
        return Err(Problem::invalid("files", message).hint("push the folder of one model"));
    }
    Ok(found.pop())
}

/// A small file's bytes; in words, why they are too many.
pub(crate) async fn content(
    state: &State,
    entry: &FileEntry,
    most: u64,
) -> Result<Result<Vec<u8>, String>> {
    if entry.size > most {
        let size = entry.size;
        return Ok(Err(format!("it has {size} bytes: expected at most {most}")));
    }
    let mut body = state.artifacts.open(&entry.digest).await?.body;
    let mut content = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        content.extend_from_slice(&chunk);
    }
    Ok(Ok(content))
}

impl Package {
    /// A path in the tree of one below the model's folder.
    fn path(&self, below: &FilePath) -> Result<FilePath, Problem> {
        if self.folder.is_empty() {
            Ok(below.clone())
        } else {
            format!("{}/{below}", self.folder).parse()
        }
    }

    /// The file that ONNX Runtime loads; absent where no flavour is ONNX.
    pub fn onnx_file(&self, manifest: &Manifest) -> Result<Option<FilePath>, Problem> {
        let at = |problem: Problem| {
            let message = format!("`{}`: {}", self.file, problem.message);
            Problem { message, ..problem }
        };
        let Some(data) = self.mlmodel.onnx_data().map_err(at)? else { return Ok(None) };
        let data = self.path(&data)?;
        if manifest.get(&data).is_some() {
            return Ok(Some(data));
        }
        let folder = format!("{data}/");
        let inside: Vec<_> = manifest
            .files()
            .map(|(path, _)| path)
            .filter(|path| path.as_str().starts_with(&folder) && is_onnx(path))
            .collect();
        match inside.as_slice() {
            [only] => Ok(Some((*only).clone())),
            [] => {
                let message =
                    format!("`{}` names the ONNX file `{data}`, which is not given", self.file);
                Err(Problem::invalid("files", message).hint("push the whole folder of the model"))
            }
            many => {
                let shown = listed(many.iter().take(5));
                let message = format!(
                    "`{}` names the folder `{data}`, where several files end in .onnx: {shown}",
                    self.file
                );
                Err(Problem::invalid("files", message).hint("keep one ONNX file there"))
            }
        }
    }

    /// Why nothing here serves it, where it has no ONNX flavour.
    pub fn obstacle(&self) -> String {
        match self.mlmodel.main_flavor() {
            Some(flavor) => format!("no runtime here can serve its flavour `{}`", shown(flavor)),
            None => format!("`{}` names no flavour", self.file),
        }
    }

    /// How a Python process loads it and what it needs; in words, why none can.
    pub async fn python(
        &self,
        state: &State,
        manifest: &Manifest,
        signature: Option<&Signature>,
    ) -> Result<Result<PythonModel, String>> {
        let mut files = python::Files::default();
        for (name, found) in [
            ("requirements.txt", &mut files.requirements),
            ("python_env.yaml", &mut files.python_env),
            ("conda.yaml", &mut files.conda),
        ] {
            let Some(entry) = manifest.get(&self.path(&name.parse()?)?) else { continue };
            match content(state, entry, python::MAX_FILE).await? {
                Ok(read) => *found = Some(read),
                Err(why) => return Ok(Err(format!("`{name}`: {why}"))),
            }
        }
        let read = PythonModel::read(&self.mlmodel, &self.folder, &files, signature);
        let missing = |model: &PythonModel| {
            let file = model.file().ok()?;
            let is_there = manifest.get(&file).is_some();
            (!is_there).then(|| format!("`{}` names `{file}`, which is not given", self.file))
        };
        let paths = manifest.files().map(|(path, _)| path);
        Ok(read.and_then(|model| missing(&model).map_or(Ok(model.among(paths)), Err)))
    }

    /// The signature, as far as it can be ours; `read` is what an ONNX file says, which is what
    /// will be served. What could not be taken over is noted.
    pub fn signature(
        &self,
        read: Option<&Signature>,
        notes: &mut Vec<String>,
    ) -> Option<Signature> {
        let schemas = self.mlmodel.schemas.as_ref()?;
        let mut found = match read {
            Some(read) => schemas.signature_of(read),
            None => schemas.signature(),
        };
        if let Ok(signature) = &mut found {
            self.add_params(signature, read.is_some(), notes);
        }
        match found {
            Ok(signature) => {
                let optional = schemas.optional_inputs();
                if !optional.is_empty() {
                    let names = listed(optional.iter().take(10));
                    notes.push(format!(
                        "MLflow may leave out inputs that are asked for here: {names}"
                    ));
                }
                Some(signature)
            }
            Err(why) => {
                let instead =
                    if read.is_some() { "the ONNX file's own is kept" } else { "it is left out" };
                notes.push(format!(
                    "the signature in `{}` is not taken over, {instead}: {why}",
                    self.file
                ));
                None
            }
        }
    }

    /// Whether a Python process that loads it takes what requests set besides its inputs.
    pub fn takes_params(&self) -> bool {
        Loader::of(&self.mlmodel).is_ok_and(|it| it.takes_params())
    }

    /// Adds what may be set at each prediction, where the model takes it. What cannot be is noted.
    fn add_params(&self, signature: &mut Signature, is_onnx: bool, notes: &mut Vec<String>) {
        let Some(schemas) = self.mlmodel.schemas.as_ref().filter(|it| !it.params.is_empty()) else {
            return;
        };
        let found = match schemas.params() {
            _ if is_onnx || !self.takes_params() => Err("this kind of model takes none".to_owned()),
            Ok(params) => {
                let with = Signature { params, ..signature.clone() };
                with.require_distinct_names().map(|()| with).map_err(|problem| problem.message)
            }
            Err(why) => Err(why),
        };
        match found {
            Ok(with) => *signature = with,
            Err(why) => {
                notes.push(format!("params keep their defaults, no request sets them: {why}"));
            }
        }
    }

    /// The input example as a V2 request, if it can be one. Why it cannot is noted.
    pub async fn example(
        &self,
        state: &State,
        manifest: &Manifest,
        signature: Option<&Signature>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Value>> {
        let Some(below) = &self.mlmodel.example else { return Ok(None) };
        let path = self.path(below)?;
        let why = match (manifest.get(&path), signature) {
            (None, _) => "the file is not given".to_owned(),
            (Some(_), None) => "there is no signature to read it by".to_owned(),
            (Some(entry), Some(signature)) => {
                let content = content(state, entry, example::LONGEST as u64).await?;
                match content.and_then(|content| example::of_mlflow(&content, signature)) {
                    Ok(example) => return Ok(Some(example)),
                    Err(why) => why,
                }
            }
        };
        notes.push(format!("the input example `{path}` is left out: {why}"));
        Ok(None)
    }

    /// What is kept of the file in the version's row.
    pub fn packaging(&self, mut notes: Vec<String>) -> Packaging {
        let loader_module = self.mlmodel.loader_module().map(str::to_owned);
        let mut flavors = json!(self.mlmodel.flavors);
        if flavors.to_string().len() > MOST_FLAVORS {
            notes
                .push(format!("what `{}` says of its flavours is too long to be shown", self.file));
            flavors = self.mlmodel.flavors.keys().map(|name| (name.clone(), json!({}))).collect();
        }
        Packaging {
            flavors: Some(flavors),
            loader_module,
            mlmodel: Some(self.mlmodel.facts.clone()),
            python: None,
            notes,
        }
    }
}

/// Whether a file's name is that of an ONNX file.
pub(crate) fn is_onnx(path: &FilePath) -> bool {
    path.as_str().to_ascii_lowercase().ends_with(".onnx")
}

/// A flavour's name as it may stand in a sentence.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_default).collect()
}
