//! Signs checkpoints of the chain, under a key made of the platform's.

use domain::{
    Problem, Timestamp,
    audit::{Checkpoint, Link},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::SecretKey;

/// Signs, and knows its own signatures. Who has the database alone can do neither.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The signer of this platform.
    ///
    /// # Panics
    /// Never: the seed has the length that the algorithm takes.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a seed of 32 bytes is what the algorithm takes")]
    pub fn new(key: &SecretKey) -> Self {
        let seed = key.hash_bytes(b"audit:checkpoints");
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of 32 bytes"))
    }

    /// A signed note of how far the chain had come.
    #[must_use]
    pub fn sign(&self, link: &Link, at: Timestamp) -> Checkpoint {
        let signature = self.0.sign(&Checkpoint::signed(link, at));
        Checkpoint {
            seal: link.seal,
            total: link.total,
            hash: link.hash,
            at,
            public_key: hex::encode(self.0.public_key()),
            signature: hex::encode(signature),
        }
    }

    /// Whether the checkpoint was signed here, as it is.
    ///
    /// # Errors
    /// By another key, or it was changed since.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), Problem> {
        if checkpoint.public_key != hex::encode(self.0.public_key()) {
            let message = format!(
                "the checkpoint of seal {} was signed with another key, {}",
                checkpoint.seal, checkpoint.public_key
            );
            return Err(Problem::invalid("checkpoints", message)
                .hint("it is of another platform, or of this one with another secret key"));
        }
        let said = Checkpoint::signed(&checkpoint.link(), checkpoint.at);
        let signature = hex::decode(&checkpoint.signature).unwrap_or_default();
        let key = UnparsedPublicKey::new(&ED25519, self.0.public_key());
        key.verify(&said, &signature).map_err(|_| {
            let message =
                format!("the checkpoint of seal {} is not what was signed", checkpoint.seal);
            Problem::invalid("checkpoints", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::Digest;

    use super::*;

    #[test]
    fn only_what_was_signed_here_and_was_not_changed_is_good() {
        let signer = Signer::new(&SecretKey::new("k".repeat(32).into()).unwrap());
        let other = Signer::new(&SecretKey::new("x".repeat(32).into()).unwrap());
        let link = Link { seal: 7, total: 70, hash: Digest::of(b"seven") };
        let at = "2026-11-17T14:00:00Z".parse().unwrap();
        let checkpoint = signer.sign(&link, at);
        signer.check(&checkpoint).unwrap();
        assert!(other.check(&checkpoint).unwrap_err().message.contains("another key"));
        for change in [
            |it: &mut Checkpoint| it.seal += 1,
            |it: &mut Checkpoint| it.total += 1,
            |it: &mut Checkpoint| it.hash = Digest::of(b"eight"),
            |it: &mut Checkpoint| it.at += chrono::TimeDelta::seconds(1),
            |it: &mut Checkpoint| it.signature.replace_range(0..2, "00"),
            |it: &mut Checkpoint| it.signature.clear(),
        ] {
            let mut changed = checkpoint.clone();
            change(&mut changed);
            assert!(signer.check(&changed).is_err(), "{changed:?}");
        }
    }
}
