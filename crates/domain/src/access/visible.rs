//! What a caller may see of a list, in a form that becomes SQL, so that totals and pages are right.

use crate::{EnvironmentName, TagKey, TagValue, access::Place};

/// One condition: all that is named must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause {
    /// What is in this place.
    pub place: Place,
    /// Only in this environment.
    pub env: Option<EnvironmentName>,
    /// Only what carries this tag.
    pub tag: Option<(TagKey, TagValue)>,
}

/// What a caller may see: what some clause of `allow` holds for, and none of `deny`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// What they may see.
    pub allow: Vec<Clause>,
    /// What of that they may not.
    pub deny: Vec<Clause>,
}

impl Visible {
    /// Everything: for what Bottega does by itself.
    #[must_use]
    pub fn everything() -> Self {
        let all = Clause { place: Place::Everything, env: None, tag: None };
        Self { allow: vec![all], deny: Vec::new() }
    }
}
