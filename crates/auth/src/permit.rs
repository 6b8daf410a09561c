//! Permits: the proof that somebody asked.

use std::marker::PhantomData;

use domain::{Action, Actor, AuditEvent, RequestId, Resource};
use serde_json::Value;

use crate::Caller;

/// An action as a type, so that a use case names in its signature what it demands.
pub trait Verb {
    /// The action.
    const ACTION: Action;
}

/// One type for each action.
pub mod verbs {
    use super::{Action, Verb};

    macro_rules! verbs {
        ($($name:ident),* $(,)?) => {$(
            #[doc = concat!("[`Action::", stringify!($name), "`] as a type.")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Verb for $name {
                const ACTION: Action = Action::$name;
            }
        )*};
    }

    verbs!(
        View, Register, Edit, Promote, Deploy, Configure, Shift, Invoke, Delete, ViewData,
        Administer, Audit
    );
}

/// Says that this caller may do this to that resource. Only `Access` makes one.
#[derive(Debug, Clone)]
pub struct Permit<V> {
    caller: Caller,
    resource: Resource,
    verb: PhantomData<V>,
}

impl<V: Verb> Permit<V> {
    pub(crate) const fn new(caller: Caller, resource: Resource) -> Self {
        Self { caller, resource, verb: PhantomData }
    }

    /// Who may.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.caller.actor
    }

    /// Who may, with all that is known of them.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// In which request.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.caller.request_id
    }

    /// To what.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The audit event of what was done with this permit. `change` is a past participle of the
    /// domain (`version.registered`); `detail` holds the facts, never a secret.
    #[must_use]
    pub fn event(&self, change: &'static str, detail: Value) -> AuditEvent {
        self.caller.event(Some(V::ACTION), self.resource.clone(), change, detail)
    }
}
