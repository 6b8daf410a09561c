//! Keeps the walls of the house where ARCHITECTURE.md says they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Who may import whom, downwards only.
const IMPORTS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("trees", &[]),
    ("protocol", &["domain"]),
    ("rest", &["domain"]),
    ("policy", &["domain"]),
    ("store", &["domain"]),
    ("artifacts", &["store", "domain"]),
    ("inference", &["artifacts", "trees", "domain"]),
    ("auth", &["policy", "store", "rest", "domain"]),
    ("client", &["protocol", "domain"]),
    ("remote", &["auth", "protocol", "store", "rest", "domain"]),
    ("registry", &["remote", "auth", "artifacts", "store", "rest", "domain"]),
    ("tracking", &["auth", "artifacts", "store", "domain"]),
    ("notify", &["auth", "store", "rest", "domain"]),
    ("mlflow", &["tracking", "registry", "notify", "auth", "artifacts", "store", "rest", "domain"]),
    ("monitor", &["artifacts", "auth", "store", "rest", "domain"]),
    ("gateway", &["inference", "remote", "protocol", "auth", "store", "rest", "domain"]),
    ("deployer", &["inference", "remote", "artifacts", "auth", "store", "rest", "domain"]),
];

/// Crates whose work is done by another one here, or that need what a closed network refuses.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls with ring"),
    ("aws-lc-sys", "TLS is rustls with ring: one C library less to build"),
    ("native-tls", "TLS is rustls with ring"),
    ("sqlx-mysql", "Postgres only"),
    ("sqlx-sqlite", "Postgres only"),
    ("failure", "unmaintained"),
    ("structopt", "clap does it"),
    ("dotenv", "configuration is figment's"),
];

/// Licences that an Apache-2.0 work may be linked with.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "bzip2-1.0.6",
    "MPL-2.0",
    "CDLA-Permissive-2.0",
    "NCSA",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(
            ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(String::from),
        )
        .exec()
        .unwrap()
}

fn members(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), package))
        .collect()
}

#[test]
fn crates_import_downwards_only() {
    let metadata = metadata();
    let members = members(&metadata);
    for (name, allowed) in IMPORTS {
        let package = members
            .get(*name)
            .unwrap_or_else(|| panic!("crate `{name}` is in the table, but not in the workspace"));
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let is_ours = members.contains_key(&dependency.name);
            assert!(
                !is_ours || allowed.contains(&dependency.name.as_str()),
                "`{name}` imports `{}`, which ARCHITECTURE.md does not allow",
                dependency.name
            );
        }
    }
    let known: BTreeSet<_> = IMPORTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["bottega", "bottega-tests", "bottega-benches", "weed"])
        .collect();
    for name in members.keys() {
        assert!(
            known.contains(name.as_str()),
            "crate `{name}` is not in the table of who imports whom"
        );
    }
}

#[test]
fn banned_crates_stay_out() {
    // What is built, features considered; the metadata lists what features could bring in as well.
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--edges",
            "normal,build",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let built: BTreeSet<_> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(built.contains("sqlx-postgres"), "the tree has only {} crates", built.len());
    for (name, why) in BANNED {
        assert!(!built.contains(name), "`{name}` came in: {why}");
    }
}

#[test]
fn every_licence_may_be_linked_with_ours() {
    let metadata = metadata();
    for package in &metadata.packages {
        let Some(licence) = &package.license else {
            assert!(package.license_file.is_some(), "`{}` has no licence", package.name);
            continue;
        };
        // `A OR B`: one must fit. `A AND B`: each must. An old form writes `/` for OR.
        let fits = licence
            .replace('/', " OR ")
            .replace(['(', ')'], "")
            .split(" OR ")
            .any(|choice| choice.split(" AND ").all(|part| LICENCES.contains(&part.trim())));
        assert!(fits, "`{}` has the licence `{licence}`", package.name);
    }
}

/// Rust files of ours, with their text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> =
        ["crates", "tests", "benches"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found
}

#[test]
fn sql_is_in_the_store_alone() {
    for (name, text) in sources() {
        let is_allowed = name.starts_with("crates/store/") || name == "tests/tests/architecture.rs";
        assert!(is_allowed || !text.contains("sqlx::"), "{name} speaks SQL");
    }
}

#[test]
fn files_stay_readable() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines");
    }
}

#[test]
fn rooms_are_named_after_what_is_in_them() {
    for (name, _) in sources() {
        let vague = ["utils", "util", "common", "helpers", "helper", "misc"];
        let parts: Vec<_> = name.trim_end_matches(".rs").split('/').collect();
        assert!(!parts.iter().any(|part| vague.contains(part)), "{name} is named after nothing");
    }
}

#[test]
fn exceptions_from_lints_give_a_reason() {
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let line_is_code =
                !line.trim_start().starts_with("//") && name != "tests/tests/architecture.rs";
            assert!(
                !(line_is_code && line.contains("#[allow(")),
                "{name}:{}: use #[expect(…, reason = …)]",
                number + 1
            );
        }
    }
}
