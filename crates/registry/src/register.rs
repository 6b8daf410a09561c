//! Registering a version: bytes first, rows after.
//!
//! Files are content: the same files again are the version that is there already, unless the
//! caller forces a new one. Everything that takes time (are the bytes here, what does the model
//! file say) is done before the transaction, which only takes the model's lock and writes.

use auth::{Permit, verbs};
use domain::{
    AliasName, FileEntry, FilePath, Manifest, ModelName, Problem, Signature, serving::Isolation,
};
use serde_json::{Value, json};
use store::{
    Change, access,
    models::{self, Model, Tags},
    versions::{self, Lineage, NewVersion, Origin, Version},
};

use crate::{
    Error, Result, State, aliases,
    examine::{Examined, Given, examine, require_bytes},
    publish::publish,
    rules::Gate,
};

/// What a caller says of a new version.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its files; their bytes were uploaded before.
    pub files: Vec<(FilePath, FileEntry)>,
    /// What goes in and comes out, in place of what the model file says.
    pub signature: Option<Signature>,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// What is special about it.
    pub description: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Where its files were.
    pub origin: Origin,
    /// Its tags.
    pub tags: Tags,
    /// Where it runs, if it says that.
    pub isolation: Option<Isolation>,
    /// Whether to make a new version although these files are one already.
    pub force: bool,
}

/// An alias that shall point to the version in the end, and the right to move it.
#[derive(Debug)]
pub struct Promotion {
    /// Which.
    pub alias: AliasName,
    /// That the caller may.
    pub permit: Permit<verbs::Promote>,
}

/// A version that is registered now.
#[derive(Debug)]
pub struct Registered {
    /// It.
    pub version: Version,
    /// Whether it was made just now; else the same files were here before.
    pub created: bool,
}

/// Registers a version, and makes the model if it is not there.
///
/// # Errors
/// Files whose bytes are not here; a model file that cannot be read or that keeps weights in files
/// that are not given; a signature or an example that does not fit it.
pub async fn register(
    state: &State,
    permit: &Permit<verbs::Register>,
    model: &ModelName,
    submission: Submission,
    promotion: Option<&Promotion>,
) -> Result<Registered> {
    let (force, isolation) = (submission.force, submission.isolation);
    let new = prepare(state, submission).await?;

    let mut change = Change::begin(&state.database).await?;
    let (model, is_new) = models::ensure(&mut change, model, permit.owner()).await?;
    if !is_new && !permit.is_for_present() {
        let team = access::team_of_model(&mut change, model.id).await?;
        crate::require_own("model", permit, team)?;
    }
    if is_new {
        let event = permit.event("model.registered", crate::models::registered(&model));
        change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
        change.record(&event.changed(None, Some(&model.describe()))).await?;
    }
    let same = versions::find_by_digest(&mut change, model.id, &new.manifest.digest()).await?;
    match same.filter(|_| !force) {
        Some(version) => known(change, &model, (version, isolation), promotion).await,
        None => create(change, permit, &model, (&new, isolation), promotion).await,
    }
}

/// Registers a version of a model that is there, whatever its files are: none of them, if they lie
/// elsewhere. Each call makes a new version.
///
/// # Errors
/// The model is not there; files whose bytes are not here.
pub async fn add(
    state: &State,
    permit: &Permit<verbs::Register>,
    model: &ModelName,
    submission: Submission,
) -> Result<Version> {
    let isolation = submission.isolation;
    let new = stored(state, submission).await?;
    let mut change = Change::begin(&state.database).await?;
    let model = crate::models::lock(&mut change, model).await?;
    Ok(create(change, permit, &model, (&new, isolation), None).await?.version)
}

/// What is found out of files that were stored before anybody thought of serving them: what keeps
/// them from being served is the version's reason, not a refusal.
pub(crate) async fn stored(state: &State, submission: Submission) -> Result<NewVersion> {
    let manifest = match submission.files.is_empty() {
        true => Manifest::empty(),
        false => Manifest::new(submission.files.clone())?,
    };
    require_bytes(state, &manifest).await?;
    let examined = match elsewhere(&submission.origin) {
        Some(why) => Examined::nothing(why),
        None if manifest.is_empty() => Examined::nothing("it has no files".to_owned()),
        None => match examine(state, &manifest, Given::default()).await {
            Err(Error::Refused(problem)) => Examined::nothing(problem.message),
            examined => examined?,
        },
    };
    Ok(described(submission, manifest, examined))
}

/// Why a version has no bytes here; absent where it has.
fn elsewhere(origin: &Origin) -> Option<String> {
    let source = origin.source.as_deref().unwrap_or("unknown");
    let shown: String = source.chars().take(200).flat_map(char::escape_default).collect();
    origin.is_external.then(|| format!("its bytes are not here: its source is `{shown}`"))
}

/// All that is found out before the transaction.
async fn prepare(state: &State, mut submission: Submission) -> Result<NewVersion> {
    let manifest = Manifest::new(submission.files.clone())?;
    require_bytes(state, &manifest).await?;
    let given = Given {
        signature: submission.signature.take(),
        input_example: submission.input_example.take(),
    };
    let examined = examine(state, &manifest, given).await?;
    let run = examined.packaging.mlmodel.as_ref().and_then(|facts| facts.run_id.clone());
    submission.lineage.run_id = submission.lineage.run_id.or(run);
    Ok(described(submission, manifest, examined))
}

fn described(submission: Submission, manifest: Manifest, examined: Examined) -> NewVersion {
    NewVersion {
        manifest,
        runtime: examined.runtime,
        model_file: examined.model_file.map(|path| path.to_string()),
        facts: examined.facts,
        signature: examined.signature,
        input_example: examined.input_example,
        not_servable: examined.not_servable,
        description: submission.description,
        lineage: submission.lineage,
        origin: submission.origin,
        packaging: examined.packaging,
        tags: submission.tags,
    }
}

/// The same files are here: nothing to do but, perhaps, to move the alias.
async fn known(
    mut change: Change,
    model: &Model,
    (version, isolation): (Version, Option<Isolation>),
    promotion: Option<&Promotion>,
) -> Result<Registered> {
    if isolation.is_some() && isolation != version.isolation {
        let number = version.number;
        let message = format!("version {number} has these files, and runs elsewhere");
        return Err(Problem::conflict(message)
            .at("isolation")
            .hint("set it there, or make a new version with `force`")
            .into());
    }
    let Some(Promotion { alias, permit }) = promotion else {
        return Ok(Registered { version, created: false });
    };
    let moved =
        aliases::point(&mut change, permit, Gate::Closed, model, alias, &version, None).await?;
    let version = reread(&mut change, model, version).await?;
    if let Some(event) = moved.event {
        publish(change, event).await?;
    }
    Ok(Registered { version, created: false })
}

async fn create(
    mut change: Change,
    permit: &Permit<verbs::Register>,
    model: &Model,
    (new, isolation): (&NewVersion, Option<Isolation>),
    promotion: Option<&Promotion>,
) -> Result<Registered> {
    let mut version = versions::insert(&mut change, model.id, new, permit.actor()).await?;
    if isolation.is_some() {
        crate::versions::may_run(version.runtime, isolation)?;
        versions::set_isolation(&mut change, version.id, isolation).await?;
        version = reread(&mut change, model, version).await?;
    }
    let detail = json!({
        "model": model.name, "version": version.number, "digest": version.digest,
        "source": version.origin.source, "run_id": version.lineage.run_id, "tags": version.tags, "description": version.description,
    });
    let event = permit.event("version.registered", detail);
    // Whoever hears of its alias has heard of the version before.
    change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
    if let Some(Promotion { alias, permit }) = promotion {
        let moved =
            aliases::point(&mut change, permit, Gate::Closed, model, alias, &version, None).await?;
        if let Some(event) = moved.event {
            change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
            change.record(&event).await?;
        }
        version = reread(&mut change, model, version).await?;
    }
    change.commit(&event.changed(None, Some(&version.describe()))).await?;
    Ok(Registered { version, created: true })
}

/// The version with the aliases that it has by now.
async fn reread(change: &mut Change, model: &Model, version: Version) -> Result<Version> {
    crate::versions::lock(change, model, version.number).await
}
