//! Contracts of endpoints: what each release must keep.
//!
//! Whoever changes one, or makes a release, has locked the endpoint: that guards its contract too.

use domain::{
    Actor, AuditEvent, EndpointId, ModelId, Resource, Signature, Timestamp, VersionId,
    contract::{Expected, Got, Mismatch},
    serving::Settings,
};
use serde_json::{Value, json};

use crate::{
    Change, Database, Error, Result,
    endpoints::Endpoint,
    versions::{self, Version},
};

/// An endpoint's contract, or what is left of one that was cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// How often it was changed.
    pub revision: i32,
    /// What it says; absent where it was cleared.
    pub expected: Option<Expected>,
    /// The models that it names, in the order of their names there.
    pub models: Vec<ModelId>,
    /// Who changed it last.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

impl Contract {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        let (models, signature) = match &self.expected {
            Some(Expected { models, signature }) => (Some(models), Some(signature)),
            None => (None, None),
        };
        json!({"revision": self.revision, "models": models, "signature": signature})
    }
}

struct Row {
    revision: i32,
    signature: Option<Value>,
    models: Vec<uuid::Uuid>,
    names: Vec<String>,
    set_by: String,
    set_at: Timestamp,
}

impl Row {
    fn read(self, endpoint: EndpointId) -> Result<Contract> {
        let signature: Option<Signature> =
            self.signature
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| Error::inconsistent("endpoint_contracts", "signature", endpoint))?;
        Ok(Contract {
            revision: self.revision,
            expected: signature.map(|signature| Expected { models: self.names, signature }),
            models: self.models.into_iter().map(ModelId).collect(),
            set_by: self.set_by,
            set_at: self.set_at,
        })
    }
}

/// `select_contract!(endpoint)`: both reads gather the same columns. A model that was purged goes by its id.
macro_rules! select_contract {
    ($endpoint:expr) => {
        sqlx::query_as!(
            Row,
            r#"SELECT c.revision, c.signature, c.models, c.set_by, c.set_at,
                      ARRAY(SELECT coalesce(m.name, allowed.id::text)
                            FROM unnest(c.models) WITH ORDINALITY AS allowed (id, at) LEFT JOIN models m ON m.id = allowed.id
                            ORDER BY allowed.at) AS "names!"
               FROM endpoint_contracts c WHERE c.endpoint_id = $1"#,
            $endpoint.0
        )
    };
}

/// An endpoint's contract; absent where it never had one.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, endpoint: EndpointId) -> Result<Option<Contract>> {
    let row = select_contract!(endpoint).fetch_optional(database.pool()).await?;
    row.map(|row| row.read(endpoint)).transpose()
}

/// The same, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn find(change: &mut Change, endpoint: EndpointId) -> Result<Option<Contract>> {
    let row = select_contract!(endpoint).fetch_optional(change.connection()).await?;
    row.map(|row| row.read(endpoint)).transpose()
}

/// Gives an endpoint another contract, or none. No models: any.
///
/// # Errors
/// The database is away.
pub async fn set(
    change: &mut Change,
    endpoint: EndpointId,
    terms: Option<(&Signature, &[ModelId])>,
    by: &Actor,
) -> Result<Contract> {
    let now = change.now();
    let (signature, models) = terms.unzip();
    let models: Vec<uuid::Uuid> = models.unwrap_or_default().iter().map(|model| model.0).collect();
    sqlx::query!(
        "INSERT INTO endpoint_contracts (endpoint_id, revision, signature, models, set_by, set_at)
         VALUES ($1, 1, $2, $3, $4, $5)
         ON CONFLICT (endpoint_id) DO UPDATE
         SET revision = endpoint_contracts.revision + 1, signature = $2, models = $3, set_by = $4, set_at = $5",
        endpoint.0,
        signature.map(|signature| json!(signature)),
        &models,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    let set = find(change, endpoint).await?;
    set.ok_or(Error::Affected { table: "endpoint_contracts", affected: 0 })
}

/// How a version that is served so does not fit an endpoint's contract; absent where it does, or there is
/// none. What counts is what callers see of it.
///
/// # Errors
/// Its hooks do not fit it; the database is away.
pub async fn mismatch(
    change: &mut Change,
    endpoint: EndpointId,
    version: &Version,
    serving: &Settings,
) -> Result<Option<Mismatch>> {
    let contract = find(change, endpoint).await?;
    let Some(expected) = contract.and_then(|contract| contract.expected) else { return Ok(None) };
    let signature = version.signature.as_ref();
    let got = Got {
        model: version.model.to_string(),
        version: version.number,
        signature: signature.map(|it| serving.hooks.callers(it)).transpose()?,
    };
    Ok(Mismatch::between(&expected, &got))
}

/// The same of the first of these versions that does not fit.
///
/// # Errors
/// The database is away.
pub async fn mismatch_of_any(
    change: &mut Change,
    endpoint: EndpointId,
    versions: &[VersionId],
    serving: &Settings,
) -> Result<Option<Mismatch>> {
    for &id in versions {
        let Some(version) = versions::find(change, id).await? else { continue };
        if let Some(mismatch) = mismatch(change, endpoint, &version, serving).await? {
            return Ok(Some(mismatch));
        }
    }
    Ok(None)
}

/// Gives an endpoint that has no contract the signature of the version that it is about to serve, as its
/// callers see it.
/// `cause` is the event of the release: who asks for it, in which request.
///
/// # Errors
/// The database is away.
pub async fn adopt(
    change: &mut Change,
    endpoint: &Endpoint,
    (version, serving): (&Version, &Settings),
    cause: &AuditEvent,
) -> Result<()> {
    let Some(signature) = &version.signature else { return Ok(()) };
    let signature = serving.hooks.callers(signature)?;
    let before = find(change, endpoint.id).await?;
    if before.as_ref().is_some_and(|contract| contract.expected.is_some()) {
        return Ok(());
    }
    let after = set(change, endpoint.id, Some((&signature, &[])), &cause.actor).await?;
    let wire = endpoint.endpoint.to_string();
    let from = format!("{}/{}", version.model, version.number);
    let detail = json!({"endpoint": wire, "revision": after.revision, "from": from});
    let resource = Resource::Endpoint(wire);
    change.emit("contract.set", &resource.to_string(), &detail).await?;
    let event = AuditEvent { resource, change: "contract.set", detail, ..cause.clone() }
        .changed(before.as_ref().map(Contract::describe).as_ref(), Some(&after.describe()));
    change.record(&event).await
}
