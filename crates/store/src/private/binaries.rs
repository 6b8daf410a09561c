//! Which Postgres: the first that is found, or the one that made the cluster.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Error,
    cluster::{Cluster, Layout},
};

/// A directory with Postgres' programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The directory.
    pub dir: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Binaries {
    /// Finds those that fit the cluster, or for a new one the first of all.
    pub fn find(
        named: Option<&Path>,
        cluster: Option<&Cluster>,
        layout: &Layout,
    ) -> Result<Self, Error> {
        let named = match named {
            Some(dir) => Some(Self::at(dir).ok_or_else(|| Error::BinDir { dir: dir.to_owned() })?),
            None => None,
        };
        let others = places(
            env::current_exe().ok().as_deref(),
            Path::new("/usr/lib/postgresql"),
            env::var_os("PATH").as_deref(),
        );
        let all = named.into_iter().chain(others.iter().filter_map(|dir| Self::at(dir)));
        first_fit(all, cluster, layout)
    }

    /// The binaries of a directory, where it holds any that run.
    pub fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let said = Command::new(dir.join("postgres")).arg("--version").env_clear().output().ok()?;
        let major = parse_major(std::str::from_utf8(&said.stdout).ok()?)?;
        // Postgres finds its own files from where it lies, and is run from another directory.
        Some(Self { dir: fs::canonicalize(dir).ok()?, major })
    }

    pub fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

/// A cluster can be opened by the major version that made it, and by no other.
fn first_fit(
    all: impl Iterator<Item = Binaries>,
    cluster: Option<&Cluster>,
    layout: &Layout,
) -> Result<Binaries, Error> {
    let mut found = Vec::new();
    for binaries in all {
        if cluster.is_none_or(|cluster| cluster.major == binaries.major) {
            return Ok(binaries);
        }
        found.push(format!("{} ({})", binaries.major, binaries.dir.display()));
    }
    match cluster {
        Some(cluster) if !found.is_empty() => Err(Error::Version {
            data: layout.data(),
            needed: cluster.major,
            found: found.join(", "),
        }),
        Some(_) | None => Err(Error::NoBinaries),
    }
}

/// Where to look, in order.
fn places(executable: Option<&Path>, system: &Path, path: Option<&OsStr>) -> Vec<PathBuf> {
    let beside = executable.and_then(Path::parent).map(|dir| dir.join("postgres/bin"));
    let mut installed: Vec<(u32, PathBuf)> = fs::read_dir(system)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    installed.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let on_path = path.into_iter().flat_map(env::split_paths);
    beside.into_iter().chain(installed.into_iter().map(|(_, dir)| dir)).chain(on_path).collect()
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    // `19beta1` is a 19 as well.
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_is_read_from_what_postgres_says() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) 18\n"), Some(18));
        assert_eq!(parse_major("mysqld Ver 8.0"), None);
    }

    #[test]
    fn places_are_the_bundle_then_the_newest_installed_then_the_path() {
        let system = tempfile_dir();
        for version in ["9", "18", "15", "notes"] {
            fs::create_dir_all(system.join(version).join("bin")).unwrap();
        }
        let places = places(
            Some(Path::new("/opt/bottega/bottega")),
            &system,
            Some(OsStr::new("/usr/local/bin:/usr/bin")),
        );
        let expected = [
            PathBuf::from("/opt/bottega/postgres/bin"),
            system.join("18/bin"),
            system.join("15/bin"),
            system.join("9/bin"),
            PathBuf::from("/usr/local/bin"),
            PathBuf::from("/usr/bin"),
        ];
        assert_eq!(places, expected);
        fs::remove_dir_all(&system).unwrap();
    }

    #[test]
    fn directory_without_both_programs_is_no_binaries() {
        assert_eq!(Binaries::at(Path::new("/usr/share")), None);
    }

    fn choose(majors: &[u32], cluster: Option<u32>) -> Result<u32, Error> {
        let all = majors
            .iter()
            .map(|major| Binaries { dir: format!("/pg{major}").into(), major: *major });
        let cluster = cluster.map(|major| Cluster { major, uid: 0, gid: 0 });
        let layout = Layout { root: "/data/postgres".into() };
        first_fit(all, cluster.as_ref(), &layout).map(|binaries| binaries.major)
    }

    #[test]
    fn new_cluster_takes_the_first_binaries_and_an_old_one_those_that_made_it() {
        assert_eq!(choose(&[18, 15], None).unwrap(), 18);
        assert_eq!(choose(&[18, 15], Some(15)).unwrap(), 15);
    }

    #[test]
    fn missing_binaries_are_named_with_what_is_there() {
        let error = choose(&[18, 15], Some(16)).unwrap_err().to_string();
        assert_eq!(
            error,
            "/data/postgres/data belongs to PostgreSQL 16, but here is only 18 (/pg18), 15 (/pg15): \
             install PostgreSQL 16 or name its programs with --pg-bin-dir"
        );
        assert!(matches!(choose(&[], None), Err(Error::NoBinaries)));
        assert!(matches!(choose(&[], Some(16)), Err(Error::NoBinaries)));
    }

    fn tempfile_dir() -> PathBuf {
        nix::unistd::mkdtemp(&env::temp_dir().join("bottega-places-XXXXXX")).unwrap()
    }
}
