//! What the audit trail records: one event for each change, written in the change's transaction,
//! and one for each decision, login and export that changes nothing.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::{Action, Actor, Digest, RequestId, Resource, TokenId};

/// What was decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It was allowed, and done.
    #[default]
    Allowed,
    /// It was refused, and nothing was done.
    Refused,
}

impl Decision {
    /// All decisions.
    pub const ALL: [Self; 2] = [Self::Allowed, Self::Refused];

    /// As it is written in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }

    /// Reads what [`Decision::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == text)
    }
}

/// What was done or refused, as it is to be recorded.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Who did it.
    pub actor: Actor,
    /// For whom a service account said that it did.
    pub on_behalf_of: Option<Actor>,
    /// Where from.
    pub address: Option<IpAddr>,
    /// By which token; absent where they came by password or session.
    pub token: Option<TokenId>,
    /// Under which permission; absent for what needs none, as a login.
    pub action: Option<Action>,
    /// To what.
    pub resource: Resource,
    /// What exactly, as a past participle of the domain: `version.registered`, `alias.moved`.
    pub change: &'static str,
    /// Whether it was allowed.
    pub decision: Decision,
    /// The grants and policies that decided, as references.
    pub policies: Vec<String>,
    /// Digest of the object's description before, absent for what is new.
    pub before: Option<Digest>,
    /// Digest of the object's description after, absent for what is gone.
    pub after: Option<Digest>,
    /// The request that asked for it.
    pub request_id: RequestId,
    /// The facts that a reader needs: names, numbers, reason. Never a secret.
    pub detail: Value,
}

impl AuditEvent {
    /// Something that an actor was allowed to do, and did.
    #[must_use]
    pub fn new(
        actor: Actor,
        action: Option<Action>,
        resource: Resource,
        change: &'static str,
        request_id: RequestId,
        detail: Value,
    ) -> Self {
        Self {
            actor,
            on_behalf_of: None,
            address: None,
            token: None,
            action,
            resource,
            change,
            decision: Decision::Allowed,
            policies: Vec::new(),
            before: None,
            after: None,
            request_id,
            detail,
        }
    }

    /// The same, refused.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { decision: Decision::Refused, ..self }
    }

    /// Records the object's description before and after the change, by digest in columns of
    /// their own, and whole in the detail under `before` and `after`.
    #[must_use]
    pub fn changed(mut self, before: Option<&Value>, after: Option<&Value>) -> Self {
        self.before = before.map(|value| Digest::of(value.to_string().as_bytes()));
        self.after = after.map(|value| Digest::of(value.to_string().as_bytes()));
        if let Value::Object(detail) = &mut self.detail {
            for (key, value) in [("before", before), ("after", after)] {
                if let Some(value) = value {
                    detail.insert(key.to_owned(), value.clone());
                }
            }
        }
        self
    }

    /// The facts as they may be kept: what is called a secret or looks like a token of ours is taken
    /// out, and of a text that is long enough to be a payload only its digest is kept.
    #[must_use]
    pub fn kept_detail(&self) -> Value {
        kept(&self.detail)
    }
}

/// Names of fields whose value is never kept.
const SECRET: [&str; 9] = [
    "secret",
    "password",
    "password_hash",
    "new_password",
    "old_password",
    "authorization",
    "api_key",
    "private_key",
    "csrf_token",
];

/// The longest text that is kept as it is, in bytes.
const LONGEST: usize = 8 * 1024;

fn kept(value: &Value) -> Value {
    match value {
        Value::String(text) if holds_token(text) => Value::from("[redacted]"),
        Value::String(text) if text.len() > LONGEST => {
            json!({"digest": Digest::of(text.as_bytes()), "length": text.len()})
        }
        Value::Array(values) => values.iter().map(kept).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let is_secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
                let says_something = value.is_string() || value.is_array() || value.is_object();
                let kept = if is_secret && says_something {
                    Value::from("[redacted]")
                } else {
                    kept(value)
                };
                (name.clone(), kept)
            };
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Whether the text holds what our tokens end with, 64 hex digits behind `bt_` or `_`, or a JWT.
fn holds_token(text: &str) -> bool {
    let is_ours = text.match_indices("bt_").any(|(at, _)| {
        let rest = &text[at + 3..];
        let secret = rest
            .split_once('_')
            .map_or(rest, |(prefix, secret)| if prefix.len() <= 32 { secret } else { rest });
        secret.len() >= 64 && secret.bytes().take(64).all(|byte| byte.is_ascii_hexdigit())
    });
    is_ours || text.contains("eyJhbGciOi")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: Value) -> AuditEvent {
        let (actor, resource) = (Actor::user("ana"), Resource::Platform);
        AuditEvent::new(actor, None, resource, "token.created", RequestId::new(), detail)
    }

    #[test]
    fn secrets_tokens_and_payloads_are_not_kept() {
        let token = format!("bt_0a1b2c3d_{}", "f".repeat(64));
        let old = format!("bt_{}", "0".repeat(64));
        let long = "x".repeat(LONGEST + 1);
        let kept = event(json!({
            "name": "ci", "Secret": "hush", "password": null, "count": 3,
            "nested": [{"note": format!("it is {token}"), "old": old, "api_key": {"a": "b"}}],
            "body": long, "bt": "bt_short", "jwt": "eyJhbGciOiJFZERTQSJ9.e30.x",
        }))
        .kept_detail();
        assert_eq!(
            kept,
            json!({
                "name": "ci", "Secret": "[redacted]", "password": null, "count": 3,
                "nested": [{"note": "[redacted]", "old": "[redacted]", "api_key": "[redacted]"}],
                "body": {"digest": Digest::of(long.as_bytes()), "length": LONGEST + 1},
                "bt": "bt_short", "jwt": "[redacted]",
            })
        );
    }

    #[test]
    fn a_description_is_recorded_whole_and_by_digest() {
        let (before, after) = (json!({"a": 1}), json!({"a": 2}));
        let event = event(json!({"name": "x"})).changed(Some(&before), Some(&after));
        assert_eq!(event.detail, json!({"name": "x", "before": before, "after": after}));
        assert_ne!(event.before, event.after);
    }
}
