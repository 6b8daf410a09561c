//! `POST /models/{name}/versions`

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::LOCATION},
    post,
    web::Data,
};
use auth::{Access, Caller};
use domain::{AliasName, Digest, FileEntry, FilePath, Problem, serving::Isolation};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use store::versions::Origin;
use utoipa::ToSchema;

use super::{super::signature::Signature, ModelPath, body::Lineage, body::Version, path};
use crate::{
    State,
    register::{self, Promotion, Submission},
    text,
};

/// What a new version is made of. The bytes of its files were uploaded before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "files": [{
        "path": "model.onnx", "size": 48213,
        "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }],
    "input_example": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.5]}]},
    "description": "Trained on June", "lineage": {"git_commit": "3e088bc"}, "tags": {"ticket": "R-12"},
    "alias": "challenger",
}))]
pub struct NewVersion {
    /// Its tree.
    files: Vec<File>,
    /// In place of what the model file says: may name and fix dimensions that are free there.
    signature: Option<Signature>,
    /// A V2 infer request that it must be able to answer.
    #[schema(value_type = Option<Object>)]
    input_example: Option<serde_json::Value>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    lineage: Lineage,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// An alias that shall point to it.
    #[schema(value_type = Option<String>)]
    alias: Option<AliasName>,
    /// The team that is to own a new model; your home team unless you say.
    #[schema(examples("risk"))]
    team: Option<String>,
    /// Where it runs, whoever serves it, unless their release says it: `in-process` or `process`.
    #[schema(value_type = Option<String>, examples("process"))]
    isolation: Option<Isolation>,
    /// Make a new version although these files are one already.
    #[serde(default)]
    force: bool,
}

/// A file of a new version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path in the tree.
    #[schema(value_type = String)]
    path: FilePath,
    /// What is in it.
    #[schema(value_type = String)]
    digest: Digest,
    /// How many bytes.
    size: u64,
}

impl From<File> for (FilePath, FileEntry) {
    fn from(file: File) -> Self {
        (file.path, FileEntry { digest: file.digest, size: file.size })
    }
}

/// A version, and whether it was made just now.
#[derive(Serialize, ToSchema)]
pub struct RegisteredVersion {
    #[serde(flatten)]
    version: Version,
    /// `false` where the same files were a version of the model before.
    created: bool,
}

impl TryFrom<NewVersion> for Submission {
    type Error = Problem;

    fn try_from(new: NewVersion) -> Result<Self, Problem> {
        Ok(Self {
            files: new.files.into_iter().map(Into::into).collect(),
            signature: new.signature.map(TryInto::try_into).transpose()?,
            input_example: new.input_example,
            description: text::bounded("description", new.description, text::DESCRIPTION)?,
            lineage: new.lineage.try_into()?,
            origin: Origin::default(),
            tags: text::tags(new.tags)?,
            isolation: new.isolation,
            force: new.force,
        })
    }
}

/// Register a version; makes the model if it is not there. The same files again are the version
/// that is there already, so this may be repeated at will.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!(["register:model", "promote:model when an alias is to point to it"]))),
    params(ModelPath),
    responses(
        (status = 201, description = "The version, made just now", body = RegisteredVersion),
        (status = 200, description = "The version with these files, which was there", body = RegisteredVersion),
        openapi::Writes,
    ),
)]
#[post("/models/{name}/versions")]
pub async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Json(mut new): Json<NewVersion>,
) -> Result<HttpResponse, ApiError> {
    let (model, team) = (|| path::model(&name), new.team.take());
    let team = team.as_deref();
    let permit = access.authorize_with(&caller, model(), team, None).await?;
    let promotion = match new.alias.take() {
        Some(alias) => {
            let permit = access.authorize_with(&caller, model(), team, Some(&alias)).await?;
            Some(Promotion { alias, permit })
        }
        None => None,
    };
    let submission = new.try_into()?;
    let done = register::register(&state, &permit, &name, submission, promotion.as_ref()).await?;
    let mut answer = HttpResponse::Ok();
    if done.created {
        let url = path::version_url(&name, done.version.number);
        answer.status(StatusCode::CREATED).insert_header((LOCATION, url));
    }
    Ok(answer.json(RegisteredVersion { version: done.version.into(), created: done.created }))
}
