//! An event as it stands in the trail, and the one way to write it down.

use std::io::Write as _;

use chrono::SecondsFormat;
use serde_json::Value;

use crate::{Digest, Timestamp, TokenId, json::canonical};

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its number, with gaps. Events that were written at the same time need not commit in this order.
    pub id: i64,
    /// The database's transaction that it was written in.
    pub transaction: String,
    /// When.
    pub at: Timestamp,
    /// Who, as `user:ana`.
    pub actor: String,
    /// For whom a service account said that it did.
    pub on_behalf_of: Option<String>,
    /// Where from.
    pub address: Option<String>,
    /// By which token.
    pub token: Option<TokenId>,
    /// Under which permission.
    pub action: Option<String>,
    /// The kind of thing that it was done to.
    pub resource_kind: String,
    /// Its name at the time.
    pub resource: String,
    /// What was done.
    pub change: String,
    /// `allowed` or `refused`.
    pub decision: String,
    /// The grants and policies that decided.
    pub policies: Vec<String>,
    /// Digest of its description before.
    pub before: Option<Digest>,
    /// Digest of its description after.
    pub after: Option<Digest>,
    /// The request that asked for it.
    pub request_id: String,
    /// The facts.
    pub detail: Value,
}

impl Recorded {
    /// To what, as `model:fraud`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}:{}", self.resource_kind, self.resource)
    }

    /// Writes it as canonical JSON behind what is in `out`: every column, absent ones left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        // By name, as canonical JSON wants them; writing to memory cannot fail.
        let mut fields = Fields { out, separator: b'{' };
        fields.maybe("action", self.action.as_deref());
        fields.text("actor", &self.actor);
        fields.maybe("address", self.address.as_deref());
        fields.maybe("after", self.after.map(|digest| digest.to_string()).as_deref());
        fields.text("at", &self.at.to_rfc3339_opts(SecondsFormat::Micros, true));
        fields.maybe("before", self.before.map(|digest| digest.to_string()).as_deref());
        fields.text("change", &self.change);
        fields.text("decision", &self.decision);
        canonical::write(fields.name("detail"), &self.detail);
        let _ = write!(fields.name("id"), "{}", self.id);
        fields.maybe("on_behalf_of", self.on_behalf_of.as_deref());
        let out = fields.name("policies");
        for (at, policy) in self.policies.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            canonical::write_text(out, policy);
        }
        out.extend_from_slice(if self.policies.is_empty() { b"[]" } else { b"]" });
        fields.text("request_id", &self.request_id);
        fields.text("resource", &self.target());
        fields.maybe("token", self.token.map(|token| token.to_string()).as_deref());
        fields.text("transaction", &self.transaction);
        fields.out.push(b'}');
    }

    /// The digest of what [`Recorded::write`] writes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut out = Vec::with_capacity(768);
        self.write(&mut out);
        Digest::of(&out)
    }
}

/// The fields of an object that is being written.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        canonical::write_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn text(&mut self, name: &str, text: &str) {
        canonical::write_text(self.name(name), text);
    }

    fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded() -> Recorded {
        Recorded {
            id: 7,
            transaction: "815".to_owned(),
            at: "2026-11-17T14:00:00.5Z".parse().unwrap(),
            actor: "service:ci".to_owned(),
            on_behalf_of: Some("user:ana".to_owned()),
            address: Some("10.0.0.7".to_owned()),
            token: Some("0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1".parse().unwrap()),
            action: Some("promote".to_owned()),
            resource_kind: "model".to_owned(),
            resource: "fraud \"€\"".to_owned(),
            change: "alias.moved".to_owned(),
            decision: "allowed".to_owned(),
            policies: vec!["role:operator".to_owned(), "grant:1".to_owned()],
            before: Some(Digest::of(b"a")),
            after: Some(Digest::of(b"b")),
            request_id: "r".to_owned(),
            detail: json!({"z": 1.0, "a": [true, null]}),
        }
    }

    fn written(recorded: &Recorded) -> Value {
        let mut out = Vec::new();
        recorded.write(&mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        let mut again = Vec::new();
        canonical::write(&mut again, &value);
        assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(out).unwrap());
        value
    }

    #[test]
    fn it_is_written_as_canonical_json() {
        let value = written(&recorded());
        assert_eq!(value.as_object().unwrap().len(), 16);
        assert_eq!(value["at"], "2026-11-17T14:00:00.500000Z");
        assert_eq!(value["resource"], "model:fraud \"€\"");
        let bare = Recorded {
            on_behalf_of: None,
            address: None,
            token: None,
            action: None,
            policies: Vec::new(),
            before: None,
            after: None,
            ..recorded()
        };
        assert_eq!(written(&bare).as_object().unwrap().len(), 10);
    }

    #[test]
    fn whatever_changes_changes_the_digest() {
        let changes: [fn(&mut Recorded); 16] = [
            |event| event.id += 1,
            |event| event.transaction.push('1'),
            |event| event.at += chrono::TimeDelta::microseconds(1),
            |event| event.actor.push('x'),
            |event| event.on_behalf_of = None,
            |event| event.address = Some("10.0.0.8".to_owned()),
            |event| event.token = None,
            |event| event.action = None,
            |event| event.resource_kind.push('x'),
            |event| event.resource.push('x'),
            |event| event.change.push('x'),
            |event| event.decision = "refused".to_owned(),
            |event| event.policies.swap(0, 1),
            |event| event.before = event.after,
            |event| event.request_id.push('x'),
            |event| event.detail["a"] = json!([false, null]),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut event = recorded();
            change(&mut event);
            assert_ne!(event.digest(), recorded().digest(), "change {number}");
        }
    }
}
