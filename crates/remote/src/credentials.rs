//! What servers are told so that they answer: a secret each, for one origin.
//!
//! A release, or a version, names one; whoever may deploy may name any. So a credential is bound to where
//! it is sent: naming it for another server is refused, and a server elsewhere never sees it.

use auth::{Permit, verbs};
use domain::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::{
    Change,
    credentials::{self, Credential},
};

use crate::Remote;

/// The longest name.
const LONGEST_NAME: usize = 63;
/// The longest secret.
const LONGEST_SECRET: usize = 4096;

/// All of them, by name. What they are is told to nobody.
///
/// # Errors
/// The database is away.
pub async fn list(
    remote: &Remote,
    _permit: &Permit<verbs::Administer>,
) -> Result<Vec<Credential>, Problem> {
    Ok(credentials::all(&remote.database).await?)
}

/// Makes a credential, or puts another in its place. Answers whether it was made.
///
/// # Errors
/// A name or a secret that is none; an origin that may not be reached.
pub async fn put(
    remote: &Remote,
    permit: &Permit<verbs::Administer>,
    (name, origin): (&str, &str),
    secret: &SecretString,
) -> Result<(Credential, bool), Problem> {
    check(name, secret)?;
    let origin = remote.origin("origin", origin).await?;
    let mut change = Change::begin(&remote.database).await?;
    let before = credentials::lock(&mut change, name).await?;
    let id = before.as_ref().map_or_else(credentials::new_id, |before| before.id);
    let sealed = remote.vault.seal(id.as_bytes(), secret).ok_or_else(Problem::internal)?;
    let row = credentials::New { id, name, origin: &origin, sealed: &sealed };
    let after = if before.is_some() {
        credentials::update(&mut change, &row, permit.actor()).await?
    } else {
        let made = credentials::insert(&mut change, &row, permit.actor()).await?;
        made.ok_or_else(|| {
            Problem::conflict(format!("somebody has just made `{name}`")).at("credential")
        })?
    };
    let detail = json!({"credential": name, "origin": origin});
    change.emit("credential.set", &permit.resource().to_string(), &detail).await?;
    let event = permit.event("credential.set", detail);
    let was = before.as_ref().map(Credential::describe);
    change.commit(&event.changed(was.as_ref(), Some(&after.describe()))).await?;
    Ok((after, before.is_none()))
}

/// Deletes a credential. What names it fails from then on.
///
/// # Errors
/// It is not there.
pub async fn delete(
    remote: &Remote,
    permit: &Permit<verbs::Administer>,
    name: &str,
) -> Result<(), Problem> {
    let mut change = Change::begin(&remote.database).await?;
    let before = credentials::lock(&mut change, name).await?;
    let before = before.ok_or_else(|| Problem::not_found("credential", name).at("credential"))?;
    credentials::delete(&mut change, name).await?;
    let detail = json!({"credential": name});
    change.emit("credential.deleted", &permit.resource().to_string(), &detail).await?;
    let event = permit.event("credential.deleted", detail);
    Ok(change.commit(&event.changed(Some(&before.describe()), None)).await?)
}

fn check(name: &str, secret: &SecretString) -> Result<(), Problem> {
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name {
        let message = format!("expected 1 to {LONGEST_NAME} letters, digits, `.`, `_` and `-`");
        return Err(Problem::invalid("credential", message));
    }
    let secret = secret.expose_secret();
    let is_visible = secret.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !(1..=LONGEST_SECRET).contains(&secret.len()) || !is_visible {
        let message = format!(
            "expected 1 to {LONGEST_SECRET} visible ASCII characters, as a header says them"
        );
        return Err(Problem::invalid("secret", message));
    }
    Ok(())
}
