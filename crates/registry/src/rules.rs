//! Promotion rules: who may change them, and the one place that asks them.

use auth::{Permit, verbs};
use domain::{
    AliasName, ErrorCode, ModelName, Problem, RuleId,
    promotion::{self, Asset, Bound, Comparison, Outcome, Rival, Rule as Sentence},
};
use serde_json::json;
use store::{
    Change, aliases,
    models::Model,
    rules::{self, Rule},
    versions::Version,
};

use crate::{Result, State, models, publish::publish};

/// The most rules that a model has.
const MOST: usize = 100;
/// Stages that versions are put away to: only rules that name them guard them.
const PUT_AWAY: [&str; 2] = ["None", "Archived"];

/// Lists a model's rules.
///
/// # Errors
/// The model is not there.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
) -> Result<Vec<Rule>> {
    let model = models::get(state, permit, model).await?;
    Ok(rules::list(&state.database, model.id).await?)
}

/// Gives a model a rule, which guards one alias or stage, or all of them.
///
/// # Errors
/// The model is not there; it has as many as it may have.
pub async fn add(
    state: &State,
    permit: &Permit<verbs::Administer>,
    model: &ModelName,
    target: Option<&str>,
    rule: &Sentence,
) -> Result<Rule> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    if rules::all(&mut change, model.id).await?.len() >= MOST {
        return Err(Problem::conflict(format!("`{}` has {MOST} rules", model.name))
            .hint("remove one that is not needed any more")
            .into());
    }
    let made = rules::insert(&mut change, model.id, target, rule, permit.actor()).await?;
    let after = json!({"id": made.id, "rule": rule.to_string(), "target": target});
    let event = permit.event("rule.added", json!({"model": model.name, "rule": rule.to_string()}));
    publish(change, event.changed(None, Some(&after))).await?;
    Ok(made)
}

/// Takes a rule away from a model.
///
/// # Errors
/// The model or the rule is not there.
pub async fn remove(
    state: &State,
    permit: &Permit<verbs::Administer>,
    model: &ModelName,
    id: RuleId,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let all = rules::all(&mut change, model.id).await?;
    let Some(rule) = all.into_iter().find(|rule| rule.id == id) else {
        let message = format!("`{}` has no rule `{id}`", model.name);
        return Err(Problem::new(ErrorCode::NotFound, message).at("rule").into());
    };
    rules::delete(&mut change, id).await?;
    let before = json!({"id": id, "rule": rule.rule.to_string(), "target": rule.target});
    let event =
        permit.event("rule.removed", json!({"model": model.name, "rule": rule.rule.to_string()}));
    publish(change, event.changed(Some(&before), None)).await
}

/// Whether promotion rules may stop a move.
#[derive(Debug, Clone, Copy)]
pub enum Gate<'a> {
    /// A rule that is not met refuses it.
    Closed,
    /// Somebody who may passes over them. The audit trail keeps the reason and what each rule found.
    Overridden(&'a Permit<verbs::Administer>),
}

impl Gate<'_> {
    /// Asks the rules of an alias or a stage about a version that shall go there, in the change that
    /// would bring it there. Answers what they found where it goes there in spite of them.
    pub(crate) async fn pass(
        self,
        change: &mut Change,
        model: &Model,
        version: &Version,
        target: &str,
    ) -> Result<Option<Vec<Outcome>>> {
        let outcomes = ask(change, model, version, target).await?;
        if outcomes.iter().all(|outcome| outcome.ok) {
            return Ok(None);
        }
        match self {
            Self::Overridden(_) => Ok(Some(outcomes)),
            Self::Closed => {
                let what = format!("`{target}` of `{}` to version {}", model.name, version.number);
                Err(promotion::refusal(&what, outcomes).into())
            }
        }
    }
}

/// What each rule of this alias or stage finds of a version.
async fn ask(
    change: &mut Change,
    model: &Model,
    version: &Version,
    target: &str,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for rule in rules::all(change, model.id).await? {
        let guards = match &rule.target {
            Some(guarded) => guarded == target,
            None => !PUT_AWAY.contains(&target),
        };
        if guards {
            outcomes.push(match rule.rule {
                Sentence::Has(asset) => Sentence::of_asset(asset, has(version, asset)),
                Sentence::Metric(comparison) => {
                    compare(change, model, version, &comparison).await?
                }
            });
        }
    }
    Ok(outcomes)
}

fn is_told(version: &Version) -> bool {
    version.packaging.mlmodel.as_ref().is_some_and(|facts| !facts.inputs.is_empty())
}

fn has(version: &Version, asset: Asset) -> bool {
    match asset {
        // One that V2 has no words for is one as well.
        Asset::Signature => version.signature.is_some() || is_told(version),
        Asset::InputExample => version.input_example.is_some(),
        // Baselines are made by monitoring, which is not here yet.
        Asset::Baseline => false,
    }
}

async fn compare(
    change: &mut Change,
    model: &Model,
    version: &Version,
    comparison: &Comparison,
) -> Result<Outcome> {
    let value = measured(change, version, comparison).await?;
    let rival = match &comparison.bound {
        Bound::Number(_) => Rival::Nobody,
        Bound::Alias(alias, _) => match holder(change, model, alias).await? {
            Some(rival) if rival.id != version.id => {
                Rival::Version(measured(change, &rival, comparison).await?)
            }
            _ => Rival::Nobody,
        },
    };
    Ok(comparison.of_value(value, rival))
}

/// The version that an alias points to in this very change.
async fn holder(change: &mut Change, model: &Model, alias: &AliasName) -> Result<Option<Version>> {
    let points_to = aliases::get(change, model.id, alias).await?.and_then(|alias| alias.version);
    match points_to {
        Some((id, _)) => Ok(store::versions::lock(change, id).await?),
        None => Ok(None),
    }
}

async fn measured(
    change: &mut Change,
    version: &Version,
    comparison: &Comparison,
) -> Result<Option<f64>> {
    // What is no id of ours names a run that is somewhere else.
    let run = version.lineage.run_id.as_deref().and_then(|run| run.parse().ok());
    let dataset = comparison.dataset.as_deref();
    Ok(rules::metric(change, version.id, run, &comparison.metric, dataset).await?)
}
