//! `/audit/…`

mod events;
mod filter;

use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(events::list);
}
