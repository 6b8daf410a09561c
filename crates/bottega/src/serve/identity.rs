//! The secrets of a platform: the keys that others are sealed under, and the administrator's token.

use std::{
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use auth::{Authenticator, KeyRing, SecretKey};
use domain::Problem;
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::Settings;

/// The platform's secret keys: given, or kept in a file that is made at the first start.
pub fn secret_keys(settings: &Settings) -> Result<KeyRing, Problem> {
    let text = match (&settings.secret_key, &settings.secret_key_previous) {
        (Some(key), Some(previous)) => {
            format!("{}\n{}", key.expose_secret(), previous.expose_secret()).into()
        }
        (Some(key), None) => key.clone(),
        (None, Some(_)) => {
            let message = "an earlier secret key is given without the current one";
            return Err(Problem::invalid("secret_key_previous", message).hint(
                "set BOTTEGA_SECRET_KEY too, or write both into the key file, the current one first",
            ));
        }
        (None, None) => {
            let default = settings.data_dir.join("secret.key");
            let file = settings.secret_key_file.as_ref().unwrap_or(&default);
            read_or_make(file, SecretKey::generate)?.0
        }
    };
    KeyRing::parse(&text)
}

/// The administrator's token, and how the person at the terminal learns it.
pub struct AdminToken {
    /// The token.
    pub token: SecretString,
    /// The file that it is kept in; absent where it was given.
    pub file: Option<PathBuf>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// The administrator's token: given, or kept in a file that is made at the first start.
pub fn admin_token(settings: &Settings) -> Result<AdminToken, Problem> {
    if let Some(token) = &settings.admin_token {
        if token.expose_secret().len() < 20 {
            let message = "the administrator's token is too short: expected at least 20 characters";
            return Err(
                Problem::invalid("admin_token", message).hint("leave it away, and one is made")
            );
        }
        return Ok(AdminToken { token: token.clone(), file: None, is_new: false });
    }
    let file = settings.data_dir.join("admin.token");
    let (token, is_new) = read_or_make(&file, Authenticator::generate_token)?;
    Ok(AdminToken { token, file: Some(file), is_new })
}

/// Reads a secret from its file, or makes both. `true` where it was made.
fn read_or_make(
    file: &Path,
    make: impl FnOnce() -> SecretString,
) -> Result<(SecretString, bool), Problem> {
    let wrong = |error: std::io::Error| {
        Problem::invalid("data_dir", format!("{}: {error}", file.display()))
            .hint("the file and its folder must belong to the user that runs bottega")
    };
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let mode = std::fs::metadata(file).map_err(wrong)?.permissions().mode();
            if mode & 0o077 != 0 {
                let message =
                    format!("{} may be read by others (mode {:o})", file.display(), mode & 0o777);
                return Err(Problem::invalid("data_dir", message)
                    .hint(format!("chmod 600 {}", file.display())));
            }
            Ok((text.trim().to_owned().into(), false))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = make();
            write_new(file, &secret).map_err(wrong)?;
            Ok((secret, true))
        }
        Err(error) => Err(wrong(error)),
    }
}

/// Writes beside, syncs, and links into place: the file is whole or not there, and of two that
/// start at once one wins and the other fails.
fn write_new(file: &Path, secret: &SecretString) -> std::io::Result<()> {
    let partial = file.with_extension(format!("partial-{}", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut out| {
            out.write_all(secret.expose_secret().as_bytes())?;
            out.write_all(b"\n")?;
            out.sync_all()
        })
        .and_then(|()| std::fs::hard_link(&partial, file));
    // Best effort: what is left is a stray copy with the same owner and mode.
    drop(std::fs::remove_file(&partial));
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.token");
        let (first, made) = read_or_make(&file, Authenticator::generate_token).unwrap();
        assert!(made);
        let (second, made) = read_or_make(&file, Authenticator::generate_token).unwrap();
        assert!(!made);
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.token");
        read_or_make(&file, Authenticator::generate_token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let problem = read_or_make(&file, Authenticator::generate_token).unwrap_err();
        assert!(problem.hint.unwrap().starts_with("chmod 600"));
    }
}
