//! TensorFlow Serving's REST. Models are endpoints, with the versions of their present release.

mod examples;
mod models;
mod predict;

use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .configure(examples::routes)
        .service(predict::predict)
        .service(predict::predict_version)
        .service(predict::predict_label)
        .service(models::metadata)
        .service(models::metadata_version)
        .service(models::metadata_label)
        .service(models::status_version)
        .service(models::status_label)
        .service(models::status);
}
