//! `bottega login`, `bottega whoami`

use clap::Args;
use client::Connection;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Done, ask};
use crate::{
    cli::Global,
    output::{Failure, Output},
    session::{Login, Session},
};

#[derive(Args)]
#[command(
    after_help = "With a token:     bottega login --url https://bottega.example\nWith a password:  bottega login --user ana --url https://bottega.example"
)]
pub struct Options {
    /// Log in as this user, by password: makes a token and remembers it
    #[arg(long, value_name = "NAME", conflicts_with = "with_token")]
    user: Option<String>,
    /// Read the password from standard input; where it must be changed, the new one from a second line
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// How long the token lasts that is made
    #[arg(long, value_name = "DURATION", default_value = "90d", requires = "user")]
    expires_in: String,
    /// Read the token from standard input instead of asking for it
    #[arg(long, alias = "token-stdin")]
    with_token: bool,
}

/// Asks for what is missing, tries it, then remembers it.
pub async fn login(options: Options, global: &Global, output: &Output) -> Done {
    let url = global.url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let token = match &options.user {
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
