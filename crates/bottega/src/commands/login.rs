//! `bottega login`, `bottega whoami`

use std::io::{IsTerminal as _, Read as _, Write as _};

use clap::Args;
use client::Connection;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Done;
use crate::{
    cli::Global,
    output::{Failure, Output},
    session::{Login, Session},
};

#[derive(Args)]
pub struct Options {
    /// Read the token from standard input instead of asking for it
    #[arg(long)]
    token_stdin: bool,
}

/// Asks for what is missing, tries it, then remembers it.
pub async fn login(options: Options, global: &Global, output: &Output) -> Done {
    let url = global.url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let token = match std::env::var("BOTTEGA_TOKEN")
        .ok()
        .filter(|token| !token.is_empty() && !options.token_stdin)
    {
        Some(token) => token,
        None => ask(&options, &url)?,
    };
    let token = SecretString::from(token.trim().to_owned());
    let server = Connection::new(&url, Some(token.clone()))?;
    let me: Value = server.get("/me", &[]).await?;
    let file = Login::save(&url, &token)?;
    let actor = me["actor"].as_str().unwrap_or_default();
    let answer = json!({"url": url, "actor": actor, "file": file});
    Ok(output.done(&answer, &format!("you are {actor} at {url}; remembered in {}", file.display())))
}

fn ask(options: &Options, url: &str) -> Result<String, Failure> {
    let mut token = String::new();
    if options.token_stdin {
        std::io::stdin().read_to_string(&mut token).map_err(Failure::io)?;
        return Ok(token);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "token",
            "there is no terminal to ask for the token: give --token-stdin or BOTTEGA_TOKEN",
        ));
    }
    anstream::eprint!("token for {url} (not shown): ");
    std::io::stderr().flush().map_err(Failure::io)?;
    let line = without_echo(|| std::io::stdin().read_line(&mut token));
    anstream::eprintln!();
    line.map_err(Failure::io)?;
    Ok(token)
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

/// Shows who the platform takes us for.
pub async fn whoami(session: &Session, output: &Output) -> Done {
    let mut me: Value = session.server.get("/me", &[]).await?;
    me["url"] = json!(session.server.base());
    me["token_from"] = json!(session.token_from);
    Ok(output.object(&me, &[("actor", "/actor"), ("url", "/url"), ("token from", "/token_from")]))
}
