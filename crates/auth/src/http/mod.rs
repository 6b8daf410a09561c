//! The guard before all routes, the `Caller` that handlers take, and auth's own operations.

mod accounts;
mod audit;
mod dry_run;
mod grants;
mod guard;
mod jwt;
mod me;
mod oidc;
mod policies;
mod proxies;
mod quotas;
mod secrets;
mod sessions;
mod sigv4;
mod teams;
mod tokens;
mod usage;

use utoipa_actix_web::service_config::ServiceConfig;

pub use guard::{Elsewhere, Gate, Guard, actor};
pub use jwt::well_known;
pub use oidc::OPEN;
pub use proxies::Proxies;

/// Registers auth's operations, to be mounted at `/api/v1`. They need `web::Data` of
/// [`store::Database`], [`crate::Access`], [`crate::Authenticator`], [`crate::audit::Trail`],
/// [`crate::secrets::Secrets`], [`crate::jwt::Jwts`] and [`crate::oidc::Oidc`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(me::routes).configure(sessions::routes).configure(tokens::routes);
    config.configure(accounts::routes).configure(teams::routes).configure(audit::routes);
    config.configure(quotas::routes).configure(usage::routes);
    config.configure(grants::routes).configure(policies::routes);
    config.configure(jwt::routes).configure(secrets::routes).configure(oidc::routes);
}
