//! `bottega login`, `bottega whoami`

use std::time::Duration;

use auth::SecretKey;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use clap::Args;
use client::Connection;
use domain::{ErrorCode, Problem};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::{Done, ask};
use crate::{
    cli::Global,
    output::{Failure, Output},
    session::{Login, Session},
};

/// How long somebody may take in the browser.
const BROWSER: Duration = Duration::from_secs(600);
/// The longest line of a request that is read, in bytes.
const LONGEST_LINE: u64 = 4096;

#[derive(Args)]
#[command(
    after_help = "With a token:     bottega login --url https://bottega.example\nWith a password:  bottega login --user ana --url https://bottega.example\nBy the company's:  bottega login --oidc --url https://bottega.example"
)]
pub struct Options {
    /// Log in as this user, by password: makes a token and remembers it
    #[arg(long, value_name = "NAME", conflicts_with = "with_token", group = "makes_token")]
    user: Option<String>,
    /// Read the password from standard input; where it must be changed, the new one from a second line
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// How long the token lasts that is made
    #[arg(long, value_name = "DURATION", default_value = "90d", requires = "makes_token")]
    expires_in: String,
    /// Log in at the platform's identity provider, by a browser on this machine: makes a token and remembers it
    #[arg(long, conflicts_with_all = ["user", "with_token"], group = "makes_token")]
    oidc: bool,
    /// Read the token from standard input instead of asking for it
    #[arg(long, alias = "token-stdin")]
    with_token: bool,
}

/// Asks for what is missing, tries it, then remembers it.
pub async fn login(options: Options, global: &Global, output: &Output) -> Done {
    let url = global.url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let token = match &options.user {
        None if options.oidc => by_provider(&options, &url).await?,
        Some(user) => by_password(user, &options, &url).await?,
        None => by_token(&options, &url)?,
    };
    let server = Connection::new(&url, Some(token.clone()))?;
    let me: Value = server.get("/me", &[]).await?;
    let file = Login::save(&url, &token)?;
    let actor = me["actor"].as_str().unwrap_or_default();
    let answer = json!({"url": url, "actor": actor, "file": file});
    Ok(output.done(&answer, &format!("you are {actor} at {url}; remembered in {}", file.display())))
}

fn by_token(options: &Options, url: &str) -> Result<SecretString, Failure> {
    let given = std::env::var("BOTTEGA_TOKEN").ok().filter(|token| !token.is_empty());
    let token = match given.filter(|_| !options.with_token) {
        Some(token) => token.into(),
        None if options.with_token => ask::lines()?.into_iter().next().unwrap_or_default(),
        None => ask::secret(&format!("token for {url}"), "--with-token or BOTTEGA_TOKEN")?,
    };
    Ok(SecretString::from(token.expose_secret().trim().to_owned()))
}

/// Makes a token for whoever knows the password.
async fn by_password(user: &str, options: &Options, url: &str) -> Result<SecretString, Failure> {
    let server = Connection::new(url, None)?;
    let (mut password, new) = if options.password_stdin {
        let mut lines = ask::lines()?.into_iter();
        (lines.next().unwrap_or_default(), lines.next())
    } else {
        (ask::secret(&format!("password of {user} at {url}"), "--password-stdin")?, None)
    };
    let mut known = server.as_user(user, password.clone());
    let me: Value = known.get("/me", &[]).await?;
    if me["must_change_password"] == true {
        let new = match new {
            Some(new) => new,
            None if options.password_stdin => {
                let message =
                    "the password must be changed first: expected the new one on a second line";
                return Err(Failure::usage("password", message));
            }
            None => {
                anstream::eprintln!("this password must be changed first");
                ask::new_password(user)?
            }
        };
        let change = json!({"current": password.expose_secret(), "new": new.expose_secret()});
        known.put_nothing("/me/password", &change).await?;
        password = new;
        known = server.as_user(user, password);
    }
    let name = format!("bottega login on {}", host());
    let wanted = json!({"name": name, "expires_in": options.expires_in});
    let made: Value = known.post("/tokens", &wanted).await?;
    Ok(SecretString::from(made["token"].as_str().unwrap_or_default().to_owned()))
}

/// Makes a token for whoever logs in by a browser on this machine, which brings a code back to a port
/// that is open here meanwhile. The code alone is worth nothing: what it is for is known here.
async fn by_provider(options: &Options, url: &str) -> Result<SecretString, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Failure::io)?;
    let port = listener.local_addr().map_err(Failure::io)?.port();
    let verifier = SecretKey::generate();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()));
    let at = url.trim_end_matches('/');
    anstream::eprintln!(
        "open this in a browser on this machine:\n  {at}/api/v1/auth/oidc/login?cli_port={port}&cli_challenge={challenge}"
    );
    let code = tokio::time::timeout(BROWSER, code(&listener)).await.map_err(|_| {
        Failure::from(Problem::new(ErrorCode::Timeout, "nobody came back from the browser"))
    })??;
    let name = format!("bottega login on {}", host());
    let wanted = json!({
        "code": code, "verifier": verifier.expose_secret(), "name": name,
        "expires_in": options.expires_in,
    });
    let made: Value = Connection::new(url, None)?.post("/auth/oidc/cli", &wanted).await?;
    Ok(SecretString::from(made["token"].as_str().unwrap_or_default().to_owned()))
}

/// The code that a browser brings. Browsers ask for more, as for a picture: that is refused.
async fn code(listener: &TcpListener) -> Result<String, Failure> {
    loop {
        let (mut stream, _) = listener.accept().await.map_err(Failure::io)?;
        let mut line = String::new();
        let mut reader = BufReader::new(&mut stream).take(LONGEST_LINE);
        // Who says nothing keeps nobody waiting.
        let read = tokio::time::timeout(Duration::from_secs(5), reader.read_line(&mut line)).await;
        let code = line.split(' ').nth(1).and_then(|path| path.strip_prefix("/?code="));
        let code = code.filter(|code| code.len() == 64).map(ToOwned::to_owned);
        let answer = match (read, &code) {
            (Ok(Ok(_)), Some(_)) => {
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nYou are logged in; this window may be closed.\n"
            }
            _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n",
        };
        // Whoever went away meanwhile needs no answer.
        drop(stream.write_all(answer.as_bytes()).await);
        if let Some(code) = code {
            return Ok(code);
        }
    }
}

/// What this machine is called, as far as it fits a token's name.
fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "this machine".to_owned()).chars().take(80).collect()
}

/// Shows who the platform takes us for.
pub async fn whoami(session: &Session, output: &Output) -> Done {
    let mut me: Value = session.server.get("/me", &[]).await?;
    me["url"] = json!(session.server.base());
    me["token_from"] = json!(session.token_from);
    let fields = [
        ("actor", "/actor"),
        ("teams", "/teams"),
        ("home team", "/home_team"),
        ("scopes", "/scopes"),
        ("url", "/url"),
        ("token from", "/token_from"),
    ];
    Ok(output.object(&me, &fields))
}
