//! `?dry_run=true`: who would lose and gain what, before a change is made.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::grants::{Difference, Outcome, Run};

/// Whether the change is made.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Change nothing; tell who would lose and gain what, with status 200.
    #[serde(default)]
    dry_run: bool,
}

impl DryRun {
    pub const fn run(&self) -> Run {
        if self.dry_run { Run::Dry } else { Run::Real }
    }
}

/// Who would lose and gain what.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "lost": [{"subject": "user:ana", "action": "promote", "resource": "model:fraud", "alias": "champion"}],
    "gained": [], "complete": true,
}))]
pub struct Differences {
    lost: Vec<Right>,
    gained: Vec<Right>,
    /// Whether this is all; a dry run stops at 1,000.
    complete: bool,
}

/// What somebody may.
#[derive(Serialize, ToSchema)]
pub struct Right {
    subject: String,
    action: &'static str,
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
}

/// Answers with what was done, or with what would be.
pub fn answer<T>(outcome: Outcome<T>, done: impl FnOnce(T) -> HttpResponse) -> HttpResponse {
    match outcome {
        Outcome::Done(value) => done(value),
        Outcome::Dry(differences, complete) => {
            let (gained, lost): (Vec<_>, Vec<_>) =
                differences.into_iter().partition(|difference| difference.gains);
            let rights = |all: Vec<Difference>| all.into_iter().map(Into::into).collect();
            let (lost, gained) = (rights(lost), rights(gained));
            HttpResponse::Ok().json(Differences { lost, gained, complete })
        }
    }
}

impl From<Difference> for Right {
    fn from(difference: Difference) -> Self {
        let Difference { subject, action, resource, alias, gains: _ } = difference;
        Self { subject, action: action.as_str(), resource, alias }
    }
}
