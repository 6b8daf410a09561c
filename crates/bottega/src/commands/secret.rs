//! Secrets that are given to commands: by stdin, where no list of processes shows them.

use std::io::Read as _;

use crate::output::Failure;

/// Reads it.
pub fn read() -> Result<String, Failure> {
    let mut secret = String::new();
    std::io::stdin().read_to_string(&mut secret).map_err(Failure::io)?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::usage("secret", "stdin is empty: expected the secret"));
    }
    Ok(secret.to_owned())
}
