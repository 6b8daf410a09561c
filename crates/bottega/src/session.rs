//! Which Bottega the commands talk to, and as whom.
//!
//! Address: `--url`, `BOTTEGA_URL`, `bottega login`, then this machine's default. Token:
//! `BOTTEGA_TOKEN`, `bottega login` for that address; last, where the address is this machine, the
//! administrator's token in the data directory, if this user may read it.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use client::Connection;
use domain::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{cli::Global, output::Failure, settings};

/// Where `bottega up` listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// A connection and where its parts come from.
pub struct Session {
    /// The connection.
    pub server: Connection,
    /// Where the token comes from, in words.
    pub token_from: Option<String>,
}

impl Session {
    /// Opens a session as the options, the environment and the login say.
    pub fn open(global: &Global) -> Result<Self, Failure> {
        let login = Login::load()?;
        let url = global.url.clone().or_else(|| login.as_ref().map(|login| login.url.clone()));
        let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let (token, token_from) = match token(&url, login)? {
            Some((token, from)) => (Some(token), Some(from)),
            None => (None, None),
        };
        Ok(Self { server: Connection::new(&url, token)?, token_from })
    }
}

fn token(url: &str, login: Option<Login>) -> Result<Option<(SecretString, String)>, Failure> {
    if let Some(token) = std::env::var("BOTTEGA_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Some((token.into(), "BOTTEGA_TOKEN".to_owned())));
    }
    if let Some(login) = login.filter(|login| login.url == url) {
        return Ok(Some((login.token.into(), Login::file()?.display().to_string())));
    }
    let host = url.split("://").nth(1).unwrap_or_default();
    let is_here = ["127.0.0.1", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
    let file = settings::data_dir().join("admin.token");
    match std::fs::read_to_string(&file) {
        Ok(token) if is_here => {
            Ok(Some((token.trim().to_owned().into(), file.display().to_string())))
        }
        _ => Ok(None),
    }
}

/// What `bottega login` remembers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The address.
    pub url: String,
    /// The token for it.
    token: String,
}

impl Login {
    fn file() -> Result<PathBuf, Failure> {
        let config = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
        let config = config.ok_or_else(|| {
            Problem::invalid("HOME", "neither HOME nor XDG_CONFIG_HOME is set")
                .hint("set BOTTEGA_URL and BOTTEGA_TOKEN instead")
        })?;
        Ok(config.join("bottega").join("login.toml"))
    }

    fn load() -> Result<Option<Self>, Failure> {
        let Ok(file) = Self::file() else { return Ok(None) };
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|_| {
            let message = format!("{} is not what `bottega login` writes", file.display());
            Problem::invalid("login", message).hint("run `bottega login` again").into()
        })
    }

    /// Remembers; only this user may read the file.
    pub fn save(url: &str, token: &SecretString) -> Result<PathBuf, Failure> {
        let file = Self::file()?;
        let login = Self { url: url.to_owned(), token: token.expose_secret().to_owned() };
        let text = toml::to_string(&login).map_err(|_| Problem::internal())?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::io)?;
        }
        // Written beside and renamed: a login is whole or not there.
        let partial = file.with_extension("partial");
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut out| out.write_all(text.as_bytes()))
            .and_then(|()| std::fs::rename(&partial, &file))
            .map_err(Failure::io)?;
        Ok(file)
    }
}
