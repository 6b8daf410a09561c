//! The one place that decides.

use domain::{Problem, Resource, access::Target};

use crate::{Caller, Permit, permit::Verb};

/// Decides who may do what. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {}

impl Access {
    /// Whether the caller may do `V` to the resource.
    ///
    /// # Errors
    /// They may not: forbidden, or not found where they may not even know that it is there.
    #[expect(clippy::unused_async, reason = "decisions will look at what the resource is")]
    pub async fn authorize<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
    ) -> Result<Permit<V>, Problem> {
        // Every token is an administrator's today; policies are asked here.
        Ok(Permit::new(caller.clone(), resource))
    }

    /// Whether the caller may do `V` to a resource of which everything is known already. It asks
    /// nothing but memory.
    ///
    /// # Errors
    /// As for [`Access::authorize`].
    pub fn decide<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
        _target: &Target,
    ) -> Result<Permit<V>, Problem> {
        Ok(Permit::new(caller.clone(), resource))
    }

    /// The permit of a part of Bottega that acts by itself, by the name of its job, so that the
    /// audit trail names it: `system:reconciler`.
    #[must_use]
    pub fn system<V: Verb>(&self, job: &'static str, resource: Resource) -> Permit<V> {
        Permit::new(Caller::system(job), resource)
    }
}
