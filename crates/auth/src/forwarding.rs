//! What a node tells another when it hands a request on: where it came from, under the platform's key.
//!
//! Whoever holds the request asks who sends it, and counts and records that; the node in between only
//! vouches for the address, and tells as of which revision it knows who may call: whoever was answered that a
//! token was made or revoked finds it so at once, whichever node answers next. Nobody without the key can
//! claim that, and what was claimed is worth nothing after a minute.

use std::net::IpAddr;

use chrono::TimeDelta;
use domain::{Problem, Timestamp};

use crate::{Authenticator, Origin};

/// The header, and the entry of gRPC's metadata. A request that carries it is handed on no further.
pub const FORWARDED: &str = "x-bottega-forwarded";

/// How far the clocks of two nodes may be apart.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

impl Authenticator {
    /// What another node believes of a request that is handed on to it; `method` is HTTP's, or gRPC's.
    #[must_use]
    pub fn forward(&self, method: &str, origin: Origin) -> String {
        let claim = Claim { at: self.now().timestamp(), revision: self.revision(), origin };
        format!("{} {}", claim.text(), self.seal_of(method, &claim))
    }

    /// Where a request came from that another node handed on. Who may call is known here as it was there from
    /// then on, unless the database is away.
    ///
    /// # Errors
    /// No node of this platform says so, or not now.
    pub async fn forwarded(&self, method: &str, header: &str) -> Result<Origin, Problem> {
        let claim = self.claimed(method, header)?;
        if claim.revision > self.revision()
            && let Err(error) = Box::pin(self.refresh()).await
        {
            tracing::debug!(%error, "another node may know more of who may call");
        }
        Ok(claim.origin)
    }

    fn claimed(&self, method: &str, header: &str) -> Result<Claim, Problem> {
        let refused = || {
            let message = format!("`{FORWARDED}` is of no node of this platform");
            Problem::invalid(FORWARDED, message)
                .hint("leave it out; nodes whose clocks differ by a minute refuse each other too")
        };
        let (claim, seal) = header.rsplit_once(' ').ok_or_else(refused)?;
        let claim = Claim::read(claim).ok_or_else(refused)?;
        let expected = self.seal_of(method, &claim);
        // Hashes are compared, so that the time it takes says nothing of the seal.
        let hash = |seal: &str| self.key.hash_bytes(seal.as_bytes());
        let at = Timestamp::from_timestamp(claim.at, 0).ok_or_else(refused)?;
        if hash(seal) != hash(&expected) || (self.now() - at).abs() > TOLERANCE {
            return Err(refused());
        }
        Ok(claim)
    }

    fn seal_of(&self, method: &str, claim: &Claim) -> String {
        let text = format!("forwarded\0{method}\0{}", claim.text());
        hex::encode(self.key.hash_bytes(text.as_bytes()))
    }
}

struct Claim {
    /// In seconds since 1970.
    at: i64,
    /// As of which it is known who may call.
    revision: i64,
    origin: Origin,
}

impl Claim {
    fn text(&self) -> String {
        let scheme = if self.origin.https { "https" } else { "http" };
        let address = self.origin.address.map_or_else(|| "-".to_owned(), |it| it.to_string());
        format!("{} {} {scheme} {address}", self.at, self.revision)
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (at, revision) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (scheme, address) = (words.next()?, words.next()?);
        let address: Option<IpAddr> = match address {
            "-" => None,
            address => Some(address.parse().ok()?),
        };
        let origin = Origin { address, https: scheme == "https" };
        // What is read is sealed again: there is one way to write a claim.
        words.next().is_none().then_some(Self { at, revision, origin })
    }
}
