//! Lineage and dependents, as trees for people.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use client::Connection;
use domain::Problem;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use crate::output::{Failure, Output, visible};

/// Shows a graph: what its root comes from, and what it leads to.
pub fn show(graph: &Value, output: &Output) {
    if output.is_json() {
        output.object(graph, &[]);
        return;
    }
    for line in lines(graph) {
        anstream::println!("{line}");
    }
    if graph["truncated"] == true {
        anstream::println!("{}", "there is more: ask with --depth, or for one of these".dimmed());
    }
}

/// The tree's lines.
fn lines(graph: &Value) -> Vec<String> {
    let root = graph["root"].as_str().unwrap_or_default();
    let mut lines = vec![label(graph, root)];
    let branches: Vec<_> = [("from", "to", "comes from"), ("to", "from", "leads to")]
        .into_iter()
        .filter(|(_, here, _)| edges(graph, here, root).next().is_some())
        .collect();
    for (at, (there, here, heading)) in branches.iter().enumerate() {
        let is_last = at + 1 == branches.len();
        lines.push(format!("{} {}", if is_last { "└─" } else { "├─" }, heading.bold()));
        let indent = if is_last { "   " } else { "│  " };
        let mut told = HashSet::from([root]);
        branch(graph, (there, here), root, indent, &mut told, &mut lines);
    }
    lines
}

fn branch<'a>(
    graph: &'a Value,
    (there, here): (&str, &str),
    node: &str,
    indent: &str,
    told: &mut HashSet<&'a str>,
    lines: &mut Vec<String>,
) {
    let found: Vec<_> = edges(graph, here, node).collect();
    for (at, edge) in found.iter().enumerate() {
        let is_last = at + 1 == found.len();
        let end = edge[there].as_str().unwrap_or_default();
        let sign = if is_last { "└─" } else { "├─" };
        let is_new = told.insert(end);
        let again = if is_new { "" } else { " …" };
        lines.push(format!("{indent}{sign} {}  {}{again}", label(graph, end), relation(edge)));
        if is_new {
            let indent = format!("{indent}{}", if is_last { "   " } else { "│  " });
            branch(graph, (there, here), end, &indent, told, lines);
        }
    }
}

/// The edges whose `side` is this node.
fn edges<'a>(graph: &'a Value, side: &str, node: &str) -> impl Iterator<Item = &'a Value> {
    let all = graph["edges"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(move |edge| edge[side] == node)
}

/// `run calm-otter-7 (0199…)`
fn label(graph: &Value, id: &str) -> String {
    let nodes = graph["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(node) = nodes.iter().find(|node| node["id"] == id) else { return visible(id) };
    let text = |field: &str| visible(node[field].as_str().unwrap_or_default());
    let (kind, key, name) = (text("kind").replace('_', " "), text("key"), text("name"));
    let also = match kind.as_str() {
        "run" | "logged model" | "dataset" if key != name => format!(" ({key})"),
        _ => String::new(),
    };
    let gone = if node["present"] == false { " (gone)" } else { "" };
    format!("{} {name}{also}{gone}", kind.cyan())
}

fn relation(edge: &Value) -> String {
    let word = edge["relation"].as_str().unwrap_or_default().replace('_', " ");
    let context = edge["context"].as_str().map(|context| format!(" for {}", visible(context)));
    let release = edge["release"].as_i64().map(|release| format!(" in release {release}"));
    format!("{word}{}{}", context.unwrap_or_default(), release.unwrap_or_default())
        .dimmed()
        .to_string()
}

/// What would break, or lose its origin, if something were deleted.
pub struct Dependents(Value);

impl Dependents {
    /// Those of the thing at this path.
    pub async fn get(server: &Connection, path: &str) -> Result<Self, Failure> {
        Ok(Self(server.get(&format!("{path}/dependents"), &[]).await?))
    }

    /// All of them.
    pub fn items(&self) -> &[Value] {
        self.0["items"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Shows them.
    pub fn show(&self, output: &Output) -> ExitCode {
        if output.is_json() {
            return output.object(&self.0, &[]);
        }
        let columns = [
            ("kind", "/kind"),
            ("name", "/name"),
            ("depends as", "/relation"),
            ("release", "/release"),
            ("stops deletion", "/blocks"),
        ];
        output.list(self.items(), &columns, "Nothing depends on it.")
    }

    /// Asks whether to delete it all the same, if somebody is there to answer and there is something to
    /// lose. What stands against the deletion is the server's to refuse.
    pub fn confirm(&self, what: &str, output: &Output) -> Result<(), Failure> {
        let is_asked = !output.is_json() && io::stdin().is_terminal() && io::stdout().is_terminal();
        let is_refused = self.items().iter().any(|item| item["blocks"] == true);
        if !is_asked || is_refused || self.items().is_empty() {
            return Ok(());
        }
        self.show(output);
        anstream::print!("These lose it or their origin. Delete {}? [y/N] ", visible(what));
        io::stdout().flush().map_err(Failure::io)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::io)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Problem::conflict(format!("{what} is kept")).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(graph: &Value) -> String {
        anstream::adapter::strip_str(&lines(graph).join("\n")).to_string()
    }

    #[test]
    fn a_graph_is_drawn_as_two_trees_each_node_once() {
        let node = |id: &str, name: &str| {
            let (kind, key) = id.split_once(':').unwrap();
            json!({"id": id, "kind": kind, "key": key, "name": name, "present": name != "gone"})
        };
        let graph = json!({
            "root": "version:fraud/3",
            "nodes": [
                node("version:fraud/3", "fraud/3"), node("run:7a", "calm-otter"), node("logged_model:m-1", "gone"),
                node("alias:fraud@champion", "champion"), node("endpoint:fraud", "fraud"),
            ],
            "edges": [
                {"from": "alias:fraud@champion", "to": "endpoint:fraud", "relation": "followed"},
                {"from": "logged_model:m-1", "to": "version:fraud/3", "relation": "registered"},
                {"from": "run:7a", "to": "logged_model:m-1", "relation": "produced"},
                {"from": "run:7a", "to": "version:fraud/3", "relation": "produced"},
                {"from": "version:fraud/3", "to": "alias:fraud@champion", "relation": "named"},
                {"from": "version:fraud/3", "to": "endpoint:fraud", "relation": "live", "release": 2},
            ],
        });
        let expected = "\
version fraud/3
├─ comes from
│  ├─ logged model gone (m-1) (gone)  registered
│  │  └─ run calm-otter (7a)  produced
│  └─ run calm-otter (7a)  produced …
└─ leads to
   ├─ alias champion  named
   │  └─ endpoint fraud  followed
   └─ endpoint fraud  live in release 2 …";
        assert_eq!(plain(&graph), expected);
    }

    #[test]
    fn what_is_joined_to_nothing_is_one_line() {
        let graph = json!({
            "root": "run:7a", "edges": [],
            "nodes": [{"id": "run:7a", "kind": "run", "key": "7a", "name": "7a", "present": true}],
        });
        assert_eq!(plain(&graph), "run 7a");
    }
}
