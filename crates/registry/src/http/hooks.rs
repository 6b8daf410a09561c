//! Hooks, as the API documents them: [`domain::serving::Hooks`] reads and writes them.

use serde::Serialize;
use utoipa::ToSchema;

use super::signature::TensorSpec;

/// What happens to requests and answers on the way, in order. Callers see the model's signature as these
/// leave it.
#[derive(ToSchema)]
#[schema(example = json!({
    "before": [
        {"http": {"url": "https://features.example/v2", "send": ["customer"], "get": ["history"],
                  "timeout": "50ms", "headers": {"authorization": {"credential": "features"}}}},
        {"rename": {"column": "client_id", "as": "customer"}},
        {"default": {"column": "age", "value": 30}},
    ],
    "after": [{"mask": {"column": "score", "value": 0}}],
}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Hooks {
    /// What happens to a request before the model gets it; at most 32.
    #[schema(required = false)]
    before: Vec<Hook>,
    /// What happens to an answer before the caller gets it; at most 32.
    #[schema(required = false)]
    after: Vec<Hook>,
}

/// One of them.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub enum Hook {
    /// Callers know a column (an input or an output) by another name.
    Rename(Rename),
    /// A column that is not there has this value: an input that callers may leave out, or an output that a
    /// server did not give.
    Default(Fill),
    /// Callers know a column by another type.
    Cast(Cast),
    /// The values of a column are replaced.
    Mask(Mask),
    /// A server gives columns, by others that it is sent; V2's JSON both ways.
    Http(Http),
}

/// Callers know a column by another name.
#[derive(ToSchema)]
#[schema(example = json!({"column": "client_id", "as": "customer"}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Rename {
    /// Its name on the model's side.
    column: String,
    /// Its name on the callers'.
    #[schema(rename = "as")]
    callers: String,
}

/// A column that is not there has this value.
#[derive(ToSchema)]
#[schema(example = json!({"column": "age", "value": 30}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Fill {
    column: String,
    /// One value, or a list with those of one row.
    value: serde_json::Value,
}

/// Callers know a column by another type.
#[derive(ToSchema)]
#[schema(example = json!({"column": "age", "as": "BYTES"}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Cast {
    column: String,
    /// Its type on the callers' side, by its Open Inference Protocol name.
    #[schema(rename = "as", examples("INT64"))]
    callers: String,
}

/// The values of a column are replaced.
#[derive(ToSchema)]
#[schema(example = json!({"column": "email", "value": ""}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Mask {
    column: String,
    /// By this; zero, false or empty, unless given.
    value: Option<serde_json::Value>,
}

/// A server gives columns, by others that it is sent.
#[derive(ToSchema)]
#[schema(example = json!({"url": "https://features.example/v2", "send": ["customer"], "get": ["history"]}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Http {
    /// Where it is asked, by `POST`: a public address by https, or one that the operator allows.
    url: String,
    /// The columns that it is sent. One that is none of the model's is told with its type: callers send it,
    /// and the model does not get it.
    send: Vec<Column>,
    /// The columns that it gives: before a model by name, after one with their types.
    get: Vec<Column>,
    /// How long it has, `1ms` to `10m`; `500ms`, unless given.
    #[schema(examples("50ms"))]
    timeout: Option<String>,
    /// `fail`: the request fails with 502 or 504 where it does not answer as it should. `continue`: it goes
    /// on, and a later hook has a default for what is missing.
    #[schema(required = false)]
    on_failure: String,
    /// What it is told beside, by header: a text, or `{"credential": NAME}`.
    #[schema(required = false)]
    headers: std::collections::BTreeMap<String, HeaderValue>,
}

/// A column by its name, or by all that there is to say of it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub enum Column {
    Known(String),
    New(TensorSpec),
}

/// What a header says.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub enum HeaderValue {
    Plain(String),
    Credential(CredentialRef),
}

/// Names a credential.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"credential": "features"}))]
pub struct CredentialRef {
    /// Its name.
    credential: String,
}
