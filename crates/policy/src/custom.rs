//! Policies that an administrator wrote: read, checked against the schema, and sorted by action.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use cedar_policy::{
    ActionConstraint, Effect, EntityId, EntityUid, Policy, PolicyId, PolicySet, Schema,
    ValidationMode, ValidationWarning, Validator, ffi::DetailedError,
};
use domain::{
    Action,
    access::{Subject, SubjectKind},
};
use uuid::Uuid;

use crate::{Names, PolicyError, entities::names};

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(schema()));

#[expect(clippy::expect_used, reason = "a file of this crate; a test reads it")]
fn schema() -> Schema {
    let text = include_str!("schema.cedarschema");
    Schema::from_cedarschema_str(text).expect("the schema is one").0
}

/// A policy as it was written. A text may hold several statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// What it is called.
    pub name: String,
    /// Cedar.
    pub text: String,
}

/// All of them, by the actions that they speak of.
#[derive(Debug, Default)]
pub(crate) struct Custom {
    by_action: HashMap<Action, (PolicySet, bool)>,
    names: HashMap<PolicyId, String>,
    none: (PolicySet, bool),
    texts: Vec<PolicyText>,
    /// What each of the texts speaks of.
    actions: Vec<BTreeSet<Action>>,
}

/// One statement of a text.
struct Statement {
    policy: Policy,
    actions: Vec<Action>,
}

impl Custom {
    pub(crate) fn new(texts: &[PolicyText], names: Names<'_>) -> Result<Self, PolicyError> {
        let mut custom = Self { texts: texts.to_vec(), ..Self::default() };
        for text in texts {
            let mut spoken_of = BTreeSet::new();
            for Statement { policy, actions } in read(text, names, false)? {
                let policy = policy.new_id(PolicyId::new(format!("c{}", custom.names.len())));
                custom.names.insert(policy.id().clone(), text.name.clone());
                let is_timed = mentions_time(&policy);
                spoken_of.extend(actions.iter().copied());
                for action in actions {
                    let (set, timed) = custom.by_action.entry(action).or_default();
                    *timed |= is_timed;
                    set.add(policy.clone()).map_err(|error| {
                        PolicyError::at(&text.name, &text.text, 0, error.to_string(), None)
                    })?;
                }
            }
            custom.actions.push(spoken_of);
        }
        Ok(custom)
    }

    /// The policies that speak of the action, and whether one of them asks for the time.
    pub(crate) fn on(&self, action: Action) -> (&PolicySet, bool) {
        let (set, is_timed) = self.by_action.get(&action).unwrap_or(&self.none);
        (set, *is_timed)
    }

    /// Those of them that allow something.
    pub(crate) fn permits_on(&self, action: Action) -> PolicySet {
        let permits = self.on(action).0.policies();
        let permits = permits.filter(|policy| policy.effect() == Effect::Permit).cloned();
        // They come from a set, so no two have one id.
        PolicySet::from_policies(permits).unwrap_or_default()
    }

    /// A policy as it was written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.name == name).map(|text| text.text.as_str())
    }

    /// What those texts speak of that `other` does not have just so.
    pub(crate) fn beyond(&self, other: &Self) -> BTreeSet<Action> {
        let texts = self.texts.iter().zip(&self.actions);
        let beyond = texts.filter(|(text, _)| !other.texts.contains(text));
        beyond.flat_map(|(_, actions)| actions.iter().copied()).collect()
    }

    /// The name of the policy that a statement is of.
    pub(crate) fn name(&self, id: &PolicyId) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }
}

/// Whether the text may be saved.
pub(crate) fn check(text: &PolicyText, names: Names<'_>) -> Result<(), PolicyError> {
    read(text, names, true).map(drop)
}

/// The statements of a text. `strict`: whom they name must be there.
fn read(
    source: &PolicyText,
    names: Names<'_>,
    strict: bool,
) -> Result<Vec<Statement>, PolicyError> {
    let PolicyText { name, text } = source;
    let set: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| {
        PolicyError::from_cedar(name, text, 0, &DetailedError::from(&error))
    })?;
    if let Some(template) = set.templates().next() {
        let at = text.find('?').unwrap_or(place_of(text, &template.to_cedar()));
        let help = "name the principal and the resource, or leave them open".to_owned();
        return Err(PolicyError::at(name, text, at, "a policy has no slots", help));
    }
    if set.is_empty() {
        let help = "permit ( … ); or forbid ( … );".to_owned();
        return Err(PolicyError::at(name, text, 0, "there is no policy in it", help));
    }
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy.id()));
    // What is wrong with the words comes first: it explains the most.
    validate(source, &set)?;
    policies.into_iter().map(|policy| statement(source, policy, names, strict)).collect()
}

/// Cedar numbers the statements of a text: `policy0`, `policy1`, …
fn number(id: &PolicyId) -> usize {
    id.to_string().strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Where a statement begins in the text.
fn place_of(text: &str, statement: &str) -> usize {
    text.find(statement).unwrap_or(0)
}

fn start_of(text: &str, policy: &Policy) -> usize {
    place_of(text, &policy.to_cedar().unwrap_or_default())
}

/// Holds the text against the schema.
fn validate(source: &PolicyText, set: &PolicySet) -> Result<(), PolicyError> {
    let PolicyText { name, text } = source;
    let refuse = |id: &PolicyId, error: DetailedError| {
        let part = set.policy(id).map_or(0, |policy| start_of(text, policy));
        PolicyError::from_cedar(name, text, part, &error)
    };
    let result = VALIDATOR.validate(set, ValidationMode::Strict);
    let first = result.validation_errors().min_by_key(|error| number(error.policy_id()));
    if let Some(error) = first {
        return Err(refuse(error.policy_id(), DetailedError::from(error)));
    }
    for warning in result.validation_warnings() {
        // Other warnings are of taste, and of names in more than one script.
        if matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_)
                | ValidationWarning::BidiCharsInString(_)
                | ValidationWarning::BidiCharsInIdentifier(_)
        ) {
            return Err(refuse(warning.policy_id(), DetailedError::from(warning)));
        }
    }
    Ok(())
}

fn statement(
    source: &PolicyText,
    policy: &Policy,
    names: Names<'_>,
    strict: bool,
) -> Result<Statement, PolicyError> {
    let PolicyText { name, text } = source;
    let start = start_of(text, policy);
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(action) => vec![action],
        ActionConstraint::In(actions) => actions,
    };
    let actions: Vec<_> =
        actions.iter().filter_map(|action| Action::parse(action.id().unescaped())).collect();
    if actions.is_empty() || actions.contains(&Action::View) {
        let statement = text.get(start..).unwrap_or_default();
        let scope = statement.find('(').unwrap_or(0);
        let word = statement.get(scope..).and_then(|scope| scope.find("action")).unwrap_or(0);
        let message = "a policy cannot decide `view`: lists are cut by grants alone";
        let help = "name the other actions, as `action in [Action::\"deploy\"]`; \
                    give or deny view by a grant: bottega grants add SUBJECT view RESOURCE";
        let at = start + scope + word;
        return Err(PolicyError::at(name, text, at, message, help.to_owned()));
    }
    let literals = with_ids(source, policy, start, names, strict)?;
    let policy = policy.sub_entity_literals(literals).map_err(|error| {
        PolicyError::from_cedar(name, text, start, &DetailedError::from(&error))
    })?;
    Ok(Statement { policy, actions })
}

/// The ids of those that the statement names.
fn with_ids(
    source: &PolicyText,
    policy: &Policy,
    start: usize,
    names: Names<'_>,
    strict: bool,
) -> Result<BTreeMap<EntityUid, EntityUid>, PolicyError> {
    let mut ids = BTreeMap::new();
    for literal in policy.entity_literals() {
        let type_name = literal.type_name().to_string();
        let id = literal.id().unescaped();
        let kind = match type_name.as_str() {
            names::USER => SubjectKind::User,
            names::SERVICE => SubjectKind::Service,
            names::TEAM => SubjectKind::Team,
            _ => {
                thing(source, start, &literal)?;
                continue;
            }
        };
        if Uuid::parse_str(id).is_ok() {
            continue;
        }
        let subject = Subject { kind, name: id.to_owned() };
        match names(&subject) {
            Some(found) => {
                let id = EntityId::new(found.to_string());
                let with_id = EntityUid::from_type_name_and_id(literal.type_name().clone(), id);
                ids.insert(literal, with_id);
            }
            None if strict => {
                let message = format!("there is no `{subject}`");
                return Err(refuse_literal(source, start, &literal, message, None));
            }
            None => {}
        }
    }
    Ok(ids)
}

/// A model, an endpoint or an experiment has an id, since names come and go.
fn thing(source: &PolicyText, start: usize, literal: &EntityUid) -> Result<(), PolicyError> {
    let type_name = literal.type_name().to_string();
    let id = literal.id().unescaped();
    let (fits, expected) = match type_name.as_str() {
        names::MODEL | names::ENDPOINT => (Uuid::parse_str(id).is_ok(), "an id"),
        names::EXPERIMENT => (id.parse::<i64>().is_ok(), "a number"),
        names::PLATFORM => (id == "*", "`*`"),
        _ => (true, ""),
    };
    if fits {
        return Ok(());
    }
    let message = format!("`{type_name}::\"{id}\"`: expected {expected}");
    let help = format!("by name: resource is {type_name} && resource.name == \"{id}\"");
    let help = (type_name != names::PLATFORM).then_some(help);
    Err(refuse_literal(source, start, literal, message, help))
}

fn refuse_literal(
    source: &PolicyText,
    start: usize,
    literal: &EntityUid,
    message: String,
    help: Option<String>,
) -> PolicyError {
    let statement = source.text.get(start..).unwrap_or_default();
    let at = statement.find(&literal.to_string()).unwrap_or(0);
    PolicyError::at(&source.name, &source.text, start + at, message, help)
}

/// Whether the statement can ask for the time: it cannot without the word.
fn mentions_time(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| json.to_string().contains("\"now\""))
}
