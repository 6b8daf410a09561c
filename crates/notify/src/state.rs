//! What use cases and the worker work with.

use std::{sync::Arc, time::Duration};

use auth::Vault;
use store::Database;

use crate::guard::{Checked, Guard, Networks};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to reach it.
const CONNECT: Duration = Duration::from_secs(10);

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
        let guard = Guard::new(allowed);
        let http = reqwest::Client::builder()
            .user_agent(concat!("bottega/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would be the one that is checked, in place of the receiver.
            .no_proxy()
            .dns_resolver(Arc::new(Checked(guard.clone())))
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { database, vault, guard, http })
    }
}
