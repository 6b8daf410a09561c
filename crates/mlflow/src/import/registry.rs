//! `/import/sources/{source}/models/…`: registered models, their versions, stages and aliases.

use std::collections::BTreeMap;

use actix_web::{put, web::Data};
use auth::{Access, Caller, Permit, verbs};
use domain::{
    AliasName, ErrorCode, FileEntry, FilePath, ImportSourceId, ModelName, ModelRef, Problem,
    Resource, Timestamp,
    tracking::{LoggedModelId, RunId},
};
use registry::{
    State,
    import::{self, ImportedModel, ImportedVersion},
    register::Submission,
    resolve, text,
};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use store::{
    models::Tags,
    versions::{Lineage, Origin},
};
use tracking::files;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(put_model).service(put_version).service(put_aliases);
}

/// A model of a source.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct ModelPath {
    /// The source's id.
    #[param(value_type = String, format = Uuid)]
    source: ImportSourceId,
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    name: ModelName,
}

/// A version of a source.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct VersionPath {
    /// The source's id.
    #[param(value_type = String, format = Uuid)]
    source: ImportSourceId,
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    name: ModelName,
    /// The version's number, from 1.
    #[param(example = 3)]
    version: i32,
}

fn instant(field: &str, milliseconds: i64) -> Result<Timestamp, Problem> {
    tracking::import::instant(field, milliseconds)
}

/// A registered model as its source describes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "description": "who will not pay", "tags": {"team": "risk"},
    "created_at": 1767323045000_i64, "updated_at": 1767323045000_i64,
}))]
struct ModelBody {
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Tags,
    /// Milliseconds since 1970, here and below.
    created_at: i64,
    updated_at: i64,
}

/// Whether something was made just now; else it was here before.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"created": true}))]
struct Carried {
    created: bool,
}

/// Carry a registered model, without its versions.
#[utoipa::path(
    tag = "import",
    operation_id = "import_model",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ModelPath),
    responses((status = 200, description = "It is here", body = Carried), openapi::Writes),
)]
#[put("/sources/{source}/models/{name}")]
async fn put_model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { source, name }): Path<ModelPath>,
    Json(body): Json<ModelBody>,
) -> Result<Json<Carried>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let new = ImportedModel {
        description: text::bounded("description", body.description, text::DESCRIPTION)?,
        tags: text::tags(body.tags)?,
        created_at: instant("created_at", body.created_at)?,
        updated_at: instant("updated_at", body.updated_at)?,
    };
    let created = import::model(&state, &permit, source, &name, &new).await?;
    Ok(Json(Carried { created }))
}

/// Where the files of a version are here: in the folder of a run or a logged model that was carried, or in
/// another version.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = json!({"run": {"id": "0123456789abcdef0123456789abcdef", "path": "model"}}))]
enum FilesOf {
    /// A path in a run's folder.
    Run(Folder),
    /// A path in a logged model's folder.
    LoggedModel(Folder),
    /// `name/3`.
    Version(String),
}

/// A folder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "0123456789abcdef0123456789abcdef", "path": "model"}))]
struct Folder {
    id: String,
    /// May be empty: all of it.
    path: String,
}

/// A version as its source describes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "description": "", "tags": {}, "stage": "Production", "run_id": "0123456789abcdef0123456789abcdef",
    "model_id": null, "run_link": null, "source": "runs:/0123456789abcdef0123456789abcdef/model",
    "files_of": {"run": {"id": "0123456789abcdef0123456789abcdef", "path": "model"}},
    "created_at": 1767323045000_i64, "updated_at": 1767323045000_i64,
}))]
struct VersionBody {
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Tags,
    /// Where it stands; it stays where it is if this is null, or if somebody moved it here since.
    stage: Option<String>,
    run_id: Option<String>,
    model_id: Option<String>,
    run_link: Option<String>,
    /// As the source names the place of its files.
    source: String,
    /// Null where its files were not carried: then it is known here, and never served.
    files_of: Option<FilesOf>,
    created_at: i64,
    updated_at: i64,
}

/// What became of a version.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"created": true, "files": 5, "bytes": 1234, "stage_kept": null}))]
struct CarriedVersion {
    created: bool,
    /// How many files it has here.
    files: usize,
    /// How many bytes they have.
    bytes: u64,
    /// Why its stage is not the source's, if it is not.
    #[schema(required)]
    stage_kept: Option<String>,
}

/// Carry a version, under the number that it has. Its files were carried before.
#[utoipa::path(
    tag = "import",
    operation_id = "import_version",
    extensions(("x-bottega-action" = json!(["administer:platform", "view:model", "promote:model", "view:experiment when its files are a run's"]))),
    params(VersionPath),
    responses((status = 200, description = "It is here", body = CarriedVersion), openapi::Writes),
)]
#[put("/sources/{source}/models/{name}/versions/{version}")]
async fn put_version(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    tracked: Data<tracking::State>,
    Path(VersionPath { source, name, version }): Path<VersionPath>,
    Json(body): Json<VersionBody>,
) -> Result<Json<CarriedVersion>, ApiError> {
    let permit: Permit<verbs::Administer> = access.authorize(&caller, Resource::Platform).await?;
    let resource = || Resource::Model(name.to_string());
    let view = access.authorize(&caller, resource()).await?;
    let promote = access.authorize(&caller, resource()).await?;
    let logged_model_id: Option<LoggedModelId> = body.model_id.map(|id| id.parse()).transpose()?;
    let (is_external, source_uri, files) = match body.files_of {
        None => (true, body.source, Vec::new()),
        Some(of) => {
            let finder =
                Finder { caller: &caller, access: &access, registry: &state, tracked: &tracked };
            let (uri, files) = finder.files(of, body.source).await?;
            (false, uri, files)
        }
    };
    let (count, bytes) = (files.len(), files.iter().map(|(_, entry)| entry.size).sum());
    let submission = Submission {
        files,
        signature: None,
        input_example: None,
        description: text::bounded("description", body.description, text::DESCRIPTION)?,
        lineage: Lineage {
            run_id: text::optional("run_id", body.run_id, 500)?,
            ..Lineage::default()
        },
        origin: Origin {
            source: Some(text::bounded("source", source_uri, 2048)?),
            is_external,
            logged_model_id,
            run_link: text::optional("run_link", body.run_link, 2048)?,
        },
        tags: text::tags(body.tags)?,
        isolation: None,
        force: true,
    };
    let new = ImportedVersion {
        submission,
        created_at: instant("created_at", body.created_at)?,
        updated_at: instant("updated_at", body.updated_at)?,
    };
    let created = import::version(&state, &permit, source, (&name, version), new).await?;
    let mut stage_kept = None;
    if let Some(stage) = &body.stage {
        let permits = (&view, &promote);
        let moved = Box::pin(import::stage(&state, permits, source, (&name, version), stage)).await;
        stage_kept = kept(moved)?;
    }
    Ok(Json(CarriedVersion { created, files: count, bytes, stage_kept }))
}

/// Why something was not moved, where that is no fault.
fn kept(moved: Result<bool, registry::Error>) -> Result<Option<String>, ApiError> {
    let Err(error) = moved else { return Ok(None) };
    let problem = Problem::from(error);
    if matches!(problem.code, ErrorCode::Unavailable | ErrorCode::Internal) {
        return Err(problem.into());
    }
    Ok(Some(problem.message))
}

/// Everything that finding the files takes.
struct Finder<'a> {
    caller: &'a Caller,
    access: &'a Access,
    registry: &'a State,
    tracked: &'a tracking::State,
}

type Files = Vec<(FilePath, FileEntry)>;

impl Finder<'_> {
    /// The files, and how their place is called here: what names an id is true here as well.
    async fn files(&self, of: FilesOf, source: String) -> Result<(String, Files), ApiError> {
        match of {
            FilesOf::Run(Folder { id, path }) => {
                let run: RunId = id.parse()?;
                let root = files::root_of_run(self.tracked, &run.to_string()).await?;
                let uri = format!("runs:/{run}/{path}");
                let found = self.folder(&root, &uri).await?;
                let ours = match source.starts_with("runs:/") {
                    true => source,
                    false => joined(&root.uri, &path),
                };
                Ok((ours, found))
            }
            FilesOf::LoggedModel(Folder { id, path }) => {
                let model: LoggedModelId = id.parse()?;
                let root = files::root_of_model(self.tracked, &model.to_string()).await?;
                let found =
                    self.folder(&root, joined(&format!("models:/{model}"), &path).as_str()).await?;
                let ours = match source.starts_with("models:/") || source.starts_with("runs:/") {
                    true => source,
                    false => joined(&root.uri, &path),
                };
                Ok((ours, found))
            }
            FilesOf::Version(reference) => {
                let reference: ModelRef = reference.parse()?;
                let resource = Resource::Model(reference.model.to_string());
                let permit = self.access.authorize(self.caller, resource).await?;
                let found = resolve::resolve(self.registry, &permit, &reference).await?;
                let files = found.manifest.files().map(|(path, entry)| (path.clone(), *entry));
                Ok((source, files.collect()))
            }
        }
    }

    async fn folder(&self, root: &files::Root, uri: &str) -> Result<Files, ApiError> {
        let resource = Resource::Experiment(root.experiment.to_string());
        let permit = self.access.authorize(self.caller, resource).await?;
        Ok(files::folder(self.tracked, &permit, uri).await?)
    }
}

fn joined(root: &str, path: &str) -> String {
    if path.is_empty() { root.to_owned() } else { format!("{root}/{path}") }
}

/// Where the source has a model's aliases.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"aliases": {"champion": 3}}))]
struct AliasesBody {
    /// All that are set, with the numbers of their versions.
    aliases: BTreeMap<String, i32>,
}

/// An alias that stays where it is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"alias": "champion", "reason": "`fraud@champion` was moved to 4 here: it stays so"}))]
struct KeptAlias {
    alias: String,
    reason: String,
}

/// What became of a model's aliases.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"moved": 1, "kept": []}))]
struct MovedAliases {
    moved: usize,
    kept: Vec<KeptAlias>,
}

/// Put a model's aliases where the source has them, and unset those that the source unset. What was
/// moved here since stays. Endpoints that follow an alias get a release each.
#[utoipa::path(
    tag = "import",
    operation_id = "import_aliases",
    extensions(("x-bottega-action" = json!(["administer:platform", "view:model", "promote:model"]))),
    params(ModelPath),
    responses((status = 200, description = "What became of them", body = MovedAliases), openapi::Writes),
)]
#[put("/sources/{source}/models/{name}/aliases")]
async fn put_aliases(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { source, name }): Path<ModelPath>,
    Json(AliasesBody { aliases }): Json<AliasesBody>,
) -> Result<Json<MovedAliases>, ApiError> {
    let _administer: Permit<verbs::Administer> =
        access.authorize(&caller, Resource::Platform).await?;
    let view = access.authorize(&caller, Resource::Model(name.to_string())).await?;
    let promote = access.authorize(&caller, Resource::Model(name.to_string())).await?;
    let given = aliases
        .into_iter()
        .map(|(alias, number)| Ok((alias.parse()?, number)))
        .collect::<Result<BTreeMap<AliasName, i32>, Problem>>()?;
    let (moved, kept) = import::aliases(&state, (&view, &promote), source, &name, &given).await?;
    let kept =
        kept.into_iter().map(|kept| KeptAlias { alias: kept.alias, reason: kept.problem.message });
    Ok(Json(MovedAliases { moved, kept: kept.collect() }))
}
