//! `/v1/webhooks`.

mod create;
mod deliveries;
mod endpoints;
#[cfg(test)]
mod fuzz_test;
mod redeliver;
mod rotate_secret;
mod send_test;
mod state;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use state::Webhooks;

/// The routes.
pub fn routes() -> OpenApiRouter<Webhooks> {
    OpenApiRouter::new()
        .routes(routes!(create::post_webhook, endpoints::list_webhooks))
        .routes(routes!(endpoints::get_webhook, endpoints::delete_webhook))
        .routes(routes!(rotate_secret::rotate_secret))
        .routes(routes!(endpoints::enable_webhook))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(redeliver::redeliver_failed))
        .routes(routes!(redeliver::redeliver))
        .routes(routes!(send_test::send_test))
}
