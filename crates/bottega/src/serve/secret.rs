//! Secrets of the settings, each given or in a file.

use std::path::PathBuf;

use domain::Problem;
use secrecy::{ExposeSecret as _, SecretString};

/// The secret of a setting, without blanks around it; absent where neither is set. The file is that of
/// the setting of the same name with `_file`.
///
/// # Errors
/// Both are set, the file cannot be read, or the secret is empty.
pub(super) fn read(
    setting: &str,
    given: Option<&SecretString>,
    file: Option<&PathBuf>,
) -> Result<Option<SecretString>, Problem> {
    let secret = match (given, file) {
        (Some(_), Some(_)) => {
            let message =
                format!("{setting} is given, and so is a file of it: expected one of them");
            return Err(Problem::invalid(setting, message));
        }
        (Some(secret), None) => secret.expose_secret().trim().to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| {
                let message = format!("{setting}_file is {}: {error}", file.display());
                Problem::invalid(format!("{setting}_file"), message)
            })?
            .trim()
            .to_owned(),
        (None, None) => return Ok(None),
    };
    if secret.is_empty() {
        return Err(Problem::invalid(setting, format!("{setting} is empty")));
    }
    Ok(Some(secret.into()))
}
