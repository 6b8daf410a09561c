//! Where a new version's files are, as its author says: which bytes of ours that means, and
//! whether the run or the logged model that it names really holds them.

use auth::{Access, Caller, verbs};
use domain::{
    ErrorCode, FileEntry, FilePath, ModelName, ModelRef, Problem, Resource, VersionSelector,
    tracking::LoggedModelId,
};
use percent_encoding::percent_decode_str;
use registry::{models, register::Submission, resolve};
use store::{
    models::Tags,
    versions::{Lineage, Origin},
};
use tracking::{files, logged_models};

use super::{permit, told};
use crate::refusal::{Code, Refusal};

/// What marks the texts that MLflow keeps as models.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
/// The proxy's route, as it stands in a URL of an artifact.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts/";

/// What the author of a new version says of its origin.
#[derive(Debug)]
pub(super) struct Claim {
    pub source: String,
    pub run_id: Option<String>,
    pub model_id: Option<String>,
    pub run_link: Option<String>,
}

impl Claim {
    /// That it does not name the run, or the logged model, that holds the source.
    fn contradiction(&self, argument: &str) -> Refusal {
        Refusal::invalid(format!(
            "Invalid model version source: '{}'. The {argument} request parameter must identify the resource that contains the source.",
            self.source
        ))
    }

    fn run_id(&self) -> Option<&str> {
        self.run_id.as_deref().filter(|id| !id.is_empty())
    }

    fn model_id(&self) -> Option<&str> {
        self.model_id.as_deref().filter(|id| !id.is_empty())
    }
}

/// What the claim means.
#[derive(Debug)]
pub(super) struct Located {
    files: Vec<(FilePath, FileEntry)>,
    run_id: Option<String>,
    origin: Origin,
}

impl Located {
    pub(super) fn submission(self, description: String, tags: Tags) -> Submission {
        Submission {
            files: self.files,
            signature: None,
            input_example: None,
            description,
            lineage: Lineage { run_id: self.run_id, ..Lineage::default() },
            origin: self.origin,
            tags,
            isolation: None,
            force: true,
        }
    }
}

/// Everything that finding the files takes.
struct Finder<'a> {
    caller: &'a Caller,
    access: &'a Access,
    registry: &'a registry::State,
    tracking: &'a tracking::State,
}

/// Finds the files of a new version.
///
/// # Errors
/// A source that is not there or leads out of its folder; a run or a logged model that does not
/// hold it.
pub(super) async fn locate(
    caller: &Caller,
    access: &Access,
    registry: &registry::State,
    tracking: &tracking::State,
    claim: Claim,
    tags: &Tags,
) -> Result<Located, Refusal> {
    let finder = Finder { caller, access, registry, tracking };
    if is_prompt(tags) {
        return elsewhere(claim);
    }
    let (scheme, rest) = match claim.source.split_once(':') {
        Some((scheme, rest)) if scheme.len() > 1 => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), claim.source.as_str()),
    };
    match scheme.as_str() {
        "" | "file" => Err(Refusal::invalid(format!(
            "Invalid model version source: '{}'. To use a local path as a model version source, the run_id request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the run_id. Files of this server are at `mlflow-artifacts:/…`.",
            claim.source
        ))),
        _ if leads_out(rest) => Err(Refusal::invalid(format!(
            "Invalid model version source: '{}'. If supplying a source as an http, https, ftp, object store or mlflow-artifacts URI, its path must be absolute, without `..` and control characters.",
            claim.source
        ))),
        "runs" => finder.of_run(claim).await,
        "models" if rest.trim_start_matches('/').starts_with("m-") && claim.model_uri_is_id() => {
            finder.of_logged_model(claim).await
        }
        "models" => finder.of_version(claim).await,
        "mlflow-artifacts" => finder.of_path(claim).await,
        "http" | "https" if rest.contains(PROXY) => finder.of_path(claim).await,
        _ => {
            let mut located = elsewhere(claim)?;
            if let (None, Some(model)) = (&located.run_id, located.origin.logged_model_id) {
                located.run_id = finder.source_run(model).await?;
            }
            Ok(located)
        }
    }
}

/// Whether what has these tags is a prompt, which MLflow keeps among models.
pub(super) fn is_prompt(tags: &Tags) -> bool {
    tags.get(IS_PROMPT).is_some_and(|value| value == "true")
}

impl Claim {
    /// Whether `models:/m-…` names a logged model, not a registered one whose name begins so.
    fn model_uri_is_id(&self) -> bool {
        let rest = self.source.strip_prefix("models:/").unwrap_or_default();
        rest.split('/').next().is_some_and(|id| id.parse::<LoggedModelId>().is_ok())
    }
}

impl Finder<'_> {
    async fn of_run(&self, claim: Claim) -> Result<Located, Refusal> {
        if claim.model_id().is_some() {
            return Err(claim.contradiction("model_id"));
        }
        let rest = claim.source.trim_start_matches("runs:").trim_start_matches('/');
        let run = rest.split('/').next().unwrap_or_default();
        if claim.run_id() != Some(run) {
            return Err(claim.contradiction("run_id"));
        }
        match self.folder(&claim.source).await {
            Ok(files) => Ok(here(claim, files, None, None)),
            // A run of another server's, as far as we know: MLflow takes it too.
            Err(refusal) if refusal.code == Code::ResourceDoesNotExist => elsewhere(claim),
            Err(refusal) => Err(refusal),
        }
    }

    async fn of_logged_model(&self, claim: Claim) -> Result<Located, Refusal> {
        let named = claim.source.trim_start_matches("models:/").split('/').next();
        let (Some(named), Some(said)) = (named, claim.model_id()) else {
            return Err(claim.contradiction("model_id"));
        };
        if named != said {
            return Err(claim.contradiction("model_id"));
        }
        let id: LoggedModelId = named.parse()?;
        let files = self.folder(&claim.source).await?;
        let run = self.source_run(id).await?;
        Ok(here(claim, files, run, Some(id)))
    }

    async fn of_version(&self, claim: Claim) -> Result<Located, Refusal> {
        let text = claim.source.strip_prefix("models:/").ok_or_else(|| {
            Refusal::invalid(format!(
                "Invalid model version source: '{}'. Registered model sources must use the active model registry.",
                claim.source
            ))
        })?;
        let reference = self.reference(text).await?;
        let permit = permit::<verbs::View>(self.access, self.caller, &reference.model).await?;
        let found = resolve::resolve(self.registry, &permit, &reference).await?;
        let same_run =
            claim.run_id().is_none_or(|run| found.version.lineage.run_id.as_deref() == Some(run));
        let theirs = found.version.origin.logged_model_id;
        let same_model =
            claim.model_id().is_none_or(|id| theirs.is_some_and(|it| it.to_string() == id));
        if !(same_run && same_model) {
            return Err(Refusal::invalid(format!(
                "Invalid model version source: '{}'. The run_id and model_id request parameters must match the referenced model version.",
                claim.source
            )));
        }
        let files = found.manifest.files().map(|(path, entry)| (path.clone(), *entry)).collect();
        let source = format!("models:/{}/{}", found.version.model, found.version.number);
        let claim = Claim { source, ..claim };
        let mut located = here(claim, files, found.version.lineage.run_id, theirs);
        located.origin.is_external = found.version.origin.is_external;
        Ok(located)
    }

    /// `NAME/3`, `NAME/Production`, `NAME@champion`; besides what our own commands take, `NAME/latest`.
    async fn reference(&self, text: &str) -> Result<ModelRef, Refusal> {
        let name = match text.rsplit_once('/') {
            Some((name, last)) if last.eq_ignore_ascii_case("latest") => name,
            _ => return Ok(text.parse()?),
        };
        let name: ModelName = name.parse()?;
        let permit = permit::<verbs::View>(self.access, self.caller, &name).await?;
        let model = models::get(self.registry, &permit, &name).await.map_err(told(&name, None))?;
        let newest = model.latest_version.ok_or_else(|| {
            Refusal::absent(format!("Latest version not found for model {name}."))
        })?;
        Ok(ModelRef { model: name, version: VersionSelector::Number(newest) })
    }

    /// A path below `mlflow-artifacts:/`, or the proxy's URL of one.
    async fn of_path(&self, claim: Claim) -> Result<Located, Refusal> {
        let uri = match claim.source.split_once(PROXY) {
            Some((_, path)) => {
                format!("mlflow-artifacts:/{}", percent_decode_str(path).decode_utf8_lossy())
            }
            None => claim.source.clone(),
        };
        let (root, argument) = match (claim.model_id(), claim.run_id()) {
            (Some(model), _) => (files::root_of_model(self.tracking, model).await, "model_id"),
            (None, Some(run)) => (files::root_of_run(self.tracking, run).await, "run_id"),
            (None, None) => return Err(claim.contradiction("run_id")),
        };
        let root = root.map_err(|_| claim.contradiction(argument))?;
        let (Some(root), Some(path)) = (files::path_of(&root.uri)?, files::path_of(&uri)?) else {
            return Err(claim.contradiction(argument));
        };
        let below = path.as_str().strip_prefix(root.as_str());
        if !below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
            return Err(claim.contradiction(argument));
        }
        // Not for this caller: the same as of a run or a model that is not there.
        let files = self.folder(&uri).await.map_err(|refusal| {
            let is_absent = refusal.code == Code::ResourceDoesNotExist;
            if is_absent { claim.contradiction(argument) } else { refusal }
        })?;
        let model: Option<LoggedModelId> = claim.model_id().map(str::parse).transpose()?;
        let run = match model {
            Some(id) => self.source_run(id).await?,
            None => None,
        };
        Ok(here(claim, files, run, model))
    }

    async fn folder(&self, uri: &str) -> Result<Vec<(FilePath, FileEntry)>, Refusal> {
        let nothing = || {
            let shown: String = uri.chars().take(200).collect();
            Problem::new(ErrorCode::NotFound, format!("there is nothing at `{shown}`")).at("source")
        };
        let owner = files::owner(self.tracking, uri).await;
        let owner = owner.map_err(|error| Problem::from(error).absent_as(nothing))?;
        let permit =
            self.access.authorize(self.caller, Resource::Experiment(owner.to_string())).await;
        let permit = permit.map_err(|problem| problem.absent_as(nothing))?;
        Ok(files::folder(self.tracking, &permit, uri).await?)
    }

    /// The run that made a logged model.
    async fn source_run(&self, id: LoggedModelId) -> Result<Option<String>, Refusal> {
        let owner = files::root_of_model(self.tracking, &id.to_string()).await?.experiment;
        let permit =
            self.access.authorize(self.caller, Resource::Experiment(owner.to_string())).await;
        let absent = || logged_models::absent(id);
        let permit = permit.map_err(|problem| problem.absent_as(absent))?;
        let model = logged_models::get(self.tracking, &permit, id).await?;
        Ok(model.source_run.map(|run| run.to_string()))
    }
}

/// Files that are here. A run that the author names is the one that made them.
fn here(
    claim: Claim,
    files: Vec<(FilePath, FileEntry)>,
    run: Option<String>,
    model: Option<LoggedModelId>,
) -> Located {
    Located {
        files,
        run_id: claim.run_id.filter(|id| !id.is_empty()).or(run),
        origin: Origin {
            source: Some(claim.source),
            is_external: false,
            logged_model_id: model,
            run_link: claim.run_link,
        },
    }
}

/// Bytes that are not here: the version is known, never served.
fn elsewhere(claim: Claim) -> Result<Located, Refusal> {
    let model = claim.model_id().map(str::parse).transpose()?;
    let mut located = here(claim, Vec::new(), None, model);
    located.origin.is_external = true;
    Ok(located)
}

/// Whether a part of the path is `..`, or no text, however often it is encoded.
fn leads_out(path: &str) -> bool {
    let mut plain = path.to_owned();
    loop {
        let has_control = plain.chars().any(char::is_control);
        if has_control || plain.split(['/', '\\', '?', '#']).any(|part| part == "..") {
            return true;
        }
        let decoded = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        if decoded == plain {
            return false;
        }
        plain = decoded;
    }
}
