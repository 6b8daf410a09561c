//! `--dry-run` of what changes rights: who would lose and gain what.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::output::{Column, Output};

const COLUMNS: &[Column<'_>] = &[
    ("change", "/change"),
    ("subject", "/subject"),
    ("action", "/action"),
    ("resource", "/resource"),
    ("alias", "/alias"),
];

/// The path, asking not to do it.
pub fn asking(path: &str, dry: bool) -> String {
    if dry { format!("{path}?dry_run=true") } else { path.to_owned() }
}

/// Shows what would change.
pub fn tell(told: &Value, output: &Output) -> ExitCode {
    if output.is_json() {
        return output.object(told, &[]);
    }
    let rights = |key: &str, word: &str| -> Vec<Value> {
        let mut items = told[key].as_array().cloned().unwrap_or_default();
        items.iter_mut().for_each(|item| item["change"] = json!(word));
        items
    };
    let all = [rights("lost", "loses"), rights("gained", "gains")].concat();
    output.list(&all, COLUMNS, "Nobody would lose or gain anything.")
}
