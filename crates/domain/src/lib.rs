//! The words and rules of Bottega, with no I/O: no clock, no network, no disk, no SQL.
//!
//! Everything that two rooms must agree on lives here: names, digests, manifests, tensors and
//! signatures, model versions, endpoints and releases, who acts ([`Actor`]) and what went wrong
//! ([`Problem`]). Values are checked once, where they are made; holding a [`ModelName`] or a
//! [`FilePath`] means that it is valid.
//!
//! Not here: wire formats (`protocol`), HTTP (`rest`), rows (`store`), who may do what (`auth`).

pub mod access;
mod action;
mod actor;
pub mod audit;
pub mod batching;
mod bytes;
pub mod capture;
mod clock;
pub mod contract;
mod digest;
mod duration;
mod endpoint;
pub mod external;
mod id;
mod import;
pub mod json;
pub mod lineage;
mod manifest;
pub mod mlmodel;
mod name;
pub mod onnx;
mod page;
pub mod pickle;
pub mod placement;
mod problem;
pub mod process;
pub mod promotion;
pub mod python;
pub mod quota;
pub mod raw;
mod reference;
pub mod rollout;
pub mod search;
pub mod serving;
mod signature;
mod streak;
mod tensor;
pub mod tracking;
mod version;
pub mod zip;

pub use action::{Action, Resource};
pub use actor::{Actor, ActorKind, RequestId};
pub use audit::{AuditEvent, Decision};
pub use batching::Batching;
pub use clock::{Clock, FixedClock, SystemClock, Timestamp};
pub use digest::{Digest, Hasher};
pub use duration::{parse_duration, write_duration};
pub use endpoint::{Follows, Pointer, ReleaseState, ReplicaState, WeightedVersion};
pub use id::{
    BlobKey, DeliveryId, EndpointId, GrantId, IdentityId, ImportSourceId, MappingId, ModelId,
    NodeId, QuotaRequestId, RuleId, SessionId, SubjectId, TokenId, TrustId, UploadId, VersionId,
    WebhookId,
};
pub use import::ImportKind;
pub use manifest::{FileEntry, FilePath, Manifest};
pub use name::{
    AliasName, EndpointName, EndpointRef, EnvironmentName, ModelName, Stage, TagKey, TagValue,
};
pub use page::{Cursor, Limit, Page};
pub use problem::{ErrorCode, Grounds, Problem};
pub use reference::{ModelRef, VersionSelector};
pub use signature::{Dim, Signature, TensorSpec};
pub use streak::Streak;
pub use tensor::{DataType, Tensor, TensorData};
pub use version::{Runtime, Servable, VersionStatus};
