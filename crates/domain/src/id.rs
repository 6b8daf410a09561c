//! Identifiers: UUIDv7, so that they sort by the time of their making.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    )*};
}

id! {
    /// A registered model, whatever it is called today.
    ModelId,
    /// One immutable version of a model.
    VersionId,
    /// An endpoint, whatever it is called today.
    EndpointId,
    /// The object key of a blob: `blobs/<uuid>`.
    BlobKey,
    /// An upload in progress.
    UploadId,
    /// A gateway that holds replicas.
    NodeId,
    /// A user, a team or a service account.
    SubjectId,
    /// A grant.
    GrantId,
    /// An API token.
    TokenId,
    /// A browser that is logged in.
    SessionId,
    /// A promotion rule.
    RuleId,
    /// A request for more of a quota.
    QuotaRequestId,
    /// A webhook.
    WebhookId,
    /// A server that was imported from.
    ImportSourceId,
    /// One telling of one event to one webhook, however often it is tried.
    DeliveryId,
    /// Somebody whom an identity provider knows.
    IdentityId,
    /// What a group of an identity provider gives.
    MappingId,
    /// Whose tokens are exchanged for a service account's.
    TrustId,
}
