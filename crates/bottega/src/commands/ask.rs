//! Secrets that are typed, or piped in.

use std::io::{IsTerminal as _, Read as _, Write as _};

use secrecy::SecretString;

use crate::output::Failure;

/// Reads a secret from the terminal, without showing it.
pub fn secret(prompt: &str, instead: &str) -> Result<SecretString, Failure> {
    if !std::io::stdin().is_terminal() {
        let message = format!("there is no terminal to ask on: give {instead}");
        return Err(Failure::usage("stdin", message));
    }
    anstream::eprint!("{prompt} (not shown): ");
    std::io::stderr().flush().map_err(Failure::io)?;
    let mut typed = String::new();
    let line = without_echo(|| std::io::stdin().read_line(&mut typed));
    anstream::eprintln!();
    line.map_err(Failure::io)?;
    Ok(SecretString::from(typed.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Reads a new password from the terminal, twice.
pub fn new_password(of: &str) -> Result<SecretString, Failure> {
    use secrecy::ExposeSecret as _;
    let first = secret(&format!("new password of {of}"), "--password-stdin")?;
    let second = secret("the same again", "--password-stdin")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::usage("password", "the two are not the same"));
    }
    Ok(first)
}

/// The lines on standard input, each a secret.
pub fn lines() -> Result<Vec<SecretString>, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(Failure::io)?;
    Ok(text.lines().map(|line| SecretString::from(line.to_owned())).collect())
}

/// Reads from the terminal with echo off, and puts the terminal back whatever happens.
fn without_echo(read: impl FnOnce() -> std::io::Result<usize>) -> std::io::Result<usize> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSANOW, &silent)?;
    let done = read();
    tcsetattr(&stdin, SetArg::TCSANOW, &before)?;
    done
}
