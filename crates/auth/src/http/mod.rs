//! The guard before all routes, the `Caller` that handlers take, and auth's own operations.

mod audit;
mod guard;
mod me;

use utoipa_actix_web::service_config::ServiceConfig;

pub use guard::{Gate, guard};

/// Registers auth's operations, to be mounted at `/api/v1`. They need `web::Data` of
/// [`store::Database`] and [`crate::Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(me::me).configure(audit::routes);
}
