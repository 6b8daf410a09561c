//! What use cases and the worker work with.

use std::time::Duration;

use auth::{
    Vault,
    egress::{Guard, Networks, Purpose},
};
use store::Database;

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all of this crate works with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) vault: Vault,
    pub(crate) guard: Guard,
    pub(crate) http: reqwest::Client,
}

impl State {
    /// Keeps secrets in `vault`; reaches public addresses, and those in `allowed`.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new(
        database: Database,
        vault: Vault,
        allowed: Networks,
    ) -> Result<Self, reqwest::Error> {
        let guard = Guard::new(Purpose::Webhook, allowed);
        let http = guard.client(PATIENCE)?;
        Ok(Self { database, vault, guard, http })
    }
}
