//! The one place that decides.

use domain::{Problem, Resource};

use crate::{Caller, Permit, permit::Verb};

/// Decides who may do what. Cheap to clone, and asks nothing but memory.
#[derive(Debug, Clone, Default)]
pub struct Access {}

impl Access {
    /// Whether the caller may do `V` to the resource.
    ///
    /// # Errors
    /// They may not: forbidden, or not found where they may not even know that it is there.
    pub fn authorize<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
    ) -> Result<Permit<V>, Problem> {
        // Every token is an administrator's today; policies are asked here.
        Ok(Permit::new(caller.clone(), resource))
    }

    /// The permit of a part of Bottega that acts by itself, by the name of its job, so that the
    /// audit trail names it: `system:reconciler`.
    #[must_use]
    pub fn system<V: Verb>(&self, job: &'static str, resource: Resource) -> Permit<V> {
        Permit::new(Caller::system(job), resource)
    }
}
