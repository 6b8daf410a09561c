//! Logging in by password, and what failures cost.

use std::net::{IpAddr, Ipv6Addr};

use domain::{
    AuditEvent, ErrorCode, Problem, Resource, SubjectId,
    access::{Patience, SubjectName},
};
use secrecy::SecretString;
use serde_json::json;
use store::{
    accounts,
    logins::{self, Attempt, Culprit},
};

use crate::{Authenticator, Caller, Result, credentials::unauthenticated, passwords};

/// Somebody who proved by password who they are.
pub(crate) struct Proven {
    pub(crate) id: SubjectId,
    pub(crate) user: String,
    pub(crate) mark: Vec<u8>,
    pub(crate) must_change: bool,
}

impl Authenticator {
    /// Compares a password with the user's. A user who is not there costs as much time and counts
    /// as much as one who is.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Proven, Problem> {
        let proven = self.prove(user, password, address).await?;
        self.trail.record(attempt("login.succeeded", address, json!({"user": proven.user})));
        Ok(proven)
    }

    /// The same without a record of success.
    pub(crate) async fn prove(
        &self,
        user: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Proven, Problem> {
        // Names in another normal form are the same names; what is no name is nobody's.
        let user =
            user.parse().map_or_else(|_| user.to_owned(), |name: SubjectName| name.to_string());
        let network = network(address);
        let account = self.culprit(Patience::ACCOUNT, &["account", &network, &user]);
        let place = self.culprit(Patience::ADDRESS, &["address", &network]);
        let counted = logins::attempt(&self.database, &[account, place]).await;
        if let Attempt::Blocked(until) = counted.map_err(crate::Error::from)? {
            return Err(blocked(until - self.database.now()));
        }
        let known = accounts::password(&self.database, &user).await.map_err(crate::Error::from)?;
        let known = known.filter(|_| passwords::can_be_one(password));
        let hash = known.as_ref().map(|known| known.hash.as_str());
        let is_right = self.passwords.verify(password, hash).await?;
        match known {
            Some(known) if is_right => {
                let forgiven = logins::forgive(&self.database, &account.key, &place.key).await;
                forgiven.map_err(crate::Error::from)?;

                Ok(Proven { id: known.id, user, mark: known.mark, must_change: known.must_change })
            }
            known => {
                // A name that is nobody's may be a password in the wrong place: it is not kept.
                let user = known.map(|_| user);
                let event = attempt("login.failed", address, json!({"user": user}));
                self.trail.record(event.refused());
                Err(unauthenticated("the user name or the password is wrong"))
            }
        }
    }

    pub(crate) fn culprit(&self, patience: Patience, parts: &[&str]) -> Culprit {
        Culprit {
            key: self.key.hash_bytes(format!("login:{}", parts.join("\0")).as_bytes()),
            patience,
        }
    }
}

/// An attempt to log in, as it is recorded: nobody has a permit yet.
pub(crate) fn attempt(
    change: &'static str,
    address: Option<IpAddr>,
    detail: serde_json::Value,
) -> AuditEvent {
    let caller = Caller::system_for("login", address, rest::request_id());
    caller.event(None, Resource::Platform, change, detail)
}

/// Where somebody comes from, as wide as one customer of a provider usually is.
pub(crate) fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

fn blocked(wait: chrono::TimeDelta) -> Problem {
    let seconds = u32::try_from(wait.num_milliseconds()).unwrap_or(0).div_ceil(1000).max(1);
    let message = format!("too many failed log-ins: try again in {seconds} s");
    Problem::new(ErrorCode::RateLimited, message)
        .retry_after(seconds)
        .hint("an administrator can set a new password; from another address it works at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_counted_with_its_neighbours() {
        let network = |address: &str| super::network(Some(address.parse().unwrap()));
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
    }

    #[test]
    fn whoever_must_wait_hears_how_long() {
        let problem = blocked(chrono::TimeDelta::milliseconds(1500));
        assert_eq!(problem.retry_after.unwrap().get(), 2);
        assert_eq!(blocked(chrono::TimeDelta::zero()).retry_after.unwrap().get(), 1);
    }
}
