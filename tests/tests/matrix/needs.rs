//! What operations say that they ask, and what was asked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rows::Row;

/// One entry of `x-bottega-action`.
#[derive(Debug)]
pub struct Need {
    /// The action, `self` or `none`.
    pub action: String,
    /// An action that will do as well.
    pub or: Option<String>,
    /// The kind of thing; empty where no grant is needed.
    pub resource: String,
    /// Refuses nobody, and shows what may be seen.
    pub each: bool,
    when: Option<String>,
}

impl Need {
    fn read(entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        Self {
            action: text("action").unwrap(),
            or: text("or"),
            resource: text("resource").unwrap_or_default(),
            each: entry["each"] == true,
            when: text("when"),
        }
    }

    /// Whether it is about grants at all.
    pub fn is_of_a_grant(&self) -> bool {
        !self.resource.is_empty()
    }

    /// Whether only some requests are asked for it.
    pub fn is_sometimes(&self) -> bool {
        self.when.is_some()
    }

    /// Whether the list is cut without a question for each thing.
    pub fn is_asked_in_sql(&self) -> bool {
        self.each
    }

    /// Whether this row's request is asked for it, and may be refused for want of it.
    pub fn is_asked_by(&self, row: &Row) -> bool {
        let written = format!("{}:{}", self.action, self.resource);
        let is_so = self.when.is_none() || row.with.contains(&written.as_str());
        self.is_of_a_grant() && !self.each && is_so
    }

    /// Whether this question is what it says.
    pub fn is(&self, (action, kind): &(String, String)) -> bool {
        (self.action == *action || self.or.as_ref() == Some(action))
            && (self.resource == *kind || self.resource == "any")
    }
}

/// What each operation of the document says, as `METHOD path`.
pub fn needs_of(document: &Value) -> BTreeMap<String, Vec<Need>> {
    let mut needs = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            let Some(operation) = item.get(method) else { continue };
            let entries = operation["x-bottega-action"].as_array();
            let name = format!("{} {path}", method.to_uppercase());
            let entries = entries.unwrap_or_else(|| panic!("{name} says no x-bottega-action"));
            needs.insert(name, entries.iter().map(Need::read).collect());
        }
    }
    needs
}

/// The questions in a log, as action and kind of thing, by request.
pub fn asked_in(log: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let lines = log.lines().filter(|line| line.contains("auth::access"));
    for line in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if line["message"] != "asked" {
            continue;
        }
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        asked.entry(text("request_id")).or_default().push((text("action"), text("kind")));
    }
    asked
}
