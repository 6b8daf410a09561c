//! The socket's directory. Whoever can enter it may log in as anybody, so only the server's own
//! account can (and root, whom nothing keeps out).

use std::{
    env,
    fmt::Write as _,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use nix::unistd::{geteuid, mkdtemp};

use super::{
    Error,
    account::Account,
    cluster::{Layout, make_dir},
};

/// The number in the socket's name; nothing listens on TCP.
pub(super) const PORT: u16 = 5432;

/// A socket's address has 108 bytes, and one of them is the zero at its end.
const LONGEST_DIR: usize = 107 - "/.s.PGSQL.5432".len();

/// The directory, and whether it goes with the server.
#[derive(Debug)]
pub(super) struct SocketDir {
    path: PathBuf,
    temporary: bool,
}

impl SocketDir {
    /// Makes it: beside the cluster, or where that path is too long for a socket, in a temporary
    /// place.
    pub fn make(layout: &Layout, account: Account) -> Result<Self, Error> {
        let run = layout.root.join("run");
        let temporary = !fits(&run);
        let path = if temporary {
            let template =
                roots().into_iter().map(|root| root.join("bottega-XXXXXX")).find(|path| fits(path));
            let template = template.unwrap_or_else(|| PathBuf::from("/tmp/bottega-XXXXXX"));
            // This makes it for the owner alone.
            mkdtemp(&template).map_err(|error| Error::at("create", &template)(error.into()))?
        } else {
            make_dir(&run, 0o700)?;
            run
        };
        let made = Self { path, temporary };
        account.own(&made.path)?;
        Ok(made)
    }

    /// As the setting wants it: a list, whose elements are quoted because a path may hold commas.
    pub fn as_setting(&self) -> String {
        format!("\"{}\"", self.path.display().to_string().replace('"', "\"\""))
    }

    /// Where a user finds a database.
    pub fn url(&self, user: &str, database: &str) -> String {
        let host = encode(&self.path);
        // All is said, so that nobody's PG* variables change it.
        format!("postgres://{user}@localhost:{PORT}/{database}?host={host}&sslmode=disable")
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.temporary {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(%error, "the socket's directory stays behind");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Where a temporary one may be. Another user could not enter root's runtime directory.
fn roots() -> Vec<PathBuf> {
    let runtime = if geteuid().is_root() { None } else { env::var_os("XDG_RUNTIME_DIR") };
    let runtime = runtime.map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir());
    runtime.into_iter().chain([env::temp_dir()]).collect()
}

/// Whether a socket can be there, and its path be said in a setting and a URL.
fn fits(dir: &Path) -> bool {
    dir.as_os_str().len() <= LONGEST_DIR && dir.to_str().is_some()
}

fn encode(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;

    #[test]
    fn url_leads_to_the_socket_whatever_the_path() {
        for path in ["/var/lib/bottega/postgres/run", "/tmp/a b&c=d%20?#é,\"/run"] {
            let dir = SocketDir { path: PathBuf::from(path), temporary: false };
            let options = PgConnectOptions::from_str(&dir.url("bottega_app", "bottega")).unwrap();
            assert_eq!(options.get_socket().unwrap(), Path::new(path));
            assert_eq!(options.get_username(), "bottega_app");
            assert_eq!(options.get_database(), Some("bottega"));
            assert_eq!(options.get_port(), PORT);
        }
    }

    #[test]
    fn longest_directory_is_what_postgres_takes() {
        assert!(fits(Path::new(&"x".repeat(93))));
        assert!(!fits(Path::new(&"x".repeat(94))));
    }
}
