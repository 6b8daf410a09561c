//! Secrets at rest: what is sealed under which key, and sealing all of it anew under the current one.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Problem, Resource};
use serde_json::json;
use store::{
    Change, Database,
    sealed::{self, Kind, Sealed},
};

use crate::{Access, KeyId, KeyRing, Permit, SecretKey, Vault, verbs};

/// Rows that are sealed anew in one change.
const AT_ONCE: usize = 100;

/// The vault of one kind of secrets.
#[must_use]
pub fn vault(ring: &KeyRing, kind: Kind) -> Vault {
    Vault::new(
        ring,
        match kind {
            Kind::Webhook => "webhooks",
            Kind::HashKey => "hashes",
            Kind::SigningKey => "signing",
            Kind::Credential => "credentials",
        },
    )
}

/// The key that hashes of tokens are keyed by, made at the first start. Opening it shows that the
/// platform's secret key is the one that this database was made with.
///
/// # Errors
/// It is another one; the database is away.
pub async fn hash_key(
    database: &Database,
    access: &Access,
    ring: &KeyRing,
) -> Result<SecretKey, Problem> {
    let vault = vault(ring, Kind::HashKey);
    let owner = uuid::Uuid::nil();
    if sealed::hash_key(database).await?.is_none() {
        let mut change = Change::begin(database).await?;
        // Hashes from before this key was kept were made with the platform's own.
        let key = if sealed::has_hashes(&mut change).await? {
            ring.oldest().secret().clone()
        } else {
            SecretKey::generate()
        };
        let sealed = vault.seal(owner.as_bytes(), &key).ok_or_else(Problem::internal)?;
        if sealed::insert_hash_key(&mut change, &sealed).await? {
            let permit = access.system::<verbs::Administer>("start", Resource::Platform);
            let detail =
                json!({"kind": Kind::HashKey.as_str(), "key": ring.current().id().to_string()});
            change.commit(&permit.event("key.made", detail)).await?;
        }
    }
    let sealed = sealed::hash_key(database).await?.ok_or_else(Problem::internal)?;
    let key = vault.open(owner.as_bytes(), &sealed).ok_or_else(|| stranger(ring, &sealed))?;
    SecretKey::new(key).ok_or_else(Problem::internal)
}

fn stranger(ring: &KeyRing, sealed: &[u8]) -> Problem {
    let wanted = Vault::key_of(sealed).map_or_else(String::new, |id| format!(" (`{id}`)"));
    let message = format!(
        "the secret key is not the one{wanted} that this database's secrets are sealed under: given is {}",
        ring.ids()
    );
    Problem::invalid("secret_key", message).hint(
        "give the right key file; to change the key, put the new one on its first line and leave the old one below it",
    )
}

/// What the operations on secrets need. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    database: Database,
    ring: Arc<KeyRing>,
}

/// How many rows are sealed under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The key; absent for the form that does not name it.
    pub key: Option<KeyId>,
    /// Whether it seals.
    pub is_current: bool,
    /// Whether it is given, so that what it sealed opens.
    pub is_given: bool,
    /// What is sealed under it, by kind.
    pub sealed: BTreeMap<&'static str, usize>,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The key that everything is sealed under now.
    pub key: KeyId,
    /// What was sealed anew, by kind.
    pub resealed: BTreeMap<&'static str, usize>,
    /// What was so before, by kind.
    pub already: BTreeMap<&'static str, usize>,
    /// What could not be opened and was left alone: kind and id.
    pub unreadable: Vec<(&'static str, String)>,
}

impl Secrets {
    /// Those of this database, under these keys.
    #[must_use]
    pub fn new(database: Database, ring: KeyRing) -> Self {
        Self { database, ring: Arc::new(ring) }
    }

    /// What is sealed under which key: the current one first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn usage(&self, _permit: &Permit<verbs::Administer>) -> Result<Vec<Usage>, Problem> {
        let usage = |key: Option<KeyId>| Usage {
            key,
            is_current: key == Some(self.ring.current().id()),
            is_given: self.ring.all().any(|given| Some(given.id()) == key),
            sealed: BTreeMap::new(),
        };
        let mut all: Vec<_> = self.ring.all().map(|key| usage(Some(key.id()))).collect();
        for kind in Kind::ALL {
            for row in sealed::all(&self.database, kind).await? {
                let key = Vault::key_of(&row.sealed);
                let at = all.iter().position(|known| known.key == key).unwrap_or_else(|| {
                    all.push(usage(key));
                    all.len() - 1
                });
                if let Some(usage) = all.get_mut(at) {
                    *usage.sealed.entry(kind.as_str()).or_default() += 1;
                }
            }
        }
        Ok(all)
    }

    /// Seals everything under the current key. It may be broken off and called again: what is
    /// sealed so already is left alone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn rotate(&self, permit: &Permit<verbs::Administer>) -> Result<Report, Problem> {
        let mut report = Report {
            key: self.ring.current().id(),
            resealed: BTreeMap::new(),
            already: BTreeMap::new(),
            unreadable: Vec::new(),
        };
        for kind in Kind::ALL {
            let vault = vault(&self.ring, kind);
            let rows = sealed::all(&self.database, kind).await?;
            let (current, rest): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| vault.is_current(&row.sealed));
            if !current.is_empty() {
                report.already.insert(kind.as_str(), current.len());
            }
            for batch in rest.chunks(AT_ONCE) {
                self.reseal(permit, kind, &vault, batch, &mut report).await?;
            }
        }
        Ok(report)
    }

    async fn reseal(
        &self,
        permit: &Permit<verbs::Administer>,
        kind: Kind,
        vault: &Vault,
        batch: &[Sealed],
        report: &mut Report,
    ) -> Result<(), Problem> {
        let mut change = Change::begin(&self.database).await?;
        let mut resealed = 0;
        for row in batch {
            // As it is now: somebody may have given it another secret meanwhile.
            let Some(row) = sealed::lock(&mut change, kind, row.id).await? else { continue };
            let owner = row.id.as_bytes();
            match vault.open(owner, &row.sealed).and_then(|secret| vault.seal(owner, &secret)) {
                Some(sealed) => {
                    sealed::replace(&mut change, kind, row.id, &sealed).await?;
                    resealed += 1;
                }
                None => report.unreadable.push((kind.as_str(), row.id.to_string())),
            }
        }
        if resealed > 0 {
            let key = self.ring.current().id().to_string();
            let detail = json!({"kind": kind.as_str(), "rows": resealed, "key": key});
            change.commit(&permit.event("secrets.rotated", detail)).await?;
            *report.resealed.entry(kind.as_str()).or_default() += resealed;
        }
        Ok(())
    }
}
