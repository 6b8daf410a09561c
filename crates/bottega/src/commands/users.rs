//! `bottega users …`

use clap::Subcommand;
use client::{Connection, path};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Done, ask};
use crate::output::{Column, Failure, Output};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a user, with a password that must be changed at the first log-in
    #[command(after_help = "Example:  bottega users create ana --email ana@bank.example")]
    Create {
        /// What to call them; it is for good
        name: String,
        /// The name to show
        #[arg(long, value_name = "TEXT", default_value = "")]
        display_name: String,
        /// Where mail goes
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// Read the first password from standard input [default: one is made and shown once]
        #[arg(long)]
        password_stdin: bool,
    },
    /// List users
    List,
    /// Show a user
    Show {
        /// Their name
        name: String,
    },
    /// Keep a user out: their tokens are worth nothing, and their sessions are over
    #[command(after_help = "Example:  bottega users disable ana")]
    Disable {
        /// Their name
        name: String,
    },
    /// Let a user in again
    Enable {
        /// Their name
        name: String,
    },
    /// Delete a user for good: what they made stays, and a later user of that name inherits nothing
    #[command(after_help = "Example:  bottega users delete ana")]
    Delete {
        /// Their name
        name: String,
    },
    /// Give a user another password, or change your own
    #[command(
        after_help = "Your own:      bottega users password\nSomebody's:    bottega users password ana"
    )]
    Password {
        /// Whose [default: your own]
        name: Option<String>,
        /// Read it from standard input; for your own, the present one first and the new one on a second line
        #[arg(long)]
        password_stdin: bool,
        /// Do not ask them to change it at the next log-in
        #[arg(long, requires = "name")]
        keep: bool,
    },
}

const FIELDS: &[Column<'_>] = &[
    ("user", "/name"),
    ("display name", "/display_name"),
    ("email", "/email"),
    ("teams", "/teams"),
    ("home team", "/home_team"),
    ("must change password", "/must_change_password"),
    ("disabled", "/disabled"),
    ("by", "/created_by"),
    ("created", "/created_at"),
    ("password", "/password"),
];

const COLUMNS: &[Column<'_>] = &[
    ("user", "/name"),
    ("display name", "/display_name"),
    ("email", "/email"),
    ("teams", "/teams"),
    ("disabled", "/disabled"),
];

pub async fn run(server: &Connection, verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Create { name, display_name, email, password_stdin } => {
            let password = if password_stdin { Some(first_line()?) } else { None };
            let new = json!({
                "name": name, "display_name": display_name, "email": email,
                "password": password.as_ref().map(SecretString::expose_secret),
            });
            let user: Value = server.post("/users", &new).await?;
            Ok(output.object(&user, FIELDS))
        }
        Verb::List => {
            let users = server.list("/users", &[]).await?;
            Ok(output.list(&users, COLUMNS, "No users yet. Make one:  bottega users create ana"))
        }
        Verb::Show { name } => {
            let user: Value = server.get(&path(&["users", &name]), &[]).await?;
            Ok(output.object(&user, FIELDS))
        }
        Verb::Disable { name } => set_disabled(server, "users", &name, true, output).await,
        Verb::Enable { name } => set_disabled(server, "users", &name, false, output).await,
        Verb::Delete { name } => delete(server, "users", &name, output).await,
        Verb::Password { name: Some(name), password_stdin, keep } => {
            let password = if password_stdin { Some(first_line()?) } else { None };
            let change = json!({
                "password": password.as_ref().map(SecretString::expose_secret),
                "must_change": !keep,
            });
            let set: Value = server.put(&path(&["users", &name, "password"]), &change).await?;
            let sentence = match set["password"].as_str() {
                Some(password) => format!("the password of {name} is {password} (shown once)"),
                None => format!("the password of {name} is set"),
            };
            Ok(output.done(&set, &sentence))
        }
        Verb::Password { name: None, password_stdin, keep: _ } => {
            let (current, new) = if password_stdin {
                let mut lines = ask::lines()?.into_iter();
                (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
            } else {
                let current = ask::secret("your present password", "--password-stdin")?;
                (current, ask::new_password("yours")?)
            };
            let change = json!({"current": current.expose_secret(), "new": new.expose_secret()});
            server.put_nothing("/me/password", &change).await?;
            Ok(output
                .done(&json!({"changed": true}), "your password is changed; sessions are over"))
        }
    }
}

fn first_line() -> Result<SecretString, Failure> {
    let first = ask::lines()?.into_iter().next();
    first.ok_or_else(|| Failure::usage("password", "stdin is empty: expected the password"))
}

/// Deletes an account or a team.
pub async fn delete(server: &Connection, kind: &str, name: &str, output: &Output) -> Done {
    server.delete(&path(&[kind, name])).await?;
    Ok(output.done(&json!({"name": name, "deleted": true}), &format!("{name} is gone")))
}

/// Keeps an account out, or lets it in again.
pub async fn set_disabled(
    server: &Connection,
    accounts: &str,
    name: &str,
    disabled: bool,
    output: &Output,
) -> Done {
    let change = json!({"disabled": disabled});
    let account: Value = server.patch(&path(&[accounts, name]), &change).await?;
    let sentence = match disabled {
        true => format!("{name} is disabled: tokens are worth nothing, sessions are over"),
        false => format!("{name} is enabled"),
    };
    Ok(output.done(&account, &sentence))
}
