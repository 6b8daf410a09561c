//! Several processes of one platform.

use std::process::Command;

use tempfile::TempDir;

use crate::{Options, Server, tool};

/// An empty database on the tests' server. It is dropped with this value.
pub struct Database {
    name: String,
    /// Where it is.
    pub url: String,
}

impl Database {
    /// Makes one.
    #[must_use]
    pub fn empty() -> Self {
        let name = format!("bottega_roles_{}_{}", std::process::id(), rand());
        sql(&format!("CREATE DATABASE {name}"));
        let mut url = reqwest::Url::parse(&server_url()).unwrap();
        url.set_path(&name);
        Self { name, url: url.to_string() }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        sql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn rand() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}

fn server_url() -> String {
    tool("BOTTEGA_TEST_DATABASE_URL").into_os_string().into_string().unwrap()
}

fn sql(statement: &str) {
    let psql = tool("BOTTEGA_PG_BIN_DIR").join("psql");
    let output = Command::new(psql)
        .args(["--no-psqlrc", "--quiet", "--dbname", &server_url(), "--command", statement])
        .output()
        .unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What processes share that play one role each.
pub struct Platform {
    url: String,
    folder: TempDir,
}

impl Platform {
    /// A platform on this database.
    #[must_use]
    pub fn on(url: &str) -> Self {
        Self { url: url.to_owned(), folder: tempfile::tempdir().unwrap() }
    }

    /// Starts a process; `name` is that of its data directory.
    #[must_use]
    pub fn start(&self, role: &'static str, name: &str) -> Server {
        self.start_with(role, name, &[])
    }

    /// Starts a process with these arguments as well.
    #[must_use]
    pub fn start_with(&self, role: &'static str, name: &str, arguments: &[&str]) -> Server {
        let artifacts = self.folder.path().join("artifacts").display().to_string();
        let key = ("BOTTEGA_SECRET_KEY", "a key that all of these processes share");
        Server::start_with(Options {
            role: Some(role),
            arguments: ["--database-url", &self.url, "--artifacts", &artifacts]
                .iter()
                .chain(arguments)
                .map(ToString::to_string)
                .collect(),
            environment: vec![(key.0.to_owned(), key.1.to_owned())],
            data_dir: Some(self.folder.path().join(name)),
            ..Options::default()
        })
    }
}
