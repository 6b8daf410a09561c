//! Permits: the proof that somebody asked.

use std::{
    marker::PhantomData,
    sync::{Arc, LazyLock},
};

use domain::{
    Action, Actor, AuditEvent, RequestId, Resource, SubjectId,
    access::{Target, Visible},
};
use policy::Decision;
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
    /// What the resource was when it was decided, and how.
    decided: Option<(Arc<Target>, Arc<Decision>)>,
    visible: Option<Arc<Visible>>,
    verb: PhantomData<V>,
}

/// Who is permitted one thing sees nothing of a list.
static NOTHING: LazyLock<Visible> = LazyLock::new(Visible::default);

impl<V: Verb> Permit<V> {
    pub(crate) const fn new(caller: Caller, resource: Resource) -> Self {
        Self { caller, resource, decided: None, visible: None, verb: PhantomData }
    }

    pub(crate) fn decided(self, target: Arc<Target>, decision: Arc<Decision>) -> Self {
        Self { decided: Some((target, decision)), ..self }
    }

    pub(crate) fn seeing(self, visible: Visible) -> Self {
        Self { visible: Some(Arc::new(visible)), ..self }
    }

    /// Who and which team own what is made with this permit.
    #[must_use]
    pub fn owner(&self) -> (&Actor, Option<SubjectId>) {
        (self.actor(), self.decided.as_ref().and_then(|(target, _)| target.team))
    }

    /// What the resource was when it was decided.
    #[must_use]
    pub fn target(&self) -> Option<Arc<Target>> {
        self.decided.as_ref().map(|(target, _)| Arc::clone(target))
    }

    /// Whether the resource was there when it was decided: else the permit is to make it.
    #[must_use]
    pub fn is_for_present(&self) -> bool {
        self.decided.as_ref().is_none_or(|(target, _)| target.place.is_some())
    }

    /// What its holder may see of a list: all for what Bottega does by itself, nothing for a permit
    /// that was not asked for a list.
    #[must_use]
    pub fn visible(&self) -> &Visible {
        self.visible.as_deref().unwrap_or(&NOTHING)
    }

    /// Who may.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.caller.actor
    }

    /// Who may, with all that is known of them.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// In which request.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
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
        let event = self.caller.event(Some(V::ACTION), self.resource.clone(), change, detail);
        let policies = self.decided.iter().flat_map(|(_, decision)| &decision.policies);
        AuditEvent { policies: policies.map(ToString::to_string).collect(), ..event }
    }
}
