//! `x-bottega-action`: what an operation asks of its caller.
//!
//! Beside each route stands what its handler asks `auth::Access` for, in words; [`Actions`] turns
//! them into objects and into a sentence of the description. A test of the whole holds them against
//! what was asked.
//!
//! | written | means |
//! |---|---|
//! | `view:model` | that action on the model that the request names |
//! | `administer:any` | on the thing that the request names, of whatever kind |
//! | `audit\|administer:platform` | one of the two |
//! | `each view:model` | refuses nobody: shows those that the caller may view |
//! | `self` | no grant: it is about the caller's own |
//! | `none because …` | no grant, for this reason |
//! | `… when …` | asked only then |

use std::{fmt::Write as _, str::FromStr};

use domain::Action;
use serde_json::{Map, Value};
use utoipa::{
    Modify,
    openapi::{OpenApi, path::Operation},
};

/// Where an operation says it.
const FIELD: &str = "x-bottega-action";

/// Kinds of things that an action is on.
const KINDS: [&str; 6] = ["platform", "model", "endpoint", "experiment", "team", "any"];

/// Writes out what each operation of a document asks. What cannot be read stays as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Actions;

impl Modify for Actions {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            let methods = [
                &mut item.get,
                &mut item.head,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in methods.into_iter().flatten() {
                write_out(operation);
            }
        }
    }
}

fn write_out(operation: &mut Operation) {
    let Some(extensions) = &mut operation.extensions else { return };
    let Some(written) = extensions.get(FIELD) else { return };
    let Some(needs) = read(written) else { return };
    let objects = needs.iter().map(|need| Value::Object(need.object())).collect();
    extensions.insert(FIELD.to_owned(), Value::Array(objects));
    let told: Vec<_> = needs.iter().map(Need::sentence).collect();
    let told = told.join("\n\n");
    operation.description = Some(match operation.description.take() {
        Some(description) if !description.is_empty() => format!("{description}\n\n{told}"),
        _ => told,
    });
}

fn read(written: &Value) -> Option<Vec<Need>> {
    match written {
        Value::String(one) => Some(vec![one.parse().ok()?]),
        Value::Array(all) => all.iter().map(|one| one.as_str()?.parse().ok()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// One thing that an operation asks.
#[derive(Debug, PartialEq, Eq)]
struct Need {
    what: What,
    /// Only then.
    when: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Action { action: Action, or: Option<Action>, on: &'static str, each: bool },
    Own,
    Nothing { reason: String },
}

impl FromStr for Need {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(reason) = text.strip_prefix("none because ") {
            return Ok(Self { what: What::Nothing { reason: reason.to_owned() }, when: None });
        }
        let (text, when) = match text.split_once(" when ") {
            Some((text, when)) => (text, Some(when.to_owned())),
            None => (text, None),
        };
        if text == "self" {
            return Ok(Self { what: What::Own, when });
        }
        let (each, text) = match text.strip_prefix("each ") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (actions, kind) = text.split_once(':').ok_or(())?;
        let on = KINDS.into_iter().find(|known| *known == kind).ok_or(())?;
        let (action, or) = match actions.split_once('|') {
            Some((action, or)) => (action, Some(Action::parse(or).ok_or(())?)),
            None => (actions, None),
        };
        let action = Action::parse(action).ok_or(())?;
        Ok(Self { what: What::Action { action, or, on, each }, when })
    }
}

impl Need {
    fn object(&self) -> Map<String, Value> {
        let mut facts = Vec::new();
        match &self.what {
            What::Action { action, or, on, each } => {
                facts.push(("action", Value::from(action.as_str())));
                facts.extend(or.map(|or| ("or", or.as_str().into())));
                facts.push(("resource", (*on).into()));
                facts.extend(each.then(|| ("each", true.into())));
            }
            What::Own => facts.push(("action", "self".into())),
            What::Nothing { reason } => {
                facts.push(("action", "none".into()));
                facts.push(("reason", reason.as_str().into()));
            }
        }
        facts.extend(self.when.as_deref().map(|when| ("when", when.into())));
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn sentence(&self) -> String {
        let mut told = match &self.what {
            What::Action { action, on, each: true, .. } => {
                format!("Of {}, shows those that the caller may `{action}`", plural(on))
            }
            What::Action { action, or, on, each: false } => {
                let or = or.map(|or| format!(" or `{or}`")).unwrap_or_default();
                format!("Needs `{action}`{or} on {}", named(on))
            }
            What::Own => "Needs no grant for one's own".to_owned(),
            What::Nothing { reason } => format!("Needs no grant: {reason}"),
        };
        if let Some(when) = &self.when {
            // Writing to a text cannot fail.
            let _written = write!(told, " when {when}");
        }
        told + "."
    }
}

fn named(kind: &str) -> String {
    if kind == "any" { "what it is about".to_owned() } else { format!("the {kind}") }
}

fn plural(kind: &str) -> String {
    if kind == "any" { "things".to_owned() } else { format!("{kind}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written_out(text: &str) -> (Value, String) {
        let need: Need = text.parse().unwrap();
        (Value::Object(need.object()), need.sentence())
    }

    #[test]
    fn each_form_is_an_object_and_a_sentence() {
        for (text, object, sentence) in [
            (
                "view:model",
                json!({"action": "view", "resource": "model"}),
                "Needs `view` on the model.",
            ),
            (
                "audit|administer:platform when they are others'",
                json!({"action": "audit", "or": "administer", "resource": "platform", "when": "they are others'"}),
                "Needs `audit` or `administer` on the platform when they are others'.",
            ),
            (
                "each view:model",
                json!({"action": "view", "resource": "model", "each": true}),
                "Of models, shows those that the caller may `view`.",
            ),
            ("self", json!({"action": "self"}), "Needs no grant for one's own."),
            (
                "none because probes carry no token",
                json!({"action": "none", "reason": "probes carry no token"}),
                "Needs no grant: probes carry no token.",
            ),
        ] {
            assert_eq!(written_out(text), (object, sentence.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_action_or_no_kind_is_not_read() {
        for wrong in ["", "view", "see:model", "view:thing", "view|see:model", "Self", "none"] {
            assert_eq!(wrong.parse::<Need>(), Err(()), "{wrong}");
        }
    }
}
